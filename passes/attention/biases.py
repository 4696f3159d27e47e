"""What is added to all keys alike, which the softmax does not see."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from graphwright.ir.graph import Node, Value
from graphwright.ir.normalizers import BODY
from graphwright.ir.rows import traits
from graphwright.passes.attention.factors import (
    View,
    all_leaves,
    broadcast_view,
    leaves,
    new_axis,
)
from graphwright.passes.attention.layout import Laid, laid_alike, nearest_source, node_behind
from graphwright.passes.attention.steps import shape
from graphwright.passes.hiding import buries
from graphwright.passes.looking import Looking, Readings
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule
from graphwright.passes.shapes import dtype_of

BIASED = ("Add", "Linear", "Gemm")
LARGEST = 1e4  # a bias that is no larger leaves scores their digits

GIVEN = "q: f32[B, 2, S, 2], k: f32[B, T, 4], v: f32[B, 2, T, 3]"
KEYS = "kh = Transpose(Reshape({}, i64([0, 0, 2, 2])), perm=(0, 2, 1, 3))"
ATTRS = "scale=0.5, cap={}, filler=-inf, guard=0, precision=''"


class Biased(NamedTuple):
    """A tensor, what is added to it, and which factors the axes of both are."""

    node: Node
    bias: Value
    along: View
    source: Laid


def _key_bias(node: Node) -> Readings:
    q, k, v, *extras = node.inputs
    axes = [new_axis(dim) for dim in shape(k)]
    found = biased(k, axes)
    need(not all_leaves(found.along) & set(leaves(axes[-2])), "its bias differs from key to key")
    yield found, [q, *found.node.inputs, v, *extras]


@rule(
    Looking(_key_bias, "Attention", when=lambda n: bool(node_behind(n.inputs[1], BIASED))),
    Tolerance(),
    Example(
        GIVEN,
        f"""
        {KEYS.format("k + f32([1, 2, 3, 4])")}
        Attention(q, kh, v, {ATTRS.format(0.0)})""",
        f"""
        {KEYS.format("k")}
        Attention(q, kh, v, {ATTRS.format(0.0)})""",
    ),
    Example(
        GIVEN,
        f"""
        {KEYS.format("k + f32([1, 2, 3, 4])")}
        Attention(q, kh, v, {ATTRS.format(30.0)})""",
        because="capped",
    ),
    Example(
        GIVEN,
        f"""
        {KEYS.format("k + k")}
        Attention(q, kh, v, {ATTRS.format(0.0)})""",
        because="no constant",
    ),
)
def drop_key_bias(m: Match, op: Builder) -> Value:
    """Attention(q, k + b, v)  ->  Attention(q, k, v), where b is the same for all keys

    q (k + b)^T adds the same number to all scores of a row, which softmax does not see. Not where
    scores are capped, have a sink beside them, or are replaced by numbers that count.
    """
    q, k, v, *extras = m.node.inputs
    attrs: dict[str, Any] = dict(m.node.attrs)
    seen = traits(m.node.bodies.get(BODY)).sees_shift
    need(not seen, "its normalizer sees what is added to all scores")
    need(not attrs["cap"] and len(extras) < 3, "its scores are capped, or have a sink beside them")
    masked = len(extras) > 1 and not buries(attrs["filler"], dtype_of(q))
    need(not masked, "what hides its keys is no lower than the scores may be")
    need(m.why is None, m.why or "")
    found: Biased = m.found
    assert k is not None
    bias = found.bias.const
    need(bias is not None and np.abs(bias.load()).max(initial=0) < LARGEST, "its bias is too large")
    without = laid_alike(op, bare(op, found.node), k, found.source.value)
    return op.Attention(q, without, v, *extras, **attrs, **m.node.bodies)


def biased(value: Value | None, axes: View) -> Biased:
    """What a constant is added to to give `value`, whose axes are `axes`, but for its layout."""
    assert value is not None
    source = nearest_source(value, axes)
    node = source.value.producer
    need(node is not None and len(source.value.uses) == 1, "it is read by others, or is an input")
    assert node is not None
    at = next((i for i, v in enumerate(node.inputs) if v is not None and _is_bias(node, i)), None)
    need(at is not None, "no constant is added to it")
    assert at is not None
    bias = node.inputs[at]
    assert bias is not None
    along = broadcast_view(source.view, shape(node.outputs[0]), shape(bias))
    return Biased(node, bias, along, source)


def _is_bias(node: Node, at: int) -> bool:
    value = node.inputs[at]
    if value is None or value.const is None:
        return False
    if node.op == "Add":
        other = node.inputs[1 - at]
        return other is not None and other.type == node.outputs[0].type
    return at == 2 and (node.op == "Linear" or (node.op == "Gemm" and node.attrs["beta"] == 1))


def bare(op: Builder, node: Node) -> Value:
    """What `node` gives without the constant that it adds."""
    if node.op == "Add":
        kept = node.inputs[1 if node.inputs[0] is not None and _is_bias(node, 0) else 0]
        assert kept is not None
        return kept
    return op.call(node.op, *node.inputs[:2], **node.attrs)
