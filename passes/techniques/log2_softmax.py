"""Log2 quantization of attention weights, which multiplies values by shifts.

Paper: Li et al. 2024, RepQuant, arXiv:2402.05628, section 3.3, for the base 2.
Claims: none of its own; the paper's base is sqrt 2.
Checked: each weight is within sqrt 2 - 1 of itself; what it costs on a trained sentence encoder.
"""

from __future__ import annotations

from math import log

from graphwright.ir.errors import ModelError
from graphwright.passes.normalizer import normalizer
from graphwright.passes.rule import Example

GIVEN = "q: f32[B, 2, S, 4], k: f32[B, 2, T, 4], v: f32[B, 2, T, 4]"
ATTRS = "scale=0.5, cap=0.0, filler=-inf, guard=0, precision=''"


def _error(*, bits: int = 4) -> tuple[float, float]:
    if not 2 <= bits <= 8:
        raise ModelError(f"log2-softmax: bits is 2 to 8, not {bits}")
    return 2**0.5 - 1, 2.0 ** -(2**bits - 0.5)


@normalizer(
    Example(
        GIVEN,
        f"Attention(q, k, v, {ATTRS})",
        f"""
        def normalizer(s: f32[B, 2, S, T]):
            n = Round(-Log(Softmax(s, axis=-1)) * 1.442695)
            return Where(Greater(n, f32(15)), f32(0), 2.0 ** -n)
        Attention(q, k, v, {ATTRS}, normalizer=normalizer)""",
    ),
    error=_error,
)
def log2_softmax(*, bits: int = 4) -> str:
    """w' = 2^-round(-log2 w), or 0 where the exponent needs more than `bits` bits

    Where w is the weight that softmax gives. A row no longer sums to 1: its sum drifts by at most
    sqrt 2 - 1, and by what falls to 0.
    """
    return f"""
        n = Round(-Log(Softmax(s)) * {1 / log(2)})
        Where(n > {2.0**bits - 1}, 0.0, 2.0 ** -n)"""
