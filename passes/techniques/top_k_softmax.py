"""Softmax over the k keys of the greatest scores; the others weigh exactly 0.

Paper: Gupta et al. 2021, "Memory-efficient Transformers via Top-k Attention", arXiv:2106.06899.
Not here: their chunks, which save memory; as a formula of a row it is the same function.
Claims: accuracy nearly that of softmax, trained with it, fine-tuned, or put into a trained model.
Checked: beside sorting; k at least the number of keys is softmax; equal scores are kept together.
"""

from __future__ import annotations

from graphwright.passes.knobs import within
from graphwright.passes.normalizer import normalizer, plain_attention


@normalizer(plain_attention())
def top_k_softmax(*, k: int = 8) -> str:
    """w' = softmax(s where s is one of the k greatest of the row, -inf elsewhere)

    k is 1 to 32. Scores equal to the k-th are kept too. The k-th is found by going down from the
    greatest, from one score to the next below it, until k are met: two sweeps of the row a step.
    """
    within("top-k-softmax: k", k, 1, 32)
    steps = ["t0 = ReduceMax(s)"]
    for i in range(1, k):
        t = f"t{i - 1}"
        met = f"ReduceSum(Where(s >= {t}, 1.0, 0.0))"
        below = f"ReduceMax(Where(s < {t}, s, -inf))"
        steps.append(f"t{i} = Where({met} < {float(k)}, {below}, {t})")
    return "\n".join([*steps, f"Softmax(Where(s >= t{k - 1}, s, -inf))"])
