"""Operators that do nothing go."""

from __future__ import annotations

from graphwright.ir.graph import Value
from graphwright.passes.pattern import any_node
from graphwright.passes.rule import Builder, Example, Exact, Match, rule


@rule(
    any_node("Identity"),
    Exact(),
    Example("x: f32[B, 64]", "Tanh(Identity(x))", "Tanh(x)"),
    Example("x: i64[B]", "Identity(Identity(x)) + 1", "x + 1"),
)
def drop_identity(m: Match, op: Builder) -> Value:
    """Identity(x)  ->  x"""
    return _first(m)


def _first(m: Match) -> Value:
    x = m.node.inputs[0]
    assert x is not None
    return x
