"""Casts that lose nothing go."""

from __future__ import annotations

from graphwright.ir.graph import Value
from graphwright.passes.application import any_node
from graphwright.passes.pattern import Cast, var
from graphwright.passes.rule import Builder, Exact, Example, Match, need, rule
from graphwright.passes.shapes import dtype_of

x = var("x")
WIDER = {
    "f16": ("f32", "f64"),
    "bf16": ("f32", "f64"),
    "f32": ("f64",),
    "bool": ("u8", "i8", "i16", "i32", "i64", "u16", "u32", "u64"),
    "i8": ("i16", "i32", "i64"),
    "u8": ("i16", "u16", "i32", "u32", "i64", "u64"),
    "i16": ("i32", "i64"),
    "u16": ("i32", "u32", "i64", "u64"),
    "i32": ("i64",),
    "u32": ("i64", "u64"),
}
"""The element types that hold all that a type holds, and are cast on as it is."""


@rule(
    any_node("Cast", when=lambda node: node.attrs["to"] == dtype_of(node.inputs[0]), of=x),
    Exact(),
    Example("x: f32[B, 64]", 'Tanh(Cast(x, to="f32"))', "Tanh(x)"),
    Example("x: f32[B, 64]", 'Cast(x, to="f64")', because="does not fit"),
)
def drop_cast(m: Match, op: Builder) -> Value:
    """Cast(x, its own type)  ->  x"""
    return m.x


@rule(
    Cast(Cast(x, to="middle"), to="last"),
    Exact(),
    Example("x: f32[B, 64]", 'Tanh(Cast(Cast(x, to="f64"), to="f32"))', "Tanh(x)"),
    Example("x: bool[B]", 'Cast(Cast(x, to="i32"), to="i64")', 'Cast(x, to="i64")'),
    Example("x: f32[B, 64]", 'Tanh(Cast(Cast(x, to="f16"), to="f32"))', because="cannot hold"),
    Example("x: f64[B]", 'Cast(Cast(x, to="f32"), to="f16")', because="cannot hold"),
    may_share=True,
)
def merge_casts(m: Match, op: Builder) -> Value:
    """Cast(Cast(x, wider), type)  ->  Cast(x, type), or x

    Where the type between holds all that x may hold. A rounding is never left out: f32 -> f16 ->
    f32 stays, and so does f64 -> f32 -> f16, which rounds twice.
    """
    first = dtype_of(m.x)
    need(m.middle in WIDER.get(first, ()), f"{m.middle} cannot hold all that {first or 'x'} does")
    floats = first[0] in "fb" and first != "bool"
    need(
        m.last == first or floats == (m.last in ("f16", "bf16", "f32", "f64")),
        "another kind of cast",
    )
    return m.x if m.last == first else op.Cast(m.x, **m.node.attrs)
