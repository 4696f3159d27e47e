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
    hides = hide(op, bias, mask, opened=not gives_zero(node))
    if mask is not None and isfinite(float(str(node.attrs["filler"]))):
        bias = _flat(op, bias, mask, dtype_of(q))
    inputs = [q, k, v, bias, hides, sink]
    while inputs[-1] is None:
        inputs.pop()
    return inputs, dict(node.attrs) if hides is None else {**node.attrs, "filler": -inf}


def gives_zero(node: Node) -> bool:
    """Whether a row of which the mask hides all keys gives 0."""
    masked = len(node.inputs) > 4 and node.inputs[4] is not None
    return masked and bool(node.attrs["guard"]) and node.attrs["filler"] == -inf


def _flat(op: Builder, bias: Value | None, mask: Value, dtype: str) -> Value:
    """The bias with which rows that `mask` hides wholly have equal scores, as under a filler."""
    dtype = dtype if bias is None else dtype_of(bias)
    low = constant(LOW.get(dtype, LOW["f32"]), dtype)
    return op.Where(_dead(op, mask), low, 0.0 if bias is None else bias)


def hide(op: Builder, bias: Value | None, mask: Value | None, opened: bool = True) -> Value | None:
    """The mask that hides all keys that the bias and the mask of an attention hide, if any.

    bias, mask: [*B, H, S, T], each axis the whole or 1. Exporters add what hides keys, such as
    -10000. Of a row in which all that the mask leaves are hidden so, none of those is hidden any
    more: what it gives is decided by its scores, as it was before. A row of which the mask hides
    all keys is `opened` too.
    """
    counts = None if bias is None or _is_open(bias) else op.Greater(bias, UNWEIGHED)
    if mask is None:
        return None if counts is None else op.Or(counts, _dead(op, counts))
    left = mask
    if counts is not None:
        both = op.And(mask, counts)
        left = op.Or(both, op.And(mask, _dead(op, both)))
    return op.Or(left, _dead(op, mask)) if opened else left


def left_to_see(op: Builder, bias: Value | None, mask: Value | None) -> Value | None:
    """The mask that hides what the bias or the mask hides, whatever is left of a row."""
    if bias is None or _is_open(bias):
        return mask
    counts = op.Greater(bias, UNWEIGHED)
    return counts if mask is None else op.And(mask, counts)


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
