"""Softmax stretched and clipped, so that a weight can be exactly 0 or 1.

Paper: Bondarenko et al. 2023, "Quantizable Transformers: Removing Outliers by Helping Attention
Heads Do Nothing", arXiv:2306.12929, section 4.1, equation 4; their code was read for gamma.
Not here: training, without which heads learn nothing of it.
Claims: BERT, OPT and ViT trained with it keep their accuracy with all activations in 8 bits.
Checked: gamma 0 and zeta 1 are softmax; weights up to -gamma / (zeta - gamma) are 0; no weight is
farther off than -gamma or zeta - 1; what it costs a sentence encoder not trained for it.
"""

from __future__ import annotations

from graphwright.passes.knobs import within
from graphwright.passes.normalizer import normalizer, plain_attention


def _error(*, gamma: float = -0.03, zeta: float = 1.0, alpha: float = 0.0) -> tuple[float, float]:
    return 0.0, max(-gamma, zeta - 1, alpha)


@normalizer(
    plain_attention(
        """
        def normalizer(s: f32[B, 2, S, T]):
            return Min(Max(Softmax(s, axis=-1) * 1.03 + -0.03, f32(0)), f32(1))"""
    ),
    error=_error,
)
def clipped_softmax(*, gamma: float = -0.03, zeta: float = 1.0, alpha: float = 0.0) -> str:
    """w' = clip((zeta - gamma) w + gamma, 0, 1)

    w is the weight that softmax gives; gamma is -1 to 0, zeta 1 to 2. With alpha, above 0 and up
    to 8, gamma is -alpha over the number of keys that are not hidden, whatever it was set to.
    """
    within("clipped-softmax: gamma", gamma, -1, 0)
    within("clipped-softmax: zeta", zeta, 1, 2)
    within("clipped-softmax: alpha", alpha, 0, 8)
    if not alpha:
        return f"Min(Max(Softmax(s) * {zeta - gamma} + {gamma}, 0.0), 1.0)"
    return f"""
        gamma = {-alpha} / count
        Min(Max(Softmax(s) * ({zeta} - gamma) + gamma, 0.0), 1.0)"""
