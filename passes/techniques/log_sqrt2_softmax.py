"""Quantization of attention weights to powers of sqrt 2, as shifts and one factor for odd powers.

Paper: Li et al. 2024, "RepQuant: Towards Accurate Post-Training Quantization of Large Transformer
Models via Scale Reparameterization", arXiv:2402.05628; the same authors' RepQ-ViT,
arXiv:2212.08254, has the formula, and its code was read.
Not here: the search of the scale over percentiles; scale=data searches a list of scales, by the
squared error of what attention gives.
Claims: none in numbers in the abstract.
Checked: it is s 2^(-n/2) exactly; weights are within 2^(1/4) - 1 of themselves; what it costs on a
trained sentence encoder beside other quantizers of as many bits.
"""

from __future__ import annotations

from math import log

from graphwright.passes.fitting import Fit
from graphwright.passes.knobs import within
from graphwright.passes.normalizer import normalizer, plain_attention

SCALES = tuple(2.0 ** (-i / 4) for i in range(17))  # from 1 down to 1/16


def _error(*, bits: int = 4, scale: float = 1.0) -> tuple[float, float]:
    relative = 2**0.25 - 1
    lost = scale * 2.0 ** -((2**bits - 0.5) / 2)
    clipped = 1 - scale - relative  # of a weight of 1, beyond what is allowed it anyway
    return relative, max(lost, clipped)


@normalizer(
    plain_attention(
        """
        def normalizer(s: f32[B, 2, S, T]):
            n = Max(Round(-Log(Softmax(s, axis=-1) / 1.0) * 2.88539), f32(0))
            h = Ceil(n / 2.0)
            w = 2.0 ** -h * ((h * 2.0 - n) * 0.41421357 + 1.0) * 1.0
            return Where(Greater(n, f32(15)), f32(0), w)"""
    ),
    error=_error,
    fit=Fit("scale", SCALES),
)
def log_sqrt2_softmax(*, bits: int = 4, scale: float = 1.0) -> str:
    """w' = scale 2^-h (1 + odd (sqrt 2 - 1)), n = round(-2 log2(w / scale)), h = ceil(n / 2)

    Which is scale sqrt 2^-n, where odd = 2h - n says whether n is; 0 where n needs more than `bits`
    bits, and `scale` where w is larger than that. w is the weight that softmax gives; bits is 2 to
    8; scale is 0.01 to 1, or data. What the row sums to drifts by at most a factor of 2^(1/4), and
    by what is clipped or lost.
    """
    within("log-sqrt2-softmax: bits", bits, 2, 8)
    within("log-sqrt2-softmax: scale", scale, 0.01, 1)
    return f"""
        n = Max(Round(-Log(Softmax(s) / {scale}) * {2 / log(2)}), 0.0)
        h = Ceil(n / 2.0)
        w = 2.0 ** -h * ((h * 2.0 - n) * {2**0.5 - 1} + 1.0) * {scale}
        Where(n > {2.0**bits - 1}, 0.0, w)"""
