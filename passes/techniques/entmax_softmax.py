"""Entmax: a softmax with exact zeros, from softmax (alpha near 1) to the sparsemax (alpha 2).

Paper: Peters et al. 2019, "Sparse Sequence-to-Sequence Models", arXiv:1905.05702, by
bisection; alpha 2 is Martins and Astudillo 2016, arXiv:1602.02068.
Not here: alpha learnt with the model (Correia et al. 2019); the algorithm by sorting.
Claims: better scores in morphological inflection and translation, trained with it.
Checked: alpha 2 is the projection on the simplex, by sorting; alpha near 1 goes to softmax; rows
sum to 1, keep their order and see no shift.
"""

from __future__ import annotations

from graphwright.passes.knobs import within
from graphwright.passes.normalizer import normalizer, plain_attention

STEPS = 24  # as many halvings of 1 as a float32 can tell


@normalizer(plain_attention())
def entmax_softmax(*, alpha: float = 1.5) -> str:
    """w' = relu((alpha - 1) s - t)^(1 / (alpha - 1)), with the t for which they sum to 1

    alpha is 1.01 to 2. t lies at most 1 below the greatest of (alpha - 1) s, and is found by
    halving that 24 times and by one step of Newton's, whose gradient is that of t; what is left of
    the error is divided out.
    """
    within("entmax-softmax: alpha", alpha, 1.01, 2)
    power = 1 / (alpha - 1)
    lines = [f"x0 = s * {alpha - 1}", "x = x0 - ReduceMax(x0)", "t0 = ReduceMax(x) - 1.0"]
    for i in range(1, STEPS + 1):
        middle = f"t{i - 1} + {2.0**-i}"
        total = f"ReduceSum(Pow(Relu(x - m{i}), {power}))"
        lines += [f"m{i} = {middle}", f"t{i} = Where({total} >= 1.0, m{i}, t{i - 1})"]
    t = f"t{STEPS}"
    falls = f"Where(x > {t}, Pow(Relu(x - {t}), {power - 1}) * {power}, 0.0)"
    last = f"{t} + (ReduceSum(Pow(Relu(x - {t}), {power})) - 1.0) / ReduceSum({falls})"
    return "\n".join([*lines, f"e = Pow(Relu(x - ({last})), {power})", "e / ReduceSum(e)"])
