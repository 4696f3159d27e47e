"""Quantization of attention weights in equal steps, what logarithmic ones are to be held against.

Paper: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", arXiv:1712.05877, section 2.1, with the zero point 0.
Claims: none for attention.
Checked: no weight is farther off than half a step, or than it is clipped; the sum of a row; 8 bits
and 2 on a trained sentence encoder.
"""

from __future__ import annotations

from graphwright.passes.fitting import Fit
from graphwright.passes.knobs import within
from graphwright.passes.normalizer import normalizer, plain_attention

SCALES = tuple(2.0 ** (-i / 4) for i in range(17))  # from 1 down to 1/16


def _error(*, bits: int = 8, scale: float = 1.0) -> tuple[float, float]:
    return 0.0, max(scale / (2**bits - 1) / 2, 1 - scale)


@normalizer(
    plain_attention(
        """
        def normalizer(s: f32[B, 2, S, T]):
            return Round(Min(Softmax(s, axis=-1), f32(1)) * 255.0) * 0.003921569"""
    ),
    error=_error,
    fit=Fit("scale", SCALES),
)
def uniform_softmax(*, bits: int = 8, scale: float = 1.0) -> str:
    """w' = d round(min(w, scale) / d), d = scale / (2^bits - 1)

    w is the weight that softmax gives; bits is 2 to 8; scale, the greatest weight there is, is 0.01
    to 1, or data. What lies under half a step d is lost, which of T keys is all of an even row as
    soon as T is more than 2 / d. A row sums to 1 up to T d / 2, and less what is clipped.
    """
    within("uniform-softmax: bits", bits, 2, 8)
    within("uniform-softmax: scale", scale, 0.01, 1)
    step = scale / (2**bits - 1)
    return f"Round(Min(Softmax(s), {scale}) * {1 / step}) * {step}"
