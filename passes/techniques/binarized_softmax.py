"""Attention weights of one bit, by a threshold under the greatest score and without exponentials.

Paper: He et al. 2023, "BiViT: Extremely Compressed Binary Vision Transformer", arXiv:2211.07091,
section 3.2 (softmax-aware binarization), without its training.
Not here: signs of q, k, v and of weights.
Claims: 70.8 % on ImageNet with Swin-T, all of it binary and trained so.
Checked: the threshold on scores is the one on weights; lambda near 1 leaves the greatest alone,
near 0 all; support means have the least squared error for what is kept.
"""

from __future__ import annotations

from math import log

from graphwright.passes.fitting import Fit
from graphwright.passes.knobs import one_of, within
from graphwright.passes.normalizer import normalizer, plain_attention

SHARES = (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 0.9)
OMEGA = {
    "none": "1.0",
    "count": "1.0 / ReduceSum(Where(kept, 1.0, 0.0))",
    "mean": "ReduceSum(Where(kept, Softmax(s), 0.0)) / ReduceSum(Where(kept, 1.0, 0.0))",
}


@normalizer(
    plain_attention(
        """
        def normalizer(s: f32[B, 2, S, T]):
            kept = GreaterOrEqual(s, ReduceMax(s, axes=(-1,), keepdims=1) + -1.3862944)
            of = ReduceSum(Where(kept, f32(1), f32(0)), axes=(-1,), keepdims=1)
            return Where(kept, 1.0 / of, f32(0))"""
    ),
    fit=Fit("share", SHARES),
)
def binarized_softmax(*, share: float = 0.25, omega: str = "count") -> str:
    """w' = omega where s >= max s + ln share, else 0

    That is where the weight of softmax is at least `share`, lambda in the paper, of the greatest in
    its row; share is 0.0001 to 1, or data. omega, one number a row, is `count`, 1 over how many are
    kept, so that rows sum to 1; `mean`, the mean weight of those, nearest to softmax, for which
    softmax has to be computed; or `none`, which is 1, as in the paper's code.
    """
    within("binarized-softmax: share", share, 0.0001, 1)
    one_of("binarized-softmax: omega", omega, *OMEGA)
    return f"""
        kept = s >= ReduceMax(s) + {log(share)}
        Where(kept, {OMEGA[omega]}, 0.0)"""
