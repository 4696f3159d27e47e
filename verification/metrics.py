"""How far one array is from another, in the measures that people ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphwright.ir.const import Array
from graphwright.ir.types import NAMES

LOGITS = 8
Wide = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Distance:
    """How far `after` is from `before`; over the places where both are finite.

    `relative` is `max_abs` over the largest |before|. `nan_mismatch` counts the places where one is
    NaN or infinite and the other is not the same. `kl` (nats) and `top1` (a share) are there when
    the arrays look like logits: floats, two axes or more, the last of 8 elements or more; rows that
    are probabilities already are taken as such. `where` is the place of `max_abs`. When `problem`
    says why they cannot be compared, all else is as far as can be.
    """

    max_abs: float = math.inf
    relative: float = math.inf
    relative_l2: float = math.inf
    cosine: float = -1.0
    sqnr_db: float = -math.inf
    kl: float | None = None
    top1: float | None = None
    nan_mismatch: int = 0
    where: tuple[int, ...] = ()
    problem: str = ""


EQUAL = Distance(0.0, 0.0, 0.0, 1.0, math.inf)
EQUAL_LOGITS = replace(EQUAL, kl=0.0, top1=1.0)


def measure(before: Any, after: Any) -> Distance:
    """How far `after` is from `before`; strings differ by 1 where they differ, truth values too."""
    a, b = np.asarray(before), np.asarray(after)
    problem = mismatch(a, b)
    if problem:
        return Distance(problem=problem)
    if not a.size or identical(a, b):
        return EQUAL if not looks_like_logits(a) else EQUAL_LOGITS
    if a.dtype.kind in "OUS":
        return _numbers(np.zeros(a.shape), (a != b).astype(np.float64))
    if a.dtype.kind in "biu":
        return _integers(a, b)
    if a.dtype.kind == "c":
        return _numbers(_parts(a), _parts(b))
    found = _numbers(wide(a), wide(b))
    return _with_logits(found, wide(a), wide(b)) if looks_like_logits(a) else found


def identical(before: Array, after: Array) -> bool:
    """Whether two arrays of one type and shape hold the very same bits."""
    if before.dtype == object:
        return bool((before == after).all())
    return before.tobytes() == after.tobytes()


def looks_like_logits(array: Array) -> bool:
    """Whether the last axis may be that of classes."""
    return array.dtype.kind in "fV" and array.ndim >= 2 and array.shape[-1] >= LOGITS


def mismatch(before: Array, after: Array) -> str:
    """Why two arrays cannot be compared, as a sentence; empty when they can."""
    if before.dtype != after.dtype:
        return f"the element type was {_kind(before)} and is {_kind(after)}"
    if before.shape != after.shape:
        return f"the shape was {list(before.shape)} and is {list(after.shape)}"
    return ""


def wide(array: Array) -> Wide:
    """The elements in float64."""
    return array.astype(np.float64)


def _kind(array: Array) -> str:
    return NAMES.get(array.dtype, str(array.dtype))


def _parts(array: Array) -> Wide:
    return np.stack([wide(array.real), wide(array.imag)], -1)


def _integers(before: Array, after: Array) -> Distance:
    # Modulo 2**64 the difference is exact; float64 cannot tell large integers apart.
    large, small = (f(before, after).astype(np.uint64) for f in (np.maximum, np.minimum))
    return _numbers(wide(before), wide(after), wide(large - small))


def _numbers(before: Wide, after: Wide, difference: Wide | None = None) -> Distance:
    finite = np.isfinite(before) & np.isfinite(after)
    odd = int(np.count_nonzero(~(finite | same_places(before, after))))
    a, b = np.where(finite, before, 0.0), np.where(finite, after, 0.0)
    if difference is None:
        with np.errstate(over="ignore"):
            difference = np.abs(a - b)
    at = int(difference.argmax())
    most = float(difference.reshape(-1)[at])
    top = float(np.abs(a).max())
    place = tuple(int(i) for i in np.unravel_index(at, before.shape)) if most else ()
    return Distance(most, _ratio(most, top), *_energies(a, b), nan_mismatch=odd, where=place)


def same_places(before: Wide, after: Wide) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Where both are NaN, or both are the same number or infinity."""
    return np.asarray((before == after) | (np.isnan(before) & np.isnan(after)))


def _energies(a: Wide, b: Wide) -> tuple[float, float, float]:
    """Relative L2 error, cosine and signal over noise."""
    scale = max(float(np.abs(a).max()), float(np.abs(b).max())) or 1.0
    a, b = (a / scale).reshape(-1), (b / scale).reshape(-1)  # squares of large numbers overflow
    noise, signal, other = float(np.linalg.norm(a - b)), float(a @ a) ** 0.5, float(b @ b) ** 0.5
    if not noise:
        return 0.0, 1.0, math.inf
    cosine = float(a @ b) / (signal * other) if signal and other else 0.0
    relative = _ratio(noise, signal)
    return relative, cosine, -20 * math.log10(relative) if math.isfinite(relative) else -math.inf


def _ratio(part: float, whole: float) -> float:
    if not part:
        return 0.0
    return part / whole if whole else math.inf


def _with_logits(found: Distance, before: Wide, after: Wide) -> Distance:
    a, b = (x.reshape(-1, x.shape[-1]) for x in (before, after))
    clean = np.isfinite(a).all(-1) & np.isfinite(b).all(-1)
    if not clean.any():
        return found
    a, b = a[clean], b[clean]
    agree = float((a.argmax(-1) == b.argmax(-1)).mean())
    return replace(found, kl=_divergence(a, b), top1=agree)


def _divergence(a: Wide, b: Wide) -> float:
    """The mean over rows of KL(before || after)."""
    likely = all((r >= 0).all() and np.allclose(r.sum(-1), 1.0, atol=1e-3) for r in (a, b))
    with np.errstate(divide="ignore", invalid="ignore"):
        p, q = (np.log(a), np.log(b)) if likely else (_log_softmax(a), _log_softmax(b))
        terms = np.where(np.exp(p) > 0, np.exp(p) * (p - q), 0.0)  # 0 log 0 is 0
    return max(0.0, float(terms.sum(-1).mean()))


def _log_softmax(rows: Wide) -> Wide:
    shifted = rows - rows.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))
