"""The ranges of knobs, and numbers in words."""

from __future__ import annotations

from collections.abc import Sequence

from graphwright.ir.errors import ModelError

LISTED = 8


def listed(numbers: Sequence[int]) -> str:
    """Numbers in words; of many the first ones, and how many there are."""
    more = len(numbers) - LISTED
    first = ", ".join(map(str, numbers[:LISTED]))
    return f"{first} and {more} more" if more > 0 else first


def within(what: str, value: float, low: float, high: float) -> None:
    """Raise ModelError, with the range in words, for a number that is not from `low` to `high`."""
    if not low <= value <= high:
        raise ModelError(f"{what} is from {low} to {high}, not {value}")


def one_of(what: str, value: str, *known: str) -> None:
    """Raise ModelError, with what there is, for a word that is none of `known`."""
    if value not in known:
        raise ModelError(f"{what} is {', '.join(known[:-1])} or {known[-1]}, not {value}")
