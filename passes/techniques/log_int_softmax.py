"""Softmax in 32-bit integers, whose weights are powers of 2.

Paper: Lin et al. 2022, "FQ-ViT: Post-Training Quantization for Fully Quantized Vision Transformer",
arXiv:2111.13824 (Log-Int-Softmax); exponentials by shifts from Li and Gu 2023,
"I-ViT: Integer-only Quantization for Efficient Vision Transformer Inference", arXiv:2207.01405
(Shiftmax). Both from knowledge of the papers; neither formula was held against their code.
Not here: scores as int8 with a scale of their layer; they are taken in steps of 1/1024 below the
greatest of the row, and all below -16 as that.
Claims: FQ-ViT loses about 1 % of ImageNet accuracy with all in 8 bits and attention weights in 4.
Checked: no integer passes 2^31 with up to 65535 keys; weights are powers of 2, in the order of the
scores, and in rows of up to 40 keys within a factor of 1.7 of softmax, but for those under 2^-10.
"""

from __future__ import annotations

from graphwright.passes.knobs import within
from graphwright.passes.normalizer import normalizer, plain_attention

STEPS = 1024  # of a score, to 1
LEAST = -16.0  # below the greatest score of the row, e^-16 is no part of ONE
RANGE = 1 << 14  # of j; where scores are NaN it has to be held to that, or 2^q overflows
ONE = 1 << 14  # what exp 0 is


@normalizer(plain_attention())
def log_int_softmax(*, bits: int = 4) -> str:
    """w' = 2^-n, n = round(log2(sum e / e_i)), e_i = exp(s_i - max s) by shifts, in integers

    bits is 2 to 4; a weight of n > 2^bits - 1 is 0. n counts the thresholds 3/2 2^k that sum e /
    e_i passes, which is log2 rounded at 3/2 as the first two bits of a number tell it, so no
    division is needed. With j = 1024 (max s - s), an integer up to 2^14, exp(-j/1024) is
    2^(-p/1024) for p = j + j/2 - j/16, within 0.4 % of j log2 e; p is 1024 q + r, and 2^(-r/1024)
    is taken as 1 - r/2048, at most 6.2 % too much. e is at most 2^14, so 3 2^k e is at most 3 2^29
    for k = 15, and 2 sum e at most 2^15 T: both stay under 2^31 for T up to 65535 keys. A row sums
    to at most 1.7, and to no less than what is left of it over 1.7.
    """
    within("log-int-softmax: bits", bits, 2, 4)
    passed = " + ".join(f"Cast(total >= e * i32({3 << k}), to='i32')" for k in range(1 << bits))
    return f"""
        below = Max(Where(valid, s - ReduceMax(s), {LEAST}), {LEAST})
        j = Max(Min(Cast(Round(below * {-float(STEPS)}), to='i32'), i32({RANGE})), i32(0))
        p = j + j / i32(2) - j / i32(16)
        q = p / i32({STEPS})
        r = p - q * i32({STEPS})
        e = (i32({2 * STEPS}) - r) * i32({ONE // (2 * STEPS)}) / Pow(i32(2), q)
        total = ReduceSum(e) * i32(2)
        n = {passed}
        Where(n > i32({(1 << bits) - 1}), 0.0, Pow(0.5, Cast(n, to=dtype)))"""
