"""A node made again for other sizes of axes along which it is pointwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphwright.ir.dims import Dim, product
from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import constant
from graphwright.passes.attention.factors import Factor, View, leaves
from graphwright.passes.attention.steps import REGROUPING
from graphwright.passes.axes.working import Working
from graphwright.passes.rule import Builder, need
from graphwright.passes.shapes import Shape, expand, listed, reshape

Sizes = Mapping[Factor, Dim]


def resized(view: View, sizes: Sizes) -> Shape:
    """The shape of a tensor of those factors, where `sizes` tells some of them anew."""
    return tuple(product(sizes.get(f, f.size) for f in leaves(axis)) for axis in view)


def remade(
    op: Builder,
    node: Node,
    worked: Working,
    given: Sequence[Value | None],
    sizes: Sizes,
    index: int = 0,
) -> Value:
    """What `node` gives as its result `index`, of other inputs, whose factors have other `sizes`.

    Axes keep their places, so that nothing but a shape that is asked for has to be told anew.
    """
    view = worked.outputs[index]
    assert view is not None
    want = resized(view, sizes)
    if node.op in REGROUPING and len(node.inputs) > 1:
        assert given[0] is not None
        return reshape(op, given[0], want)
    if node.op == "Expand":
        assert given[0] is not None
        return expand(op, given[0], want)
    if node.op == "ConstantOfShape":
        return op.ConstantOfShape(listed(op, want), **dict(node.attrs))
    if node.op == "Split":
        return _part(op, node, given, index)
    need(index == 0, f"another result of {node.op} is read")
    return op.call(node.op, *given, **dict(node.attrs))


def _part(op: Builder, node: Node, given: Sequence[Value | None], index: int) -> Value:
    """One part of what a Split gives, cut out by itself."""
    sizes, axis = node.attrs["split"], node.attrs["axis"]
    assert isinstance(sizes, tuple)
    numbers = [n for n in sizes if isinstance(n, int)]
    start = sum(numbers[:index])
    bounds = (constant([n], "i64") for n in (start, start + numbers[index], axis))
    return op.Slice(given[0], *bounds)
