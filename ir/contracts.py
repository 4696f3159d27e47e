"""What a rewrite promises: each is measured, none is assumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from graphwright.ir.graph import Graph


@dataclass(frozen=True, slots=True)
class Exact:
    """Every output bit is the same on the same runtime.

    With `finite` for all that holds no infinity, since 0 times that is no number.
    """

    finite: bool = False

    def __str__(self) -> str:
        return "exact" + (" on finite numbers" if self.finite else "")


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
    """Another function, near enough by `metric`; never applied unless asked for by name.

    Where `bound` is infinite nothing is promised, and the metric only reported.
    """

    metric: str
    bound: float

    def __str__(self) -> str:
        if not isfinite(self.bound):
            return "approximate"
        return f"approximate ({self.metric} at most {self.bound:g})"


@dataclass(frozen=True, slots=True)
class Bounded:
    """Another function, nowhere farther from the original than a bound that can be computed.

    `limit(before)` makes of the part that was replaced a graph of the same inputs, which gives for
    each element how far it may be off; `bound` says that in words. Never applied unless asked for.
    """

    bound: str
    limit: Callable[[Graph], Graph]

    def __str__(self) -> str:
        return "bounded"


Contract: TypeAlias = Exact | Tolerance | Approximate | Bounded
LOSSLESS = (Exact, Tolerance)
