"""Which keys the masks of an attention hide, as one boolean mask."""

from __future__ import annotations

from math import inf, isfinite

import numpy as np

from graphwright.ir.graph import Attr, Node, Value
from graphwright.ir.ops import constant
from graphwright.passes.rule import Builder, NoMatch
from graphwright.passes.shapes import dtype_of, shape_of

UNWEIGHED = -99.0  # e**-99 is 1e-43: in a softmax no part of a float32
LOW = {"f16": -16376.0, "f32": -8.5e37}  # a score beside which no other is seen
LARGEST = 1 << 24  # bytes of a constant that is looked at


def heads_of(node: Node) -> int:
    """How many heads of queries an attention has. Refuses where that is not known."""
    shape = shape_of(node.outputs[0])
    if shape is None or not isinstance(shape[-3], int):
        raise NoMatch("its heads are counted at run time")
    return shape[-3]


def hidden(op: Builder, node: Node) -> tuple[list[Value | None], dict[str, Attr]]:
    """The inputs and attributes of an attention such that hidden keys have the score -inf."""
    q, k, v, bias, mask, sink = (*node.inputs, None, None, None)[:6]
    bias, hides = hide(op, bias, mask)
    if mask is not None and isfinite(float(str(node.attrs["filler"]))):
        bias = _flat(op, bias, mask, dtype_of(q))
    inputs = [q, k, v, bias, hides, sink]
    while inputs[-1] is None:
        inputs.pop()
    return inputs, dict(node.attrs) if hides is None else {**node.attrs, "filler": -inf}


def _flat(op: Builder, bias: Value | None, mask: Value, dtype: str) -> Value:
    """The bias with which rows that `mask` hides wholly have equal scores, as under a filler."""
    dtype = dtype if bias is None else dtype_of(bias)
    low = constant(LOW.get(dtype, LOW["f32"]), dtype)
    return op.Where(_dead(op, mask), low, 0.0 if bias is None else bias)


def hide(op: Builder, bias: Value | None, mask: Value | None) -> tuple[Value | None, Value | None]:
    """The bias and the mask of an attention, such that the mask hides all keys that are hidden.

    bias, mask: [*B, H, S, T], each axis the whole or 1. Exporters add what hides keys, such as
    -10000. A row of which all keys are hidden is left as it is, none of them hidden any more: what
    it gives is decided by its scores, as it was before.
    """
    if bias is not None and not _is_open(bias):
        counts = op.Greater(bias, UNWEIGHED)
        mask = counts if mask is None else op.And(mask, counts)
    if mask is None:
        return bias, None
    return bias, op.Or(mask, _dead(op, mask))


def _dead(op: Builder, mask: Value) -> Value:
    """The rows of which all keys are hidden."""
    flags = op.Cast(mask, to="f32")
    return op.Less(op.ReduceMax(flags, axes=(-1,), keepdims=1), 0.5)


def _is_open(bias: Value) -> bool:
    """Whether a constant hides no key."""
    const = bias.const
    if const is None or (const.type.nbytes or 0) > LARGEST or dtype_of(bias) == "bf16":
        return False
    return bool((np.asarray(const.load()) > UNWEIGHED).all())
