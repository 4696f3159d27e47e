"""Logarithmic quantization of attention weights; with base 2 values are multiplied by shifts.

Paper: Li et al. 2024, "RepQuant: Towards Accurate Post-Training Quantization of Large Transformer
Models via Scale Reparameterization", arXiv:2402.05628, has the base sqrt 2; the base
2 is that of Lin et al. 2022, FQ-ViT, arXiv:2111.13824.
Claims: FQ-ViT loses about 1 % of ImageNet accuracy with all in 8 bits and attention weights in 4.
Checked: each weight is within sqrt(base) - 1 of itself, which goes to 0 as the base goes to 1; the
sum of a row; what it costs on a trained sentence encoder.
"""

from __future__ import annotations

from math import log

from graphwright.passes.knobs import within
from graphwright.passes.normalizer import normalizer, plain_attention


def _error(*, bits: int = 4, base: float = 2.0) -> tuple[float, float]:
    return base**0.5 - 1, base ** -(2**bits - 0.5)


@normalizer(
    plain_attention(
        """
        def normalizer(s: f32[B, 2, S, T]):
            n = Round(-Log(Softmax(s, axis=-1)) * 1.442695)
            return Where(Greater(n, f32(15)), f32(0), 2.0 ** -n)"""
    ),
    error=_error,
)
def log2_softmax(*, bits: int = 4, base: float = 2.0) -> str:
    """w' = base^-round(-log_base w), or 0 where the exponent needs more than `bits` bits

    w is the weight that softmax gives; bits is 2 to 8, base 1.01 to 4. A row no longer sums to 1:
    its sum lies between what is left of it over sqrt(base) and sqrt(base), since each weight that
    is left is at most a factor of sqrt(base) off. A weight under base^-(2^bits - 1/2) is lost, and
    of many keys many may be.
    """
    within("log2-softmax: bits", bits, 2, 8)
    within("log2-softmax: base", base, 1.01, 4)
    return f"""
        n = Round(-Log(Softmax(s)) * {1 / log(base)})
        Where(n > {2.0**bits - 1}, 0.0, {base} ** -n)"""
