"""Two constants compared."""

from __future__ import annotations

import numpy as np

from graphwright.differences.hunks import Place, Update, Weights
from graphwright.ir.const import Const

LITTLE = 64  # bytes that are shown
CHUNK = 1 << 22  # elements that are subtracted at a time


def weights(node: Place, name: str, one: Const, other: Const) -> Weights | Update:
    """The hunk for two constants that differ: what they hold where that is little."""
    if all((c.type.nbytes or LITTLE + 1) <= LITTLE for c in (one, other)):
        held = [str(c.load().tolist()) for c in (one, other)]
        if held[0] == held[1]:
            held = [f"{c.type} {text}" for c, text in zip((one, other), held, strict=True)]
        return Update(node, f"the constant {name}".rstrip(), *held)
    distance = apart(one, other) if one.type == other.type else None
    return Weights(node, name, str(one.type), str(other.type), distance)


def apart(one: Const, other: Const) -> float | None:
    """The largest difference between two constants of one type; None for what is no number."""
    a, b = one.load().reshape(-1), other.load().reshape(-1)
    if a.dtype == object or a.dtype.kind == "c":
        return None
    most = 0.0
    for start in range(0, a.size, CHUNK):
        parts = [x[start : start + CHUNK].astype(np.float64) for x in (a, b)]
        with np.errstate(invalid="ignore"):
            difference = np.abs(parts[0] - parts[1])
        most = max(most, float(np.nan_to_num(difference, nan=0.0).max(initial=0.0)))
    return most
