"""What is added to all values alike, which may be added to what they give."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from graphwright.ir.const import Array, from_array
from graphwright.ir.dims import at_least
from graphwright.ir.graph import Node, Value
from graphwright.ir.normalizers import BODY
from graphwright.ir.ops import OPS
from graphwright.ir.rows import traits
from graphwright.ir.types import NUMPY
from graphwright.passes.attention.biases import BIASED, Biased, bare, biased
from graphwright.passes.attention.factors import (
    View,
    all_leaves,
    leaves,
    new_axis,
)
from graphwright.passes.attention.layout import arranged, laid_alike, nearest_source, node_behind
from graphwright.passes.attention.steps import first, shape
from graphwright.passes.looking import Looking, Readings
from graphwright.passes.rule import Builder, Example, Match, NoMatch, Tolerance, need, rule
from graphwright.passes.shapes import dtype_of

GIVEN = "q: f32[B, 2, S, 2], k: f32[B, 2, S, 2], v: f32[B, S, 4]"
OTHER = "q: f32[B, 2, S, 2], k: f32[B, 2, T, 2], v: f32[B, T, 4]"
SPLIT = "vh = Transpose(Reshape({}, {}), perm=(0, 2, 1, 3))"
JOIN = "x = Reshape(Transpose(y, perm=(0, 2, 1, 3)), {})"
WEIGHT = "f32([[1, 0], [0, 1], [1, 1], [2, 0]])"
ATTRS = "scale=0.5, cap=0.0, filler=-inf, guard={}, precision=''"
LARGEST = 1 << 26  # bytes of a weight that is looked at


class Projection(NamedTuple):
    """A product with a constant matrix, and the constant that is added to it."""

    product: Node
    weight: Value
    offset: Value
    transposed: bool


class Moving(NamedTuple):
    """A projection of what an attention gives, and what is added to the values.

    `axes` are the factors of the axes of the values, which share heads and width with what the
    attention gives, and `columns` those of what is projected.
    """

    projection: Projection
    attention: Node
    columns: View
    axes: View
    added: Biased


def _example(guard: int) -> str:
    return f"""
        {SPLIT.format("v + f32([1, 2, 3, 4])", "i64([0, 0, 2, 2])")}
        y = Attention(q, k, vh, {ATTRS.format(guard)})
        {JOIN.format("i64([0, 0, 4])")}
        x @ {WEIGHT} + f32([5, 6])"""


def _moving(node: Node) -> Readings:
    projection = _projection(node)
    x = projection.product.inputs[0]
    assert x is not None
    columns = [new_axis(dim) for dim in shape(x)]
    laid = nearest_source(x, columns)
    attention = laid.value.producer
    if attention is None or attention.op != "Attention":
        raise NoMatch("what it projects is no attention")
    need(_is_read_once(x, laid.value), "others read what it gives")
    q, k, v, *extras = attention.inputs
    need(shape(k)[-3] == shape(laid.value)[-3], "its heads share values")
    lead = [new_axis(dim) for dim in shape(v)[:-3]]
    axes = [*lead, laid.view[-3], new_axis(shape(v)[-2]), laid.view[-1]]
    added = biased(v, axes)
    found = Moving(projection, attention, columns, axes, added)
    yield found, [q, k, *added.node.inputs, *extras, projection.weight, projection.offset]


def _projects(node: Node) -> bool:
    """Whether it may be the projection of an attention with biased values, at a glance."""
    product: Node | None = node
    if node.op == "Add":
        made = [v.producer for v in node.inputs if v is not None and v.const is None]
        product = made[0] if len(made) == 1 else None
    if product is None or product.op not in ("MatMul", "Linear", "Gemm"):
        return False
    attention = node_behind(product.inputs[0], ("Attention",))
    return attention is not None and node_behind(attention.inputs[2], BIASED) is not None


@rule(
    Looking(_moving, "Add", "Linear", "Gemm", when=_projects),
    Tolerance(),
    Example(
        GIVEN,
        _example(0),
        f"""
        {SPLIT.format("v", "i64([0, 0, 2, 2])")}
        y = Attention(q, k, vh, {ATTRS.format(0)})
        {JOIN.format("i64([0, 0, 4])")}
        x @ {WEIGHT} + f32([17, 11])""",
    ),
    Example(GIVEN, _example(1), because="sum to 1"),
    Example(OTHER, _example(0), because="no keys"),
    may_share=True,
)
def move_value_bias(m: Match, op: Builder) -> Value:
    """Attention(q, k, v + b) w + c  ->  Attention(q, k, v) w + (b w + c)

    b, c: constant; w: constant, [H * E, N]. The weights of a row sum to 1, so that what is added to
    all values is added to what they give; not where a sink takes a part, dead rows give 0, or there
    may be queries and no keys at all.
    """
    if m.why is not None:
        raise NoMatch(m.why)
    found: Moving = m.found
    attrs: dict[str, Any] = dict(found.attention.attrs)
    known = traits(found.attention.bodies.get(BODY))
    all_ = known.sums_to_one and not attrs["guard"] and len(found.attention.inputs) < 6
    need(all_, "not all its weights sum to 1")
    q, k, v, *extras = found.attention.inputs
    more = shape(v)[-2] - shape(q)[-2]
    keys = at_least(shape(v)[-2]) > 0 or at_least(more) >= 0
    need(keys, "there may be queries and no keys, whose weights sum to 0")
    x = found.projection.product.inputs[0]
    assert v is not None
    assert x is not None
    offset = _moved(op, found)
    without = laid_alike(op, bare(op, found.added.node), v, found.added.source.value)
    y = op.Attention(q, k, without, *extras, **attrs, **found.attention.bodies)
    laid = laid_alike(op, y, x, found.attention.outputs[0])
    return _projected(op, found.projection, laid, offset)


def _projection(node: Node) -> Projection:
    if node.op == "Add":
        for product, offset in (node.inputs, node.inputs[::-1]):
            made = None if product is None else product.producer
            if made is not None and made.op == "MatMul" and offset is not None and offset.const:
                need(len(made.outputs[0].uses) == 1, "others read the product")
                return _checked(made, made.inputs[1], offset, False)
        raise NoMatch("no constant is added to a product")
    need(len(node.inputs) == 3, "it has no bias")
    if node.op == "Linear":
        return _checked(node, node.inputs[1], node.inputs[2], bool(node.attrs["transposed"]))
    plain = (node.attrs["alpha"], node.attrs["beta"], node.attrs["transA"]) == (1, 1, 0)
    need(plain, "it is no plain product")
    return _checked(node, node.inputs[1], node.inputs[2], bool(node.attrs["transB"]))


def _is_read_once(value: Value, source: Value) -> bool:
    """Whether nobody else reads `value`, or what it is on the way from `source`."""
    while value is not source and len(value.uses) == 1:
        assert value.producer is not None
        value = first(value.producer)
    return value is source and len(source.uses) == 1


def _checked(
    product: Node, weight: Value | None, offset: Value | None, transposed: bool
) -> Projection:
    if weight is None or weight.const is None or offset is None or offset.const is None:
        raise NoMatch("its weight and its bias are no constants")
    need(len(shape(weight)) == 2, "its weight is no matrix")
    need((weight.const.type.nbytes or 0) <= LARGEST, "its weight is too large to be looked at")
    return Projection(product, weight, offset, transposed)


def _moved(op: Builder, found: Moving) -> Value:
    """The bias of the projection with what the values' becomes."""
    columns = found.columns[-1]
    inner = {*leaves(found.axes[-3]), *leaves(found.axes[-1])}
    need(all_leaves(found.added.along) <= inner, "what is added differs from value to value")
    need(set(leaves(columns)) == inner, "it projects something else than heads")
    row = arranged(op, found.added.bias, found.added.along, [columns])
    weight = _computed(found.projection.weight).astype(np.float64)
    weight = weight.T if found.projection.transposed else weight
    moved = np.broadcast_to(_computed(row).astype(np.float64).reshape(-1), weight.shape[0])
    offset = found.projection.offset
    const = from_array((_computed(offset) + moved @ weight).astype(NUMPY[dtype_of(offset)]))
    return Value(const.type, const=const)


def _computed(value: Value) -> Array:
    """What is made of constants by layout alone."""
    if value.const is not None:
        return value.const.load()
    node = value.producer
    assert node is not None
    meaning = OPS[node.op].numpy
    assert meaning is not None
    given = [_computed(v) for v in node.inputs if v is not None]
    return np.asarray(meaning(*given, **node.attrs))


def _projected(op: Builder, found: Projection, x: Value, offset: Value) -> Value:
    if found.product.op == "MatMul":
        return op.Add(op.MatMul(x, found.weight), offset)
    return op.call(found.product.op, x, found.weight, offset, **found.product.attrs)
