"""Weights in the shape and the type that an operator wants them in."""

from __future__ import annotations

import numpy as np

from graphwright.ir.const import Array, Const
from graphwright.ir.graph import Value
from graphwright.ir.types import NUMPY, TensorType
from graphwright.passes.rule import Builder, NoMatch, need
from graphwright.passes.shapes import shape_of


def parameter(op: Builder, value: Value, kind: TensorType, beside: Value) -> Value:
    """`value`, which meets `beside` element by element, as a tensor of type `kind`.

    It may have axes of 1 in front, but not more axes than `beside`. A constant that is smaller is
    repeated, and one of another element type converted, if that changes no number. Refuses where
    that is impossible or where the model would grow too much.
    """
    if value.type == kind:
        return value
    const, shape = value.const, shape_of(beside)
    if const is None or shape is None or len(const.type.shape or ()) > len(shape):
        raise NoMatch(f"{value.type} is no {kind}")
    made = _converted(const, kind)
    freed = const.type.nbytes if len(value.uses) == 1 else 0
    need(op.budget.afford((kind.nbytes or 0) - (freed or 0)), "the model would grow too much")
    return Value(kind, const=made)


def _converted(const: Const, kind: TensorType) -> Const:
    have, wanted = const.type.shape or (), kind.shape or ()
    inner = have[max(0, len(have) - len(wanted)) :]
    fits = all(d == 1 for d in have[: len(have) - len(inner)]) and all(
        d in (1, w) for d, w in zip(inner[::-1], wanted[::-1], strict=False)
    )
    shape = tuple(d for d in wanted if isinstance(d, int))
    need(fits and len(shape) == len(wanted), f"{const.type} is no {kind}")
    if inner == wanted and const.type.dtype == kind.dtype:
        return Const(kind, lambda: const.load().reshape(shape), const.where)
    data = const.load()
    data = data.reshape(data.shape[data.ndim - len(inner) :])
    array = np.ascontiguousarray(np.broadcast_to(_cast(data, kind.dtype), shape))
    return Const(kind, lambda: array)


def _cast(array: Array, dtype: str) -> Array:
    with np.errstate(over="ignore"):
        cast = array.astype(NUMPY[dtype])
    need(np.array_equal(cast.astype(array.dtype), array), f"a weight is not {dtype} throughout")
    return cast
