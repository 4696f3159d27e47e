"""Softmax over the keys whose scores are not far below the greatest; the others weigh exactly 0.

Paper: none; it is the selection of BiViT (arXiv:2211.07091) with the weights of softmax kept.
Checked: what is kept is softmax over what is kept; a wide margin changes nothing; no row is empty.
"""

from __future__ import annotations

from math import log

from graphwright.passes.knobs import within
from graphwright.passes.normalizer import normalizer, plain_attention


@normalizer(
    plain_attention(
        """
        def normalizer(s: f32[B, 2, S, T]):
            kept = GreaterOrEqual(s, ReduceMax(s, axes=(-1,), keepdims=1) + -4.6051702)
            return Softmax(Where(kept, s, f32(-inf)), axis=-1)"""
    )
)
def threshold_softmax(*, share: float = 0.01) -> str:
    """w' = softmax(s where s >= max s + ln share, -inf elsewhere)

    Keys that would weigh less than `share` of the greatest in their row are left out; share is 1e-6
    to 1. The rest grows by what those weighed, less than T share for T keys.
    """
    within("threshold-softmax: share", share, 1e-6, 1)
    return f"Softmax(Where(s >= ReduceMax(s) + {log(share)}, s, -inf))"
