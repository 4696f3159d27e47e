"""Whether a contract holds between what a graph gave and what its rewrite gives."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphwright.ir.const import Array
from graphwright.ir.contracts import Approximate, Bounded, Contract, Exact, Tolerance
from graphwright.ir.types import NAMES
from graphwright.verification.metrics import (
    Distance,
    Wide,
    identical,
    measure,
    mismatch,
    same_places,
    wide,
)

BITS_16 = {"f16": (2.0**-10, 65504.0), "bf16": (2.0**-7, 3.39e38)}
"""Of the floats of 16 bits: how far 1 is from the next number, and the largest number."""
LARGEST = {"f32": 3.4028235e38, **{name: top for name, (_, top) in BITS_16.items()}}
FILL = 2.0**-4  # of the largest number: what is larger is a mask's filling, not data
ROUNDING = 1e-5  # of the largest element, for what is computed beside its bound in float32
NO_TRUTH = "the original, for want of a float64 answer"
HIGHER_IS_NEARER = frozenset({"cosine", "sqnr_db", "top1"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a contract holds; when not, `why` is a sentence.

    `bound` is what was allowed, and `against` what the new result was held against.
    """

    ok: bool
    why: str = ""
    distance: Distance | None = None
    bound: float | None = None
    against: str = ""

    @property
    def margin(self) -> float:
        """How near to being refused, 0 for equal results; to compare verdicts by."""
        if not self.ok:
            return math.inf
        return self.distance.relative if self.distance is not None else 0.0


def holds(contract: Contract, before: Any, after: Any, truth: Any = None) -> Verdict:
    """Whether `after` keeps to `contract`; arrays, or sequences of them.

    `truth` is the answer in float64. Without one, a Tolerance compares with `before` itself. A
    Tolerance lets numbers stand in for the original's NaN or infinity where the float64 answer has
    such numbers (float32 overflowed), never the reverse. For a Bounded, `truth` is not the answer
    but how far each element may be off.
    """
    if isinstance(before, list) or isinstance(after, list):
        return _sequences(contract, before, after, truth)
    if before is None or after is None:
        same = before is None and after is None
        return Verdict(same, "" if same else "one of them gives nothing")
    a, b = np.asarray(before), np.asarray(after)
    problem = mismatch(a, b)
    if problem:
        return Verdict(False, problem, Distance(problem=problem), 0.0, "the original")
    match contract:
        case Exact():
            return _exact(a, b)
        case Approximate():
            return _approximate(contract, a, b)
        case Bounded():
            return _bounded(contract, a, b, truth)
        case Tolerance():
            return _tolerance(contract, a, b, None if truth is None else np.asarray(truth))


def surely_holds(contract: Contract, before: Any, after: Any) -> Verdict | None:
    """The verdict where no float64 answer could change it for the worse; None where one is needed.

    What is within half the relative bound of the original is within a Tolerance of the truth.
    """
    if isinstance(contract, Bounded):
        return None
    if not isinstance(contract, Tolerance):
        return holds(contract, before, after)
    if contract.times < 2 or isinstance(before, list):
        return None
    found = holds(dataclasses.replace(contract, relative=contract.relative / 2), before, after)
    coarse = isinstance(before, np.ndarray) and NAMES.get(before.dtype) in BITS_16
    near = found.distance is None or found.distance.max_abs == 0 or not coarse
    return found if found.ok and near else None


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The one that matters most: one that is not ok, or else the one of the largest distance."""
    return max(verdicts, key=lambda v: v.margin, default=Verdict(True))


def _sequences(contract: Contract, before: Any, after: Any, truth: Any) -> Verdict:
    if not isinstance(before, list) or not isinstance(after, list) or len(before) != len(after):
        return Verdict(False, "the sequences are not of the same length")
    truths = (
        truth if isinstance(truth, list) and len(truth) == len(before) else [None] * len(before)
    )
    return worst(holds(contract, *each) for each in zip(before, after, truths, strict=True))


def _exact(before: Array, after: Array) -> Verdict:
    distance = measure(before, after)
    count = 0 if identical(before, after) else int(np.count_nonzero(~_same_bits(before, after)))
    why = f"{count} of {before.size} elements are not the same bits" if count else ""
    return Verdict(not count, why, distance, 0.0, "the same bits")


def _same_bits(before: Array, after: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Where the bits are the same; one NaN is as good as another."""
    if before.dtype.kind in "OUSbiu":
        return np.asarray(before == after)
    if before.dtype.kind == "c":
        return _same_bits(before.real, after.real) & _same_bits(before.imag, after.imag)
    a, b = wide(before), wide(after)
    return np.asarray(same_places(a, b) & (np.isnan(a) | (np.signbit(a) == np.signbit(b))))


def _approximate(contract: Approximate, before: Array, after: Array) -> Verdict:
    distance = measure(before, after)
    found = getattr(distance, contract.metric, None)
    if contract.metric not in Distance.__slots__ or isinstance(found, str | tuple):
        raise ValueError(f"'{contract.metric}' is no measure of how far results are apart")
    if found is None:
        return Verdict(False, f"{contract.metric} is for logits, which these are not", distance)
    lost = _lost(before, after)
    if lost:
        return Verdict(False, _odd(lost), distance, contract.bound, contract.metric)
    higher = contract.metric in HIGHER_IS_NEARER
    ok = found >= contract.bound if higher else found <= contract.bound
    limit = f"{'at least' if higher else 'at most'} {contract.bound:g}"
    why = "" if ok else f"{contract.metric} is {found:.3g}, and {limit} was promised"
    return Verdict(bool(ok), why, distance, contract.bound, contract.metric)


