"""GELU in its erf and its tanh form, and SiLU."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from math import erf, pi, sqrt

import numpy as np
from tests.spellings.spelling import OPSETS, Place, Spelling, dresses, spell, spread

PLACES: tuple[Place, ...] = ((("B", "S", 8), (2,)), (("B", 8), (1,)), (("B", 2, "S", 8), (3,)))


def gelu(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * x * (1 + np.vectorize(erf)(x / sqrt(2))))


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))))


def silu(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / (1 + np.exp(-x)))


def half_products(total: str) -> Iterator[str]:
    """A half of ``x`` times ``total``: every grouping, every order, and every place to halve."""
    for a, b, c in permutations(("0.5", "x", total)):
        yield f"({a} * {b}) * {c}"
        yield f"{a} * ({b} * {c})"
    for a, b in permutations(("x", total)):
        yield f"({a} / 2) * {b}"
        yield f"{a} * ({b} / 2)"
        yield f"({a} * {b}) / 2"


def activations() -> Iterator[Spelling]:
    """All forms of this module."""
    yield from _erf_forms()
    yield from _tanh_forms()
    yield from _silu_forms()


def _erf_forms() -> Iterator[Spelling]:
    dress = dresses(PLACES, opsets=(9, *OPSETS))
    arguments = (
        "x / 1.4142135623730951",
        "x * 0.7071067811865476",
        "0.7071067811865476 * x",
        "x / sqrt(2)",
    )
    for argument in arguments:
        for total in (f"(1 + erf({argument}))", f"(erf({argument}) + 1)"):
            for formula in half_products(total):
                yield spell("gelu erf", "Gelu", formula, next(dress), gelu)


def _tanh_arguments() -> list[str]:
    """``sqrt(2 / pi) * (x + 0.044715 * x**3)``, multiplied out or with x factored out."""
    cubes = ("(x ** 3)", "((x * x) * x)", "(x * (x * x))", "(x ** 2 * x)")
    terms = [f"({a} * {b})" for c in cubes for a, b in permutations(("0.044715", c))]
    sums = [f"({a} + {b})" for t in terms for a, b in permutations(("x", t))]
    root = "0.7978845608028654"
    written = [f"{a} * {b}" for s in sums for a, b in permutations((root, s))]
    written += [f"sqrt(2 / 3.141592653589793) * {s}" for s in sums]
    squares = ("(0.044715 * (x * x))", "((0.044715 * x) * x)", "(0.044715 * x ** 2)")
    factors = [f"({a} + {b})" for s in squares for a, b in permutations(("1", s))]
    for factor in factors:
        written += [f"{root} * (x * {factor})", f"(x * {root}) * {factor}"]
        written += [f"({root} * x) * {factor}", f"({factor} * x) * {root}"]
    return written


def _tanh_forms() -> Iterator[Spelling]:
    dress = dresses(PLACES, opsets=(9, *OPSETS))
    outer = [*half_products("(1 + tanh({}))"), *half_products("(tanh({}) + 1)")]
    for argument, template in spread(144, _tanh_arguments(), outer):
        yield spell("gelu tanh", "Gelu", template.format(argument), next(dress), gelu_tanh)


def _silu_forms() -> Iterator[Spelling]:
    dress = dresses(PLACES)
    grown = [f"({a} + {b})" for e in ("-x", "x * -1", "0 - x") for a, b in _orders("1", e)]
    gates = ["sigmoid(x)", *(f"(1 / {g})" for g in grown), *(f"recip({g})" for g in grown)]
    formulas = [f"{a} * {b}" for gate in gates for a, b in permutations(("x", gate))]
    formulas += [f"x / {g}" for g in grown]
    for formula in formulas * 2:
        yield spell("silu", "Swish", formula, next(dress), silu)


def _orders(one: str, exponent: str) -> Iterator[tuple[str, ...]]:
    yield from permutations((one, f"exp({exponent})"))
