"""Log2 quantization of attention weights.

Paper: Li et al. 2024, RepQuant, arXiv:2402.05628 (sections 3.2 and 3.3), and its predecessor
RepQ-ViT.
Claims: accuracy of W4A4 vision transformers close to full precision.
Checked: each weight within sqrt(2) - 1 of itself; the drift of row sums; what it costs on MiniLM.
"""

from __future__ import annotations

from math import log

from graphwright.ir.errors import ModelError
from graphwright.passes.normalizer import normalizer
from graphwright.passes.rule import Example


def _error(*, bits: int = 4) -> tuple[float, float]:
    return 2**0.5 - 1, 2.0 ** -(2**bits - 0.5)


@normalizer(Example("q: f32[B, 2, S, 4], k: f32[B, 2, T, 4], v: f32[B, 2, T, 4]",
"Attention(q, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='')","""
def normalizer(s: f32[B, 2, S, T]):
    p = Softmax(s, axis=-1)
    n = Round(-Log(p) * 1.442695)
    return Where(Greater(n, f32(15)), f32(0), Pow(f32(2), -n))
Attention(q, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='', normalizer=normalizer)"""), error=_error)
def log2_softmax(*, bits: int = 4) -> str:
    """w' = 2 ** -round(-log2 w), or 0 where that needs more than `bits` bits"""
    if not 2 <= bits <= 8:
        raise ModelError(f"log2-softmax: bits is 2 to 8, not {bits}")
    return f"""
        n = Round(-Log(Softmax(s)) * {1 / log(2)})
        Where(n > {2.0**bits - 1}, 0.0, Pow(2.0, -n))"""