def _lost(before: Array, after: Array) -> int:
    """How many numbers became NaN or infinite; nothing is near to what was none before."""
    if before.dtype.kind in "OUS":
        return 0
    return int(np.count_nonzero(np.isfinite(_reals(before)) & ~np.isfinite(_reals(after))))


def _bounded(contract: Bounded, before: Array, after: Array, limit: Any) -> Verdict:
    distance, lost = measure(before, after), _lost(before, after)
    if limit is None:
        return Verdict(False, "its bound cannot be computed here", distance, None, contract.bound)
    if lost:
        return Verdict(False, _odd(lost), distance, None, contract.bound)
    a, b, most = _reals(before), _reals(after), _reals(np.asarray(limit))
    told = np.isfinite(a)
    rounding = ROUNDING * float(np.abs(a[told]).max(initial=0.0))
    over = np.where(told, np.abs(b - np.where(told, a, 0.0)) - most, 0.0)
    worst_over = float(over.max(initial=0.0))
    ok = worst_over <= rounding
    why = "" if ok else f"it is {worst_over:.2g} farther off than {contract.bound} allows"
    return Verdict(ok, why, distance, float(most.max(initial=0.0)), contract.bound)


def _odd(count: int) -> str:
    return f"{count} elements are NaN or infinite on one side only"


def _tolerance(contract: Tolerance, before: Array, after: Array, truth: Array | None) -> Verdict:
    if truth is not None and truth.shape != before.shape:
        truth = None  # the float64 run chose otherwise, so that it says nothing of this one
    if before.dtype.kind in "OUSbiu":
        return _discrete(before, after, truth)
    distance = measure(before, after)
    if identical(before, after):
        return Verdict(True, "", distance, 0.0, "the same bits")
    a, b = _reals(before), _reals(after)
    t = a if truth is None else _reals(truth)
    name = NAMES.get(before.dtype, "f64")
    with np.errstate(over="ignore", invalid="ignore"):
        t = np.where(np.abs(t) > LARGEST.get(name, math.inf), np.copysign(np.inf, t), t)
        told = ~np.isfinite(a) & (_finite(b, t) | same_places(b, t))
        odd = ~(same_places(a, b) | _finite(a, b) | told)
    against = "the float64 answer" if truth is not None else NO_TRUTH
    if odd.any():
        return Verdict(False, _odd(int(np.count_nonzero(odd))), distance, 0.0, against)
    grain = BITS_16.get(name, (0.0, 0.0))[0]
    floor = max(contract.relative, (4 if truth is None else 1) * grain)
    times = contract.times if truth is not None else 0.0
    t = np.where(np.isfinite(t), t, a)
    parts = _parts(np.where(np.isfinite(a), a, t), FILL * LARGEST.get(name, math.inf))
    verdicts = [_near(a, b, t, part, (times, floor), distance, against) for part in parts]
    return worst(verdicts or [Verdict(True, "", distance, 0.0, against)])


def _finite(*arrays: Wide) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.asarray(np.logical_and.reduce([np.isfinite(x) for x in arrays]))


def _reals(array: Array) -> Wide:
    return np.stack([array.real, array.imag], -1) if array.dtype.kind == "c" else wide(array)


def _discrete(before: Array, after: Array, truth: Array | None) -> Verdict:
    same = np.asarray(before == after)
    if truth is not None:
        same = same | np.asarray(after == truth)
    count = int(np.count_nonzero(~same))
    why = f"{count} of {before.size} elements are other ones" if count else ""
    return Verdict(not count, why, measure(before, after), 0.0, "the original")


def _parts(scale: Wide, fill: float) -> list[np.ndarray[Any, np.dtype[np.bool_]]]:
    """Data, and what masks are filled with: beside -3e38 any error of the data would seem small."""
    with np.errstate(invalid="ignore"):
        large = np.abs(scale) >= fill
    parts = (np.isfinite(scale) & ~large, np.isfinite(scale) & large)
    return [part for part in parts if part.any()]


def _near(
    before: Wide,
    after: Wide,
    truth: Wide,
    part: np.ndarray[Any, np.dtype[np.bool_]],
    allowed: tuple[float, float],
    distance: Distance,
    against: str,
) -> Verdict:
    times, relative = allowed
    a, b, t = before[part], after[part], truth[part]
    known = np.isfinite(a)  # elsewhere float32 overflowed, and the float64 answer stands in
    own = float(np.abs(a[known] - t[known]).max(initial=0.0))
    off = float(np.abs(b[np.isfinite(b)] - t[np.isfinite(b)]).max(initial=0.0))
    bound = max(times * own, relative * float(np.abs(t).max()))
    ok = off <= bound
    why = "" if ok else f"it is {off:.2g} from {against}, and {bound:.2g} is allowed"
    return Verdict(ok, why, distance, bound, against)
