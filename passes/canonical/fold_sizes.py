"""Shape arithmetic becomes constants and formulas of sizes."""

from __future__ import annotations

from functools import lru_cache

from graphwright.ir.dims import Sym
from graphwright.ir.graph import Contents, Node, Value
from graphwright.ir.ops import constant
from graphwright.ir.quotients import needed
from graphwright.ir.types import INTS
from graphwright.passes.application import any_node
from graphwright.passes.rule import Builder, Exact, Example, Match, need, rule
from graphwright.passes.shapes import dtype_of


def _is_known(node: Node) -> bool:
    """Whether what the node gives is known as sizes, and surely not folded with what reads it."""
    if len(node.outputs) != 1 or node.op == "Sizes":
        return False
    result = node.outputs[0]
    if result.contents is None:
        return False
    if node.op == "Cast" and (source := node.inputs[0]) and source.producer:
        return source.producer.op != "Sizes"
    return any(_may_stay(reader, result) for reader, _ in result.uses)


def _may_stay(reader: Node, value: Value) -> bool:
    """Whether a reader of `value` may not be folded itself."""
    results = reader.outputs
    if len(results) != 1 or results[0].contents is None:
        return True
    return not names_in(results[0].contents) <= names_in(value.contents)


@lru_cache(maxsize=1 << 12)
def names_in(contents: Contents | None) -> frozenset[str]:
    """The names of sizes that contents depend on."""
    found = contents if isinstance(contents, tuple) else (contents,)
    return frozenset().union(*(needed(dim) for dim in found if isinstance(dim, Sym)))


def _is_end(value: Value, sizes: frozenset[str]) -> bool:
    """Whether something that is not folded itself reads the value, so that a chain goes at once."""
    for reader, _ in value.uses:
        results = reader.outputs
        if len(results) != 1 or results[0].contents is None:
            return True
        if not names_in(results[0].contents) <= sizes:
            return True
    return False


@rule(
    any_node(when=_is_known),
    Exact(),
    Example("x: f32[B, 8, 64]", "Shape(x)", "Sizes(dims=(B, 8, 64))"),
    Example("x: f32[B, 8]", "Gather(Shape(x), i64(1), axis=0)", "i64(8)"),
    Example(
        "x: f32[B, S]",
        "s = Gather(Shape(x), i64(1), axis=0)\n"
        "Concat(Unsqueeze(s, axes=(0,)), i64([2]), axis=0) * 4",
        "Sizes(dims=(4*S, 8))",
    ),
    Example("x: f32[B, S]", "Size(x)", "Sizes(dims=B*S)"),
    Example("x: f32[B]", 'Cast(Shape(x), to="i32")', 'Cast(Sizes(dims=(B,)), to="i32")'),
    Example("x: f32[...]", "Shape(x)", because="does not fit"),
)
def fold_sizes(m: Match, op: Builder) -> Value:
    """arithmetic on sizes  ->  Sizes(dims=what it comes to), or a constant

    Of sizes of the model's inputs only, since those are there whatever is rewritten.
    """
    dims, dtype = m.root.contents, dtype_of(m.root)
    need(names_in(dims) <= op.budget.sizes, "it depends on sizes that no input has")
    need(_is_end(m.root, op.budget.sizes), "what reads it is folded itself")
    found = dims if isinstance(dims, tuple) else (dims,)
    if all(isinstance(dim, int) for dim in found):
        need(dtype in INTS or dtype == "bool", "it is no list of integers")
        return constant(list(found) if isinstance(dims, tuple) else dims, dtype)
    need(dtype in ("i64", "i32"), f"sizes are not computed as {dtype}")
    assert dims is not None
    sizes = op.Sizes(dims=dims)
    return sizes if dtype == "i64" else op.Cast(sizes, to="i32")
