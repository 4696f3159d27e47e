"""Graphs that look like a written-out form and compute something else, or are read elsewhere too.

A rule must leave each alone, or at least keep every output equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from tests.spellings.spelling import BETA, GAMMA, Spelling
from tests.spellings.writing import Dress, write

PLAIN = Dress()
TWO = Dress(dims=("B", 4, 8))
Parameters = dict[str, np.ndarray]

ERF = "{half} * x * ({one} + erf(x / {root}))"
ERF_SCALED = "x * ({one} + erf({root} * x)) * {half}"
ERF_OTHERWISE = (
    "0.5 * x * (1 + erf(y / 1.41421356))",
    "0.5 * y * (1 + erf(x / 1.41421356))",
    "0.5 * x * (1 - erf(x / 1.41421356))",
    "0.5 * x * (1 + tanh(x / 1.41421356))",
    "0.5 * x * (1 + erf(x * 1.41421356))",
    "0.5 * x * (1 + erf(1.41421356 / x))",
    "0.5 / x * (1 + erf(x / 1.41421356))",
    "0.5 + x * (1 + erf(x / 1.41421356))",
    "x * (1 + erf(x / 1.41421356)) * 2",
    "x * (1 + erf(x / 1.41421356))",
    "0.5 * x * erf(x / 1.41421356)",
    "0.5 * x * x * (1 + erf(x / 1.41421356))",
    "0.5 * (1 + erf(x / 1.41421356))",
    "0.5 * x * (1 + erf(x / sqrt(3)))",
)
TANH = "0.5 * x * (1 + tanh({root} * (x + {cubic} * x ** {power})))"
TANH_OTHERWISE = (
    "0.5 * x * (1 + tanh(0.7978845608 * (y + 0.044715 * x ** 3)))",
    "0.5 * x * (1 + tanh(0.7978845608 * (x + 0.044715 * y ** 3)))",
    "0.5 * x * (1 + tanh(0.7978845608 * (x + 0.044715 * (x * x))))",
    "0.5 * x * (1 + tanh(0.7978845608 * (x + 0.044715 * (x * x * y))))",
    "0.5 * x * (1 + tanh(0.7978845608 * (x - 0.044715 * x ** 3)))",
    "0.5 * x * (1 + tanh(0.7978845608 * (1 + 0.044715 * x * x)))",
    "0.5 * x * (1 + tanh(x * 0.7978845608 * (x + 0.044715 * x * x)))",
    "0.5 * x * (1 + erf(0.7978845608 * (x + 0.044715 * x ** 3)))",
    "0.5 * y * (1 + tanh(0.7978845608 * (x + 0.044715 * x ** 3)))",
    "0.5 * x * (1 + tanh(sqrt(2 * 3.14159265) * (x + 0.044715 * x ** 3)))",
    "0.5 * x * (1 + tanh(0.5 * x))",
)
SILU = (
    "x * sigmoid(1.702 * x)",
    "x * sigmoid(x * 0.999)",
    "x * sigmoid(y)",
    "y * sigmoid(x)",
    "x * sigmoid(-x)",
    "x + sigmoid(x)",
    "x / sigmoid(x)",
    "x * tanh(x)",
    "x / (1 + exp(x))",
    "x / (1 + exp(-y))",
    "x / (1 - exp(-x))",
    "x / (1.001 + exp(-x))",
    "x / (2 + exp(-x))",
    "(1 + exp(-x)) / x",
    "x * (1 + exp(-x))",
    "x * recip(1 + exp(-2 * x))",
)
SOFTMAX = (
    "exp(x - max(x, 1)) / sum(exp(x - max(x, 1)))",
    "e = exp(x - max(x)); e / sum(e, 1)",
    "e = exp(x - max(x)); e / sum(e, 1, 2)",
    "exp(x - max(y)) / sum(exp(x - max(x)))",
    "exp(x - max(x)) / sum(exp(y - max(y)))",
    "exp(x - max(x)) / sum(exp(x))",
    "exp(x) / sum(exp(x - max(x)))",
    "e = exp(x - max(x)); e / mean(e)",
    "e = exp(x - max(x)); e / max(e)",
    "e = exp(x - max(x)); e / (sum(e) + 1)",
    "e = exp(x - max(x)); e / (1e-3 + sum(e))",
    "e = exp(x - max(x)); e * sum(e)",
    "e = exp(x - max(x)); sum(e) / e",
    "e = exp(x - max(x)); y / sum(e)",
    "e = exp(max(x) - x); e / sum(e)",
    "e = exp(x - y); e / sum(e)",
    "e = exp(x + max(x)); exp(x - max(x)) / sum(e)",
    "e = tanh(x - max(x)); e / sum(e)",
    "e = 2.7 ** (x - max(x)); e / sum(e)",
    "e = abs(x - max(x)) ** 2.718281828; e / sum(e)",
    "d = x - max(x); exp(2 * d) / sum(exp(d))",
    "exp(x - lse(x, 1))",
    "exp(x - lse(y))",
    "exp(x + lse(x))",
    "log(lse(x) - x)",
    "d = x - max(x); exp(d - log(mean(exp(d))))",
    "exp(logsoftmax(x) * 2)",
    "exp(-logsoftmax(x))",
)
LAYER_NORM = (
    "d = x - mean(x, 1); d / sqrt(mean(d * d) + 1e-5) * g + b",
    "d = x - mean(x); d / sqrt(mean(d * d, 1) + 1e-5) * g + b",
    "d = x - mean(x, 1, 2); d / sqrt(mean(d * d) + 1e-5) * g + b",
    "d = x - mean(x, 1); d / sqrt(mean(d * d, 1) + 1e-5) * g + b",
    "d = x - mean(x); d / (sqrt(mean(d * d)) + 1e-3) * g + b",
    "d = x - mean(x); d / sqrt(sum(d * d) / 7 + 1e-5) * g + b",
    "d = x - mean(x); d / sqrt(sum(d * d) / 9 + 1e-5) * g + b",
    "d = x - sum(x) / 7; d / sqrt(sum(d * d) / 7 + 1e-5) * g + b",
    "d = x - mean(x); d / sqrt(sum(d * d) + 1e-5) * g + b",
    "d = x - mean(x); e = y - mean(y); d / sqrt(mean(e * e) + 1e-5) * g + b",
    "d = x - mean(x); e = y - mean(y); e / sqrt(mean(d * d) + 1e-5) * g + b",
    "d = x - mean(x); e = y - mean(y); d / sqrt(abs(mean(d * e)) + 1e-5) * g + b",
    "d = x - mean(y); d / sqrt(mean(d * d) + 1e-5) * g + b",
    "d = x - max(x); d / sqrt(mean(d * d) + 1e-5) * g + b",
    "d = x + mean(x); d / sqrt(mean(d * d) + 1e-5) * g + b",
    "d = x - mean(x); x / sqrt(mean(d * d) + 1e-5) * g + b",
    "d = x - mean(x); d / sqrt(mean(x * x) + 1e-5) * g + b",
    "d = x - mean(x); d / sqrt(mean(abs(d) ** 3) + 1e-5) * g + b",
    "d = x - mean(x); d / (mean(d * d) + 1e-5) ** 0.51 * g + b",
    "d = x - mean(x); d * (mean(d * d) + 1e-5) ** -0.4 * g + b",
    "d = x - mean(x); d / (mean(d * d) + 1e-5) * g + b",
    "d = x - mean(x); d * sqrt(mean(d * d) + 1e-5) * g + b",
    "d = x - mean(x); d / sqrt(mean(d * d) + sigmoid(y)) * g + b",
    "d = x - mean(x); d / sqrt(mean(d * d) + 1e-5) * y + b",
    "m = mean(x); d = x - m; k = recip(sqrt(mean(d * d) + 1e-5)) * g; x * k + (b - mean(y) * k)",
    "m = mean(x); d = x - m; k = recip(sqrt(mean(d * d) + 1e-5)) * g; x * k + (b + m * k)",
    "m = mean(x); d = x - m; r = recip(sqrt(mean(d * d) + 1e-5)); x * (r * g) + (b - m * r)",
    "d = x - mean(x); (d / sqrt(mean(d * d) + 1e-5) + b) * g",
)
RMS_NORM = (
    "x / (sqrt(mean(x * x)) + 1e-3) * g",
    "x / (norm(x) + 1e-5) * g",
    "x / sqrt(norm(x) / 8 + 1e-5) * g",
    "x / sqrt(mean(x * x, 1) + 1e-5) * g",
    "x / sqrt(mean(x * x, 1, 2) + 1e-5) * g",
    "x / sqrt(mean(y * y) + 1e-5) * g",
    "y / sqrt(mean(x * x) + 1e-5) * g",
    "x / sqrt(abs(mean(x * y)) + 1e-5) * g",
    "x / sqrt(sum(x * x) + 1e-5) * g",
    "x / sqrt(sum(x * x) / 7 + 1e-5) * g",
    "x / sqrt(sumsq(x) / 16 + 1e-5) * g",
    "x / sqrt(max(x * x) + 1e-5) * g",
    "x / sqrt(mean(abs(x)) + 1e-5) * g",
    "x / (mean(x * x) + 1e-5) * g",
    "x * (mean(x * x) + 1e-5) ** -0.51 * g",
    "x * (mean(x * x) + 1e-5) ** 0.5 * g",
    "x / sqrt(mean(x ** 4) + 1e-5) * g",
    "x / sqrt(mean(x * x) + sigmoid(y)) * g",
    "x / sqrt(mean(x * x) + 1e-5) * y",
)
SHOWN = (  # forms that are exact, but an inner value is an output of the graph as well
    ("Gelu", "e = erf(x / 1.41421356); 0.5 * x * (1 + e)", "e"),
    ("Gelu", "s = 1 + erf(x / 1.41421356); 0.5 * x * s", "s"),
    ("Gelu", "t = tanh(0.7978845608 * (x + 0.044715 * x ** 3)); 0.5 * x * (1 + t)", "t"),
    ("Swish", "s = sigmoid(x); x * s", "s"),
    ("Softmax", "e = exp(x - max(x)); e / sum(e)", "e"),
    ("Softmax", "e = exp(x - max(x)); s = sum(e); e / s", "s"),
    ("LayerNormalization", "d = x - mean(x); d / sqrt(mean(d * d) + 1e-5) * g + b", "d"),
    ("LayerNormalization", "d = x - mean(x); n = d / sqrt(mean(d * d) + 1e-5); n * g + b", "n"),
    ("LayerNormalization", "d = x - mean(x); v = mean(d * d); d / sqrt(v + 1e-5) * g + b", "v"),
    ("RMSNormalization", "r = recip(sqrt(mean(x * x) + 1e-5)); x * r * g", "r"),
    ("RMSNormalization", "n = x / sqrt(mean(x * x) + 1e-5); n * g", "n"),
)


def near_misses() -> Iterator[Spelling]:
    """Every near miss."""
    yield from _off_constants()
    listed = (
        ("Gelu", (*ERF_OTHERWISE, *TANH_OTHERWISE)),
        ("Swish", SILU),
        ("Softmax", SOFTMAX),
        ("LayerNormalization", LAYER_NORM),
        ("RMSNormalization", RMS_NORM),
    )
    for wanted, formulas in listed:
        for index, formula in enumerate(formulas):
            opset = (13, 17, 18, 20, 23)[index % 5]
            constants = ("initializer", "node")[index % 2]
            yield _spell(wanted, formula, Dress(opset, constants=constants))
    for wanted, formula, inner in SHOWN:
        yield _spell(wanted, formula, PLAIN, also=(inner,))
    yield from _misplaced()


def _off_constants() -> Iterator[Spelling]:
    """GELU with one constant off, by little and by much."""
    half_and_one = {"half": ("0.5001", "0.499", "1"), "one": ("1.0001", "0.999", "2")}
    exact = {"half": "0.5", "one": "1", "root": "1.41421356"}
    yield from _each_off(ERF, exact, half_and_one | {"root": ("1.41422", "1.4", "1.5", "2")})
    exact["root"] = "0.70710678"
    yield from _each_off(ERF_SCALED, exact, half_and_one | {"root": ("0.7072", "0.7", "1.702")})
    exact = {"root": "0.7978845608", "cubic": "0.044715", "power": "3"}
    powers = {"cubic": ("0.0447", "0.45"), "power": ("2", "4", "3.01")}
    yield from _each_off(TANH, exact, powers | {"root": ("0.798", "0.79", "0.8")})


def _each_off(
    template: str, exact: dict[str, str], off: Mapping[str, Sequence[str]]
) -> Iterator[Spelling]:
    for key, values in off.items():
        for value in values:
            yield _spell("Gelu", template.format(**(exact | {key: value})), PLAIN)


def _misplaced() -> Iterator[Spelling]:
    """Right formulas at the wrong place: parameters along other axes, axes dropped or coerced."""
    layer = "d = x - mean(x); d / sqrt(mean(d * d) + 1e-5) * g + b"
    rms = "x / sqrt(mean(x * x) + 1e-5) * g"
    for shape in ((4, 1), (4, 8), (1, 1, 1, 8), (3, 1, 1, 8)):
        given, label = {"g": np.resize(GAMMA, shape), "b": BETA}, f"gamma of shape {shape}"
        yield _spell("LayerNormalization", layer, TWO, given, label=label)
        yield _spell("RMSNormalization", rms, TWO, given, label=label)
    inner = Dress(dims=("B", 8, 4), axes=(1,))
    given = {"g": np.resize(GAMMA, (8, 1)), "b": np.resize(BETA, (8, 1))}
    yield _spell("LayerNormalization", layer, inner, given, label="axis not last")
    yield _spell("RMSNormalization", rms, inner, given, label="axis not last")
    # Without its axis a reduction of a cube still broadcasts, against the wrong one.
    dropped = Dress(dims=(8, 8, 8), reduced="dropped")
    for formula in ("e = exp(x - max(x)); e / sum(e)", "exp(x - lse(x))"):
        yield _spell("Softmax", formula, dropped)
    yield _spell("LayerNormalization", layer, dropped)
    yield _spell("RMSNormalization", rms, dropped)
    # Before opset 13 a LogSoftmax runs over all axes from its own to the last.
    yield _spell("Softmax", "exp(logsoftmax(x))", Dress(opset=11, axes=(1,)))


def _spell(
    wanted: str,
    formula: str,
    dress: Dress,
    parameters: Parameters | None = None,
    also: Sequence[str] = (),
    label: str = "",
) -> Spelling:
    model = write(formula, dress, parameters or {"g": GAMMA, "b": BETA}, also)
    marks = "".join(f" {name} shown" for name in also) + (label and f", {label}")
    return Spelling(f"not {wanted}: {formula} [{dress}]{marks}", model, wanted)
