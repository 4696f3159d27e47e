"""Activations that the file's opset lacks become ONNX Runtime's own operators."""

from __future__ import annotations

from graphwright.ir.graph import Value
from graphwright.passes.pattern import Gelu, Swish, var
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule
from graphwright.passes.shapes import dtype_of

x = var("x")
NAMES = {"none": "com.microsoft::Gelu", "tanh": "com.microsoft::FastGelu"}


def has(op: Builder, name: str, x: Value, since: int) -> str:
    """The name of an operator that stands for one of opset `since`, where that is needed."""
    need(op.budget.opset < since, f"the model's opset has the operator since opset {since}")
    need(op.budget.supports(name, dtype_of(x)), f"the runtime that is installed has no {name}")
    return name


@rule(
    Gelu(x, approximate="approximate"),
    Tolerance(),
    Example("x: f32[B, 64]", 'Gelu(x, approximate="none")', 'call("com.microsoft::Gelu", x)'),
    Example("x: f32[B, 64]", 'Gelu(x, approximate="tanh")', 'call("com.microsoft::FastGelu", x)'),
    Example("x: f32[B, 64]", "Swish(x, alpha=1.0)", because="does not fit"),
)
def lower_gelu(m: Match, op: Builder) -> Value:
    """Gelu(x)  ->  com.microsoft::Gelu(x), or FastGelu in the tanh form

    x, result: any shape. Only where the opset is before 20, which has Gelu, and where ONNX Runtime
    runs the operator for x's element type.
    """
    return op.call(has(op, NAMES[m.approximate], m.x, 20), m.x)


@rule(
    Swish(x, alpha="alpha"),
    Tolerance(),
    Example(
        "x: f32[B, 64]", "Swish(x, alpha=1.0)", 'call("com.microsoft::QuickGelu", x, alpha=1.0)'
    ),
    Example("x: f32[B, 64]", 'Gelu(x, approximate="none")', because="does not fit"),
)
def lower_swish(m: Match, op: Builder) -> Value:
    """Swish(x)  ->  com.microsoft::QuickGelu(x)

    x, result: any shape. Only where the opset is before 24, which has Swish, and where ONNX Runtime
    runs the operator for x's element type.
    """
    return op.call(has(op, "com.microsoft::QuickGelu", m.x, 24), m.x, alpha=m.alpha)
