"""What a rewrite promises: each is measured, none is assumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Exact:
    """Every output bit is the same on the same runtime."""

    def __str__(self) -> str:
        return "exact"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The same real function, rounded differently.

    No farther from the float64 answer than `times` the original's own distance, or `relative` times
    the largest value of the output if that is more.
    """

    times: float = 4.0
    relative: float = 1e-5

    def __str__(self) -> str:
        return "within tolerance"


@dataclass(frozen=True, slots=True)
class Approximate:
    """Another function, near enough by `metric`; never applied unless asked for by name."""

    metric: str
    bound: float

    def __str__(self) -> str:
        return f"approximate ({self.metric} at most {self.bound:g})"


Contract: TypeAlias = Exact | Tolerance | Approximate
LOSSLESS = (Exact, Tolerance)
