"""What the normalizations share: the mean of squares, and the parameters applied after it."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphwright.ir.const import Array, Const
from graphwright.ir.graph import Value
from graphwright.ir.types import NUMPY, TensorType
from graphwright.passes.fuse.mean import is_inverse
from graphwright.passes.pattern import (
    Cast,
    Pattern,
    ReduceL2,
    ReduceMean,
    ReduceSumSquare,
    scalar,
    var,
)
from graphwright.passes.rule import Builder, Match, need
from graphwright.passes.shapes import count_along, dtype_of, shape_of

gamma, beta, eps, n = var("gamma"), var("beta"), scalar("eps"), scalar("n")


def mean_square(d: Pattern) -> Pattern:
    """mean d^2"""
    mean = ReduceMean(d**2, axes="axes", keepdims=1)
    of_sum = n * ReduceSumSquare(d, axes="axes", keepdims=1)
    of_norm = n * ReduceL2(d, axes="axes", keepdims=1) ** 2
    return mean | of_sum | of_norm


def narrowed(p: Pattern) -> Pattern:
    """What was computed in float32 on the way from a narrower type back to it."""
    return Cast(p, to="narrow")


def parameters(m: Match, op: Builder) -> dict[str, Any]:
    """The axis, epsilon and so on that the match says, as attributes. Refuses what has none."""
    shape = shape_of(m.x)
    need(shape is not None, "the rank of x is not known")
    need(m.axes == tuple(range(m.axes[0], 0)), f"the axes {m.axes} are not the last ones")
    if m.n is not None:
        count = count_along(m.x, m.axes)
        need(is_inverse(m.n, count, dtype_of(m.root)), f"{count} elements are summed")
    need(m.eps >= 0, "epsilon is negative")
    if m.narrow is not None:
        need(m.narrow == dtype_of(m.x), "it is cast to another type than it came from")
    return {"axis": m.axes[0], "epsilon": float(m.eps), "stash_type": 1}


def shaped(op: Builder, m: Match, value: Value | None) -> Value:
    """A parameter in the shape of the normalized axes and the type of the result; ones for None."""
    shape, dtype = shape_of(m.x), dtype_of(m.x)
    assert shape is not None
    norm = shape[m.axes[0] :]
    if value is not None and shape_of(value) == norm and dtype_of(value) == dtype:
        return value
    count_along(m.x, m.axes)
    if value is None:
        return op.budget.ones(TensorType(dtype, norm))
    need(value.const is not None, "gamma and beta have not the shape of the normalized axes")
    assert value.const is not None
    const = _converted(value.const, tuple(d for d in norm if isinstance(d, int)), dtype)
    alone = len(value.uses) == 1
    growth = (const.type.nbytes or 0) - (value.const.type.nbytes or 0) * alone
    need(op.budget.afford(growth), "the model would grow too much")
    return Value(const.type, const=const)


def _converted(const: Const, norm: tuple[int, ...], dtype: str) -> Const:
    have = tuple(d for d in const.type.shape or () if isinstance(d, int))
    extra = max(0, len(have) - len(norm))
    need(
        all(d == 1 for d in have[:extra])
        and all(a in (1, b) for a, b in zip(have[extra:][::-1], norm[::-1], strict=False)),
        "gamma and beta have not the shape of the normalized axes",
    )
    type_ = TensorType(dtype, norm)
    if have[extra:] == norm and const.type.dtype == dtype:
        return Const(type_, lambda: const.load().reshape(have[extra:]), const.where)
    array = np.broadcast_to(const.load().reshape(have[extra:]), norm)
    cast = np.ascontiguousarray(_narrow(array, dtype))
    return Const(type_, lambda: cast)


def _narrow(array: Array, dtype: str) -> Array:
    with np.errstate(over="ignore"):
        cast = array.astype(NUMPY[dtype])
    need(np.array_equal(cast.astype(array.dtype), array), f"gamma or beta is no {dtype}")
    return cast
