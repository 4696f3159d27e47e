"""ONNX Runtime's norms of sums become a sum and ONNX's norm."""

from __future__ import annotations

from graphwright.ir.graph import Value
from graphwright.passes.application import EachOutput
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule

SKIP = "com.microsoft::SkipLayerNormalization"
SIMPLE = "com.microsoft::SkipSimplifiedLayerNormalization"
GIVEN = "x: f32[B, S, 8], y: f32[B, S, 8], g: f32[8], b: f32[8]"
SUM = 3  # the output that is the sum which is normalized


@rule(
    EachOutput(SKIP, SIMPLE),
    Tolerance(),
    Example(
        GIVEN,
        f'call("{SKIP}", x, y, g, b, epsilon=1e-05)',
        "LayerNormalization(x + y, g, b, axis=-1, epsilon=1e-05, stash_type=1)",
    ),
    Example(
        GIVEN,
        f'call("{SIMPLE}", x, y, g, b, epsilon=1e-05)',
        "RMSNormalization(x + y + b, g, axis=-1, epsilon=1e-05, stash_type=1)",
    ),
    Example(GIVEN, f'call("{SKIP}", x, y, g, b)', because="its epsilon is not said"),
)
def raise_skip_norm(m: Match, op: Builder) -> Value:
    """SkipLayerNormalization(x, y, gamma, beta, bias)  ->  LayerNormalization(x + y + bias)

    x, result: [B, S, N]; y: the same, or without B. The sum is given back where it is an output.
    """
    node, index = m.node, m.node.outputs.index(m.root)
    read = any(v.uses for i, v in enumerate(node.outputs) if i not in (0, SUM))
    need(not read and index in (0, SUM), "the mean or the variance is read")
    epsilon = node.attrs.get("epsilon")
    need(isinstance(epsilon, float), "its epsilon is not said")
    simple = node.op == SIMPLE
    x, y, gamma = node.inputs[:3]
    beta, bias = [*node.inputs[3:], None, None][:2]
    beta, bias = (None, beta) if simple else (beta, bias)
    total = op.Add(x, y)
    total = total if bias is None else op.Add(total, bias)
    if index == SUM:
        return total
    attrs = {"axis": -1, "epsilon": epsilon, "stash_type": 1}
    if simple:
        return op.RMSNormalization(total, gamma, **attrs)
    given = [gamma] if beta is None else [gamma, beta]
    return op.LayerNormalization(total, *given, **attrs)
