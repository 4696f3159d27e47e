"""ONNX Runtime's FusedMatMul becomes a MatMul and what was fused with it."""

from __future__ import annotations

from graphwright.ir.graph import Value
from graphwright.passes.application import any_node
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule
from graphwright.passes.shapes import shape_of

FUSED = "com.microsoft::FusedMatMul"


@rule(
    any_node(FUSED),
    Tolerance(),
    Example(
        "x: f32[B, 4, 8], y: f32[B, 5, 8]",
        f'call("{FUSED}", x, y, transB=1, alpha=0.5)',
        "x @ Transpose(y, perm=(0, 2, 1)) * 0.5",
    ),
    Example(
        "x: f32[B, 4, 8], y: f32[B, 8, 5]",
        f'call("{FUSED}", x, y, transBatchA=1)',
        because="batches",
    ),
)
def raise_matmul(m: Match, op: Builder) -> Value:
    """FusedMatMul(A, B)  ->  alpha (A' @ B'), each transposed where that is asked for

    A: [*B, M, K] or [*B, K, M]; B: [*B, K, N] or [*B, N, K]; result: [*B, M, N].
    """
    attrs = m.node.attrs
    batches = attrs.get("transBatchA", 0) or attrs.get("transBatchB", 0)
    need(not batches, "its batches are transposed as well")
    sides = [
        _turned(op, x) if attrs.get(name, 0) else x
        for x, name in zip(m.node.inputs, ("transA", "transB"), strict=True)
    ]
    product, alpha = op.MatMul(*sides), attrs.get("alpha", 1.0)
    need(isinstance(alpha, float), "its alpha is no number")
    return product if alpha == 1.0 else op.Mul(product, alpha)


def _turned(op: Builder, x: Value | None) -> Value:
    rank = len(shape_of(x) or ())
    need(rank >= 2, "the rank of what is transposed is not known, or a vector is")
    return op.Transpose(x, perm=(*range(rank - 2), rank - 1, rank - 2))
