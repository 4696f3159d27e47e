"""The record of a form, and how many of the possible ones are picked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd

import numpy as np
import onnx
from tests.spellings.writing import Dims, Dress, write

GAMMA = np.linspace(0.5, 1.5, 8)
BETA = np.linspace(-0.4, 0.3, 8)
OPSETS = (11, 13, 14, 17, 18, 20, 23)

Reference = Callable[[np.ndarray], np.ndarray]
Place = tuple[Dims, tuple[int, ...]]  # the shape of x, and the axes reduced


@dataclass(frozen=True)
class Spelling:
    """A small model, and the operator that it spells out or, if a near miss, almost does."""

    name: str
    model: onnx.ModelProto
    wanted: str
    expected: Reference | None = None  # what a positive form computes of its input x


def spread(count: int, *choices: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """``count`` different combinations, every choice about as often as its alternatives."""
    combinations = list(product(*choices))
    stride = _coprime(len(combinations))
    for turn in range(min(count, len(combinations))):
        yield combinations[turn * stride % len(combinations)]


def dresses(
    places: Sequence[Place],
    opsets: Sequence[int] = OPSETS,
    half: Sequence[bool] = (False, False, True),
    reduced: Sequence[str] = ("kept",),
) -> Iterator[Dress]:
    """Dresses without end, neighbours differing in as much as possible."""
    stored = (("initializer", 0), ("node", 0), ("initializer", 1), ("node", 1))
    signs = ("negative", "positive", "mixed")
    combinations = [
        Dress(opset, is_half, constants, rank, dims, axes, sign, kept)
        for (dims, axes), opset, is_half, (constants, rank), sign, kept in product(
            places, opsets, half, stored, signs, reduced
        )
    ]
    stride, turn = _coprime(len(combinations)), 0
    while True:
        yield combinations[turn * stride % len(combinations)]
        turn += 1


def spell(
    family: str,
    wanted: str,
    formula: str,
    dress: Dress,
    expected: Reference | None = None,
    parameters: dict[str, np.ndarray] | None = None,
) -> Spelling:
    """Write one form down."""
    model = write(formula, dress, parameters)
    return Spelling(f"{family}: {formula} [{dress}]", model, wanted, expected)


def _coprime(length: int) -> int:
    """A step near the golden section of ``length`` that visits every index before any twice."""
    stride = max(1, round(length * 0.618))
    while gcd(stride, length) != 1:
        stride += 1
    return stride
