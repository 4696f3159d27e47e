"""Softplus in place of the exponential of softmax, then weights above the average sharpened.

Paper: Gao and Spratling 2025, "Softplus Attention with Re-weighting Boosts Length Extrapolation in
Large Language Models", arXiv:2501.13428; the formulas from two descriptions of it that agree.
Not here: q and k of length 1, and the scale log d log n that goes with them, which a formula of
scores cannot do but for the log n; `gain` stands in their place. Training.
Claims: nearly the same validation loss at 16 times the training length.
Checked: phi=exp with power 1 and offset 0 is softmax; rows sum to 1 and keep their order; a large
power leaves the greatest alone.
"""

from __future__ import annotations

from graphwright.passes.knobs import one_of, within
from graphwright.passes.normalizer import normalizer, plain_attention


@normalizer(plain_attention())
def softplus_attention(
    *, power: int = 3, offset: float = 1.0, rows: int = 3, phi: str = "softplus", gain: float = 1.0
) -> str:
    """a = phi(gain log n s) / sum; w' = relu(n a - offset)^power / sum

    n is how many keys are not hidden. phi is `softplus`, or `exp`, which leaves out log n; power is
    0, which leaves a as it is, to 64; offset 0 to 1, and 0 in rows of up to `rows` keys, which
    under a causal mask are the first ones; gain 0.001 to 1000. A row of equal weights has none
    above the average, and keeps them; one of scores so low that phi is 0 for all has softmax, as
    rows have of which all keys are hidden. Powers are taken of parts of the greatest, so that none
    overflows.
    """
    within("softplus-attention: power", power, 0, 64)
    within("softplus-attention: offset", offset, 0, 1)
    within("softplus-attention: gain", gain, 0.001, 1000)
    one_of("softplus-attention: phi", phi, "softplus", "exp")
    if phi == "exp":
        first = f"a = Softmax(s * {gain})"
    else:
        first = f"""
e = Where(valid, Softplus(s * (Log(count) * {gain})), 0.0)
total = ReduceSum(e)
a = Where(total > 0.0, e / total, Softmax(s))"""
    if not power:
        return f"{first}\na + 0.0"
    return f"""{first}
above = Relu(a * count - Where(count > {rows}, {offset}, 0.0))
top = ReduceMax(above)
part = Where(above > 0.0, Pow(above / top, {float(power)}), 0.0)
Where(top > 0.0, part / ReduceSum(part), a)"""
