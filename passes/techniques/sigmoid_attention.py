"""Sigmoids in place of softmax: each key weighed by its own score, no row summed.

Paper: Ramapuram et al. 2025, "Theory, Analysis, and Best Practices for Sigmoid Self-Attention",
arXiv:2409.04431, with its bias -log n.
Not here: training, without which it is another model; their norms and layer scales.
Claims: as good as softmax when trained with it, and 17 % faster to infer on H100.
Checked: n keys of score 0 sum to n / (n + 1); two keys with n = 1 give what softmax gives of a
difference; nothing depends on other keys but for how many there are.
"""

from __future__ import annotations

from graphwright.passes.normalizer import normalizer, plain_attention


@normalizer(
    plain_attention(
        """
        def normalizer(s: f32[B, 2, S, T]):
            n = Cast(Greater(s, f32(-inf)), to="f32")
            return Sigmoid(s - Log(ReduceSum(n, axes=(-1,), keepdims=1)) + 0.0)"""
    )
)
def sigmoid_attention(*, bias: float = 0.0) -> str:
    """w' = sigmoid(s - log n + bias)

    n is how many keys are not hidden; bias is any number. Rows sum to less than n.
    """
    return f"Sigmoid(s - Log(count) + {bias})"
