"""What arithmetic and logic leave as it is, bit by bit."""

from __future__ import annotations

import math

from graphwright.ir.graph import Node, Value
from graphwright.ir.types import FLOATS
from graphwright.passes.application import any_node
from graphwright.passes.pattern import Neg, Not, Where, var
from graphwright.passes.readings import number
from graphwright.passes.rule import Builder, Exact, Example, Match, need, rule
from graphwright.passes.shapes import dtype_of, same_shape

x, y, test = var("x"), var("y"), var("test")
NEUTRAL = {"Mul": 1, "Div": 1, "Pow": 1, "Sub": 0, "And": 1, "Or": 0, "Xor": 0}
ONE_SIDED = frozenset({"Div", "Pow", "Sub"})


def _operand(node: Node) -> Value | None:
    """The operand that comes out as it goes in, if the other one is neutral."""
    a, b = node.inputs
    if a is None or b is None or (a.const is None and b.const is None):
        return None
    neutral = NEUTRAL.get(node.op, 0)
    for kept, other in ((a, b), (b, a)):
        found = number(other, kept)
        if found == neutral and _is_exact(node.op, found, dtype_of(kept)):
            return kept
        if node.op in ONE_SIDED:
            break
    return None


def _is_exact(op: str, constant: float, dtype: str) -> bool:
    """Of floats -0 + 0 is 0, so only -0 may be added, and only 0 be taken away."""
    negative = math.copysign(1.0, constant) < 0
    if dtype in FLOATS and op in ("Add", "Sub"):
        return negative == (op == "Add")
    return True


@rule(
    any_node("Add", *NEUTRAL, when=lambda node: _operand(node) is not None),
    Exact(),
    Example("x: f32[B, 64]", "Tanh(1.0 * x)", "Tanh(x)"),
    Example("x: f32[B, 64]", "Tanh((x / 1.0) ** 1.0)", "Tanh(x)"),
    Example("x: f32[B, 64]", "Tanh(x - 0.0)", "Tanh(x)"),
    Example("x: f32[B, 64]", "Tanh(x + 0.0)", because="does not fit"),
    Example("x: f32[B, 64]", "Tanh(1.0 / x)", because="does not fit"),
    Example("x: f32[64]", "Tanh(x * f32([[1.0]]))", because="does not fit"),
)
def drop_neutral(m: Match, op: Builder) -> Value:
    """x * 1  ->  x

    Likewise x / 1, x ** 1, x - 0, x & true, x | false, x ^ false. x + 0 stays, since -0 + 0 is 0;
    integers have no -0.
    """
    kept = _operand(m.node)
    assert kept is not None
    return kept


@rule(
    Not(Not(x)) | Neg(Neg(x)),
    Exact(),
    Example("x: bool[B]", "And(Not(Not(x)), x)", "And(x, x)"),
    Example("x: f32[B]", "Tanh(-(-x))", "Tanh(x)"),
    may_share=True,
)
def drop_double_negation(m: Match, op: Builder) -> Value:
    """not not x  ->  x, and -(-x)  ->  x"""
    return m.x


@rule(
    Where(test, x, y),
    Exact(),
    Example("t: bool[B], x: f32[B]", "Tanh(Where(t, x, x))", "Tanh(x)"),
    Example("x: f32[B], y: f32[B]", "Tanh(Where(bool(True), x, y))", "Tanh(x)"),
    Example("t: bool[B], x: f32[B], y: f32[B]", "Where(t, x, y)", because="differ"),
    Example("x: f32[1], y: f32[...]", "Where(bool(True), x, y)", because="larger shape"),
)
def drop_where(m: Match, op: Builder) -> Value:
    """Where(test, x, x)  ->  x, and Where(true, x, y)  ->  x"""
    chosen = number(m.test)
    need(m.x is m.y or chosen is not None, "its branches differ and its test is not constant")
    kept: Value = m.y if chosen == 0 else m.x
    need(same_shape(kept, m.root), "what is chosen may be repeated to a larger shape")
    return kept
