"""The ranges of knobs."""

from __future__ import annotations

from graphwright.ir.errors import ModelError


def within(what: str, value: float, low: float, high: float) -> None:
    """Raise ModelError, with the range in words, for a number that is not from `low` to `high`."""
    if not low <= value <= high:
        raise ModelError(f"{what} is from {low} to {high}, not {value}")


def one_of(what: str, value: str, *known: str) -> None:
    """Raise ModelError, with what there is, for a word that is none of `known`."""
    if value not in known:
        raise ModelError(f"{what} is {', '.join(known[:-1])} or {known[-1]}, not {value}")
