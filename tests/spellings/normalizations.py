"""LayerNorm and RMSNorm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import permutations

import numpy as np
from tests.spellings.spelling import BETA, GAMMA, Place, Spelling, dresses, spell, spread
from tests.spellings.writing import Dress

PLACES: tuple[Place, ...] = (
    (("B", "S", 8), (2,)),
    (("B", 8), (1,)),
    (("B", 4, 8), (1, 2)),
    (("B", 2, "S", 8), (3,)),
)
EPSILON = 1e-5
MEANS = ("mean({})", "sum({}) / N", "sum({}) * perN", "perN * sum({})")
SQUARES = ("{0} * {0}", "{0} ** 2")
INVERSES = ("recip(sqrt({}))", "({} ** -0.5)", "(1 / sqrt({}))", "recip({} ** 0.5)")
ROOTS = ("sqrt({})", "({} ** 0.5)")
SHIFTED = ("(v + 1e-5)", "(1e-5 + v)")
# The deviation ``d`` that is scaled and the variance ``v``: the mean is taken off once or twice.
CENTRINGS = (
    "d = x - {mean}; s = d; v = {v}",
    "m = {mean}; s = x - m; v = {v}; d = x - m",
    "d = x - {mean}; s = x - {mean}; v = {v}",
)
AFFINE = (
    "{0}",
    "{0} * g",
    "g * {0}",
    "{0} * g + b",
    "b + {0} * g",
    "g * {0} + b",
    "b + g * {0}",
)
GEMMA = ("{0} * (1 + g)", "(1 + g) * {0}", "{0} * (g + 1)")
# Of ``n`` in float32: cast back before the parameters are applied, as Llama does, or last.
CAST_AFFINE = (
    "down(n)",
    "down(n) * g",
    "g * down(n)",
    "down(n * g)",
    "down(up(g) * n)",
    "down(n) * g + b",
    "down(n * g + b)",
    "down(n * up(g) + up(b))",
)


def rms_norm(x: np.ndarray, axes: tuple[int, ...], gamma: np.ndarray | float) -> np.ndarray:
    return np.asarray(x / np.sqrt((x**2).mean(axes, keepdims=True) + EPSILON) * gamma)


def layer_norm(
    x: np.ndarray, axes: tuple[int, ...], gamma: np.ndarray | float, beta: np.ndarray | float
) -> np.ndarray:
    return rms_norm(x - x.mean(axes, keepdims=True), axes, gamma) + beta


def normalizations() -> Iterator[Spelling]:
    """All forms of this module."""
    dress = dresses(PLACES, reduced=("kept", "kept", "unsqueezed"))
    yield from _layer_norms(dress)
    yield from _rms_norms(dress)


def _layer_norms(dress: Iterator[Dress]) -> Iterator[Spelling]:
    written = spread(150, CENTRINGS, MEANS, _moments(), _normalized("d"), AFFINE)
    for centring, mean, moment, normalized, affine in written:
        lets = centring.format(mean=mean.format("x"), v=moment.format(a="s"))
        yield _layer_norm(f"{lets}; {affine.format(f'({normalized})')}", next(dress))
    for moment, folded in spread(40, _moments(), [*_folded("d"), *_keras()]):
        lets = f"m = mean(x); d = x - m; v = {moment.format(a='d')}"
        yield _layer_norm(f"{lets}; {folded}", next(dress))
    for moment, normalized, affine in spread(40, _moments(), _normalized("d"), CAST_AFFINE):
        lets = f"x = up(x); d = x - mean(x); v = {moment.format(a='d')}"
        cast = f"{lets}; n = {normalized}; {affine}"
        yield _layer_norm(cast, replace(next(dress), half=True))


def _rms_norms(dress: Iterator[Dress]) -> Iterator[Spelling]:
    moments = [f"v = {moment.format(a='x')}" for moment in _moments()]
    moments += ["l = norm(x); v = (l * l) / N", "l = norm(x); v = l ** 2 * perN"]
    affine = [form for form in (*AFFINE, *GEMMA) if "b" not in form]
    for moment, normalized, scaled in spread(100, moments, _normalized("x"), affine):
        yield _rms_norm(f"{moment}; {scaled.format(f'({normalized})')}", next(dress))
    folded = [form for form in _folded("x") if "b" not in form]
    for moment, result in spread(30, moments, folded):
        yield _rms_norm(f"{moment}; {result}", next(dress))
    casts = [form for form in CAST_AFFINE if "b" not in form]
    for moment, normalized, scaled in spread(40, moments, _normalized("x"), casts):
        cast = f"x = up(x); {moment}; n = {normalized}; {scaled}"
        yield _rms_norm(cast, replace(next(dress), half=True))


def _moments() -> list[str]:
    """The mean of the square of ``{a}``."""
    found = [m.format(square.format("{a}")) for m in MEANS for square in SQUARES]
    return [*found, "sumsq({a}) / N", "perN * sumsq({a})"]


def _normalized(value: str) -> list[str]:
    """A value over the root of ``v`` shifted, without parameters."""
    found = []
    for shifted in SHIFTED:
        found += [f"{value} / {root.format(shifted)}" for root in ROOTS]
        inverses = [inverse.format(shifted) for inverse in INVERSES]
        found += [f"{a} * {b}" for i in inverses for a, b in permutations((value, i))]
    return found


def _folded(value: str) -> list[str]:
    """The parameters worked into the inverse root, or gamma put on the value first."""
    found = []
    for shifted in SHIFTED:
        for inverse in INVERSES:
            k = inverse.format(shifted)
            found += [f"{value} * ({k} * g)", f"({value} * g) * {k}", f"(g * {k}) * {value}"]
            found += [f"{value} * (g * {k}) + b", f"b + {k} * (g * {value})"]
        for root in ROOTS:
            found += [f"({value} * g) / {root.format(shifted)}"]
            found += [f"b + (g * {value}) / {root.format(shifted)}"]
    return found


def _keras() -> list[str]:
    """One factor on ``x`` itself; what it does to the mean is taken off beta."""
    factors = [inverse.format(shifted) for shifted in SHIFTED for inverse in INVERSES]
    found = [f"k = {k} * g; x * k + (b - m * k)" for k in factors]
    return found + [f"k = g * {k}; (b - k * m) + k * x" for k in factors]


def _parameters(dress: Dress) -> dict[str, np.ndarray]:
    """Gamma and beta as long as the last axis, or of the shape of all axes normalised."""
    shape = tuple(int(dress.dims[axis]) for axis in dress.axes)
    if len(shape) == 1 and dress.constants == "node":
        shape = (*(1,) * (len(dress.dims) - 1), *shape)
    return {name: np.resize(value, shape) for name, value in (("g", GAMMA), ("b", BETA))}


def _layer_norm(formula: str, dress: Dress) -> Spelling:
    given = _parameters(dress)
    gamma = given["g"] if "g" in formula else 1.0
    beta = given["b"] if "b" in formula else 0.0
    expected = partial(layer_norm, axes=dress.axes, gamma=gamma, beta=beta)
    return spell("layernorm", "LayerNormalization", formula, dress, expected, given)


def _rms_norm(formula: str, dress: Dress) -> Spelling:
    given = _parameters(dress)
    unit = "1 + g" in formula or "g + 1" in formula
    gamma = given["g"] + unit if "g" in formula else 1.0
    expected = partial(rms_norm, axes=dress.axes, gamma=gamma)
    return spell("rmsnorm", "RMSNormalization", formula, dress, expected, given)
