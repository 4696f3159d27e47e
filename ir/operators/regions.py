"""Operators that read or write regions of a tensor, and put a border around one."""

from __future__ import annotations

from graphwright.ir.dims import Dim
from graphwright.ir.operators.operands import axis_of, known, shape_of, tensor
from graphwright.ir.ops import Attrs, Inputs, NotTyped, Op, contents_of, register
from graphwright.ir.types import TensorType, Type


def _padded(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    shape, pads = list(shape_of(inputs)), known(contents_of(inputs[1]))
    named = inputs[3] if len(inputs) > 3 else None
    axes = tuple(range(len(shape))) if named is None else known(contents_of(named))
    if len(pads) != 2 * len(axes):
        raise TypeError(f"{len(pads)} pads for {len(axes)} axes")
    for i, axis in enumerate(axes):
        if not isinstance(axis, int):
            raise NotTyped
        at = axis_of(axis, len(shape))
        shape[at] = shape[at] + pads[i] + pads[i + len(axes)]
    return (TensorType(tensor(inputs).dtype, tuple(shape)),)


def _gathered(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    data, at = shape_of(inputs), shape_of(inputs, 1)
    depth: Dim = at[-1] if at else 0
    batch = attrs.get("batch_dims", 0)
    if not isinstance(depth, int) or not isinstance(batch, int):
        raise NotTyped
    return (TensorType(tensor(inputs).dtype, (*at[:-1], *data[batch + depth :])),)


def _scattered(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    return (tensor(inputs),)


register(
    Op("Pad", _padded),
    Op("GatherND", _gathered),
    Op("ScatterND", _scattered),
    Op("ScatterElements", _scattered),
)
