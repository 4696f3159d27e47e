"""Softmax, with its maximum taken off first as every stable writer of it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from tests.spellings.spelling import Place, Spelling, dresses, spell
from tests.spellings.writing import Dress

PLACES: tuple[Place, ...] = (
    (("B", "S", 8), (2,)),
    (("B", "S", 8), (1,)),
    (("B", "S", 8), (0,)),
    (("B", 8), (1,)),
    (("B", 2, "S", 8), (3,)),
    (("B", 2, "S", 8), (2,)),
)
SHARED = (
    "e = {exp_d}; {quotient}",
    "d = x - max(x); e = {exp}; f = {exp}; {two}",
    "e = {exp_d}; f = {exp_d}; {two}",
)
QUOTIENTS = (
    "e / sum(f)",
    "e * recip(sum(f))",
    "recip(sum(f)) * e",
    "e * (1 / sum(f))",
    "(1 / sum(f)) * e",
)
LOGARITHMIC = (
    "exp(x - lse(x))",
    "d = x - max(x); exp(d - lse(d))",
    "d = x - max(x); exp(d - log(sum(exp(d))))",
    "m = max(x); exp(x - (m + log(sum(exp(x - m)))))",
    "m = max(x); exp(x - (log(sum(exp(x - m))) + m))",
)


def softmax(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    raised = np.exp(x - x.max(axes, keepdims=True))
    return np.asarray(raised / raised.sum(axes, keepdims=True))


def softmaxes() -> Iterator[Spelling]:
    """All forms of this module."""
    dress = dresses(PLACES, reduced=("kept", "kept", "unsqueezed"))
    quotients = list(_quotients("exp({})"))
    for formula in quotients * 3:
        yield _spell(formula, next(dress))
    for formula in [*quotients, *LOGARITHMIC[:3]]:
        cast = f"x = up(x); {_lowered(formula)}"
        yield _spell(cast, replace(next(dress), half=True))
    for formula in _quotients("2.718281828459045 ** ({})"):  # too coarse a number for float16
        yield _spell(formula, replace(next(dress), half=False))
    for formula in LOGARITHMIC * 4:
        yield _spell(formula, next(dress))
    for _ in range(8):
        chosen = next(dress)
        if chosen.opset < 13:  # where a LogSoftmax runs over all axes from its own to the last
            chosen = replace(chosen, axes=(len(chosen.dims) - 1,))
        yield _spell("exp(logsoftmax(x))", chosen)


def _quotients(exp: str) -> Iterator[str]:
    for shared in SHARED:
        for two in QUOTIENTS:
            quotient = two.replace("(f)", "(e)")
            exp_d = exp.format("x - max(x)")
            yield shared.format(exp=exp.format("d"), exp_d=exp_d, quotient=quotient, two=two)


def _lowered(formula: str) -> str:
    """The same with its result cast back."""
    *earlier, result = formula.split("; ")
    return "; ".join([*earlier, f"down({result})"])


def _spell(formula: str, dress: Dress) -> Spelling:
    expected = partial(softmax, axes=dress.axes)
    return spell("softmax", "Softmax", formula, dress, expected)
