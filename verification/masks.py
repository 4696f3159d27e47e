"""Masks that are masks: which keys a padded batch shows, in the shapes that models take."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphwright.ir.const import Array
from graphwright.ir.types import NUMPY

Rng = np.random.Generator
Mask = np.ndarray[Any, np.dtype[np.bool_]]

PADDINGS = ("none", "right", "left", "middle", "dead", "scattered")
"""Where a row's padding stands; "dead" is a row that sees nothing."""

FILLS = {"left": "lowest", "middle": "-10000", "dead": "lowest"}
LOWEST = {"f16": -65504.0, "bf16": -3.3895e38}


def visible(padding: str, shape: tuple[int, ...], rng: Rng) -> Mask:
    """True where a key is seen, for the last of the batch; all of it for the others.

    The last axis is that of the keys. From three axes on, the one before is that of the queries,
    and only the first query of a dead row sees nothing where there are several.
    """
    seen = np.ones(shape, np.bool_)
    if not seen.size or not shape:
        return seen
    if padding == "empty":
        return ~seen
    length = shape[-1]
    row = seen[-1] if len(shape) > 1 else seen
    third = max(1, length // 3) if length > 1 else 0
    match padding:
        case "left":
            row[..., :third] = False
        case "right":
            row[..., length - third :] = False
        case "middle":
            row[..., length // 4 : length // 4 + third] = False
        case "dead" | "dead by -inf":
            (row[..., 0, :] if len(shape) > 2 and shape[-2] > 1 else row)[...] = False
        case "scattered":
            seen[rng.random(shape) < 0.3] = False
            seen[..., 0] = True
        case "causal" if len(shape) > 1:
            seen &= np.tril(np.ones(shape[-2:], np.bool_), length - shape[-2])
    return seen


def added(mask: Mask, padding: str, dtype: str) -> Array:
    """The mask as what is added to scores: 0, or a number far below all of them."""
    lowest = LOWEST.get(dtype, float(np.finfo(np.float32).min))
    fill = {"lowest": lowest, "-10000": -1e4}.get(FILLS.get(padding, ""), -np.inf)
    return np.where(mask, 0.0, fill).astype(NUMPY[dtype])
