"""Nodes that compute the same from the same become one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from graphwright.ir.const import Const
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import OPS, is_pure
from graphwright.passes.application import axes_from_end
from graphwright.passes.rule import Exact, Example, Replacement, sweep

SMALL = 1 << 10  # bytes of constants that are compared by content


@sweep(
    Exact(),
    Example("x: f32[B, 64]", "Tanh(x) + Tanh(x)", "t = Tanh(x)\nt + t"),
    Example(
        "x: f32[B, 64]",
        "(x * 2.0) @ Transpose(x * 2.0, perm=(1, 0))",
        "t = x * 2.0\nt @ Transpose(t, perm=(1, 0))",
    ),
    Example("x: f32[B, 64]", "Tanh(x) + Sigmoid(x)", because="not equal"),
)
def merge_equal(graph: Graph) -> Iterator[Replacement]:
    """f(x), f(x)  ->  one f(x), read twice

    Whichever way operands that commute stand, and axes are counted. Operators of chance and of
    foreign domains are left alone, and those with bodies.
    """
    alone: dict[object, Node | None] = {}
    seen: dict[object, Node] = {}
    for node in graph.reachable():
        if len(node.outputs) != 1 or not node.outputs[0].uses or node.bodies or not is_pure(node):
            continue
        roughly = node.op, _data(node)
        other = alone.setdefault(roughly, node)
        if other is node:
            continue  # nothing before it reads the same data, so nothing is equal to it
        if other is not None:
            alone[roughly], seen[_key(other)] = None, other
        key = _key(node)
        first = seen.setdefault(key, node)
        if not first.outputs[0].uses:  # an earlier merge left nobody to read it
            seen[key] = node
        elif first is not node and node.outputs[0].type == first.outputs[0].type:
            yield Replacement(node.outputs[0], first.outputs[0])


def _data(node: Node) -> Value | None:
    """One of the values that are no constants, whichever way operands that commute stand."""
    varying = [value for value in node.inputs if value is not None and value.const is None]
    if len(varying) > 1 and _swaps(node.op):
        return min(varying, key=id)
    return varying[0] if varying else None


def _key(node: Node) -> object:
    inputs = tuple([v if v is None or v.const is None else _content(v) for v in node.inputs])
    operands: object = frozenset(inputs) if _swaps(node.op) else inputs
    if not node.attrs:
        return node.op, operands
    attrs: dict[str, object] = dict(node.attrs)
    for key in ("axis", "axes"):
        if key in attrs:
            attrs[key] = axes_from_end(node)
    content = [(k, a.key() if isinstance(a, Const) else a) for k, a in sorted(attrs.items())]
    return node.op, operands, tuple(content)


@cache
def _swaps(op: str) -> bool:
    row = OPS.get(op)
    return row is not None and row.commutes and row.exact


def _content(value: Value) -> object:
    """Equal for constants that surely hold the same."""
    assert value.const is not None
    return value.const.key() if (value.const.type.nbytes or 0) <= SMALL else value
