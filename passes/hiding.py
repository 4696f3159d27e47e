"""Numbers that hide a key: added to its score, or put in the place of it."""

from __future__ import annotations

from graphwright.ir.graph import Value
from graphwright.ir.types import FLOATS

HIDDEN = -1000.0
"""What hides a key is at most this; what is more may be a bias."""

BURIED = {"f16": -65504.0}
"""By element type, where it is not -1e30: a score to which this is added is this."""

LOOK = 48  # nodes looked at to tell a mask from a bias
LARGEST = 1 << 24  # bytes of a constant that is looked at


def buries(number: float, dtype: str) -> bool:
    """Whether adding a number to a score, and putting it in its place, are the same."""
    return number <= BURIED.get(dtype, -1e30)


def most_negative(value: Value) -> float | None:
    """The number that hides keys where `value` is added; None if it is made of no such number."""
    work, seen = [value], set[Value]()
    while work and len(seen) < LOOK:
        at = work.pop(0)
        if at in seen:
            continue
        seen.add(at)
        low = _lowest(at)
        if low is not None and low <= HIDDEN:
            return low
        if at.producer is not None:
            work += [v for v in at.producer.inputs if v is not None]
    return None


def _lowest(value: Value) -> float | None:
    if value.const is None or value.const.type.dtype not in FLOATS:
        return None
    if (value.const.type.nbytes or 0) > LARGEST:
        return None
    array = value.const.load()
    return float(array.min()) if array.size else None
