"""A softmax that grows as its scores do and not as their exponentials, so that nothing overflows.

Paper: Prieto et al. 2025, "Grokking at the Edge of Numerical Stability", arXiv:2501.04697,
definition of StableMax; their code was read.
Not here: orthogonal gradients; the paper has it in the loss, not in attention.
Claims: none for attention.
Checked: it is softmax of sign(s) log(1 + |s|); the order of scores stays; 1e30 overflows nothing.
"""

from __future__ import annotations

from graphwright.passes.normalizer import normalizer, plain_attention


@normalizer(
    plain_attention(
        """
        def normalizer(s: f32[B, 2, S, T]):
            e = Where(GreaterOrEqual(s, f32(0)), s + 1.0, 1.0 / (1.0 - Min(s, f32(0))))
            return e / ReduceSum(e, axes=(-1,), keepdims=1)"""
    )
)
def stablemax() -> str:
    """w' = g(s) / sum g(s), g(s) = s + 1 for s >= 0, else 1 / (1 - s)"""
    return """
        e = Where(s >= 0.0, s + 1.0, 1.0 / (1.0 - Min(s, 0.0)))
        e / ReduceSum(e)"""
