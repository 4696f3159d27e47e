"""Forms that are equal on paper but round, cancel or overflow otherwise than the operator does.

A rule may fuse them or leave them alone; on inputs of moderate size the results are equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.spellings.activations import gelu, gelu_tanh, silu
from tests.spellings.normalizations import layer_norm, rms_norm
from tests.spellings.softmaxes import softmax
from tests.spellings.spelling import BETA, GAMMA, Place, Reference, Spelling, dresses, spell

PLACES: tuple[Place, ...] = ((("B", "S", 8), (2,)),)
ERF = "erf(x / 1.4142135623730951)"
CUBED = "(x + 0.044715 * x ** 3)"
CENTRED = "m = mean(x); d = x - m; v = mean(d * d)"
FORMS = {
    "Gelu": (
        f"x * (0.5 + 0.5 * {ERF})",
        f"({ERF} * 0.5 + 0.5) * x",
        f"h = 0.5 * x; h + h * {ERF}",
    ),
    "Gelu by tanh": (
        f"t = tanh(0.7978845608028654 * {CUBED}); x * (0.5 + 0.5 * t)",
        f"x * sigmoid(1.5957691216057308 * {CUBED})",
    ),
    "Swish": (
        "(0.5 * x) * (1 + tanh(0.5 * x))",
        "x - x * sigmoid(-x)",
        "e = exp(x); x * (e / (1 + e))",
    ),
    "Softmax": (
        "e = exp(x); e / sum(e)",
        "e = exp(x); e * recip(sum(e))",
        "exp(x - log(sum(exp(x))))",
        "e = exp(x - min(x)); e / sum(e)",
    ),
    "LayerNormalization": (
        "m = mean(x); v = mean(x * x) - m * m; (x - m) / sqrt(v + 1e-5) * g + b",
        "m = mean(x); v = mean(x ** 2) - m ** 2; (x - m) * recip(sqrt(v + 1e-5)) * g + b",
        f"{CENTRED}; d * sqrt(1 / (v + 1e-5)) * g + b",
        f"{CENTRED}; d / (sqrt(v + 1e-5) / g) + b",
        f"{CENTRED}; s = sqrt(v + 1e-5); x / s * g + (b - m / s * g)",
    ),
    "RMSNormalization": (
        "x * sqrt(recip(mean(x * x) + 1e-5)) * g",
        "x / sqrt(sum(x * x) + 8e-5) * sqrt(N) * g",
        "x / (sqrt(mean(x * x) + 1e-5) / g)",
    ),
}
EXPECTED: dict[str, Reference] = {
    "Gelu": gelu,
    "Gelu by tanh": gelu_tanh,
    "Swish": silu,
    "Softmax": partial(softmax, axes=(2,)),
    "LayerNormalization": partial(layer_norm, axes=(2,), gamma=GAMMA, beta=BETA),
    "RMSNormalization": partial(rms_norm, axes=(2,), gamma=GAMMA),
}


def doubtful() -> Iterator[Spelling]:
    """Every doubtful form, twice: in float32 and two different dresses."""
    dress = dresses(PLACES, half=(False,))
    parameters = {"g": GAMMA, "b": BETA}
    for key, formulas in FORMS.items():
        wanted = key.split()[0]
        for formula in formulas * 2:
            chosen = next(dress)
            yield spell("doubtful", wanted, formula, chosen, EXPECTED[key], parameters)
