"""Shape arithmetic becomes constants and formulas of sizes."""

from __future__ import annotations

from graphwright.ir.dims import Sym, atoms_of
from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import constant, contents_of
from graphwright.ir.types import INTS
from graphwright.passes.application import any_node
from graphwright.passes.rule import Builder, Exact, Example, Match, need, rule
from graphwright.passes.shapes import dtype_of


def _is_known(node: Node) -> bool:
    """Whether what the node gives is known as sizes, and it is not in normal form."""
    if len(node.outputs) != 1 or node.outputs[0].contents is None or node.op == "Sizes":
        return False
    source = node.inputs[0].producer if node.op == "Cast" and node.inputs[0] else None
    return source is None or source.op != "Sizes"


def _is_end(value: Value, sizes: frozenset[str]) -> bool:
    """Whether something that is not folded itself reads the value, so that a chain goes at once."""
    for reader in value.uses:
        results = reader.node.outputs
        if len(results) != 1 or results[0].contents is None or _names(results[0]) - sizes:
            return True
    return False


def _names(value: Value) -> set[str]:
    """The names of sizes that what the value holds depends on."""
    dims = contents_of(value)
    found = dims if isinstance(dims, tuple) else (dims,)
    return {name for dim in found if isinstance(dim, Sym) for name in atoms_of(dim)}


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
    dims, dtype = contents_of(m.root), dtype_of(m.root)
    need(
        _names(m.root) <= op.budget.sizes, "it depends on sizes that the model's inputs don't have"
    )
    need(_is_end(m.root, op.budget.sizes), "what reads it is folded itself")
    found = dims if isinstance(dims, tuple) else (dims,)
    if all(isinstance(dim, int) for dim in found):
        need(dtype in INTS or dtype == "bool", "it is no list of integers")
        return constant(list(found) if isinstance(dims, tuple) else dims, dtype)
    need(dtype in ("i64", "i32"), f"sizes are not computed as {dtype}")
    assert dims is not None
    sizes = op.Sizes(dims=dims)
    return sizes if dtype == "i64" else op.Cast(sizes, to="i32")
