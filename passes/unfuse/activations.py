"""ONNX Runtime's own activations become ONNX's."""

from __future__ import annotations

from graphwright.ir.graph import Value
from graphwright.passes.application import any_node
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule

ALPHA = 1.702  # of a QuickGelu where nothing else is said


@rule(
    any_node("com.microsoft::Gelu", "com.microsoft::FastGelu", "com.microsoft::BiasGelu"),
    Tolerance(),
    Example("x: f32[B, 64]", 'call("com.microsoft::Gelu", x)', 'Gelu(x, approximate="none")'),
    Example(
        "x: f32[B, 64], b: f32[64]",
        'call("com.microsoft::FastGelu", x, b)',
        'Gelu(x + b, approximate="tanh")',
    ),
    Example(
        "x: f32[B, 64], b: f32[64]",
        'call("com.microsoft::BiasGelu", x, b)',
        'Gelu(x + b, approximate="none")',
    ),
    Example("x: f32[B, 64]", "Swish(x, alpha=1.0)", because="does not fit"),
)
def raise_gelu(m: Match, op: Builder) -> Value:
    """com.microsoft::Gelu(x), FastGelu(x, b), BiasGelu(x, b)  ->  Gelu(x + b)

    x, result: any shape; b: a vector that is added along the last axis.
    """
    x, *bias = m.node.inputs
    given = [b for b in bias if b is not None]
    added = op.Add(x, given[0]) if given else x
    return op.Gelu(added, approximate="tanh" if "Fast" in m.node.op else "none")


@rule(
    any_node("com.microsoft::QuickGelu"),
    Tolerance(),
    Example(
        "x: f32[B, 64]", 'call("com.microsoft::QuickGelu", x, alpha=1.5)', "Swish(x, alpha=1.5)"
    ),
    Example("x: f32[B, 64]", 'call("com.microsoft::QuickGelu", x)', "Swish(x, alpha=1.702)"),
    Example("x: f32[B, 64]", 'Gelu(x, approximate="none")', because="does not fit"),
)
def raise_swish(m: Match, op: Builder) -> Value:
    """com.microsoft::QuickGelu(x)  ->  Swish(x)

    x, result: any shape.
    """
    alpha = m.node.attrs.get("alpha", ALPHA)
    need(isinstance(alpha, float), "its alpha is no number")
    return op.Swish(m.node.inputs[0], alpha=alpha)
