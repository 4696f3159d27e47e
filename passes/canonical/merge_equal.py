"""Nodes that compute the same from the same become one."""

from __future__ import annotations

from collections.abc import Iterator

from graphwright.ir.const import Const
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import is_pure
from graphwright.passes.rule import Example, Exact, sweep

SMALL = 1 << 10  # bytes of constants that are compared by content


@sweep(
    Exact(),
    Example("x: f32[B, 64]", "Tanh(x) + Tanh(x)", "t = Tanh(x)\nt + t"),
    Example("x: f32[B, 64]", "(x * 2.0) @ Transpose(x * 2.0, perm=(1, 0))", "t = x * 2.0\nt @ Transpose(t, perm=(1, 0))"),
    Example("x: f32[B, 64]", "Tanh(x) + Sigmoid(x)", because="not equal"),
)
def merge_equal(graph: Graph) -> Iterator[tuple[Value, Value]]:
    """f(x), f(x)  ->  one f(x), read twice

    Operators of chance and of foreign domains are left alone, and those with bodies.
    """
    seen: dict[object, Node] = {}
    for node in graph.nodes():
        if node.bodies or len(node.outputs) != 1 or not is_pure(node):
            continue
        key = (
            node.op,
            tuple(_identity(v) for v in node.inputs),
            tuple((k, a.key() if isinstance(a, Const) else a) for k, a in sorted(node.attrs.items())),
        )
        first = seen.setdefault(key, node)
        if not first.outputs[0].uses:  # an earlier merge left nobody to read it
            seen[key] = node
        elif first is not node and node.outputs[0].type == first.outputs[0].type:
            yield node.outputs[0], first.outputs[0]


def _identity(value: Value | None) -> object:
    """Equal for values that surely hold the same."""
    if value is not None and value.const is not None and (value.const.type.nbytes or SMALL + 1) <= SMALL:
        return value.const.key()
    return value
