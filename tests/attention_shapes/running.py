"""Whether two graphs give the same on hard inputs, judged by the truth where there is one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tests.attention_shapes.attention import Written
from tests.attention_shapes.feeds import Feed, feeds
from tests.attention_shapes.truth import Truth

from graphwright.ir.graph import Graph
from graphwright.runtime import Runtime

FLOOR = {"f32": 1e-5, "f16": 4e-3}  # of the largest number: what rounding may come to by itself
APART = {"f32": 1e-4, "f16": 2e-2}  # the same of scores that are not seen in the truth
GROWTH = 4.0  # how much farther from the truth than the original a result may be


def run(graph: Graph, given: Sequence[Feed], runtime: Runtime) -> list[list[np.ndarray]]:
    """The outputs on each feed, in float64."""
    ran = runtime.evaluate(graph, [dict(feed.arrays) for feed in given])
    return [[array.astype(np.float64) for array in outputs] for outputs in ran]


def differences(
    written: Written, before: Graph, after: Graph, runtime: Runtime, *, is_attention: bool = True
) -> list[str]:
    """On which feeds the two differ, in words. Only of an attention the truth is known."""
    given = list(feeds(written))
    found = []
    pairs = zip(given, run(before, given, runtime), run(after, given, runtime), strict=True)
    for feed, was, now in pairs:
        if feed.large and not is_attention:
            continue  # a sum over other axes may be of numbers too small to be exact
        large = feed.large and overflows(written)
        truth = Truth(written, feed.arrays).result() if is_attention and not large else None
        for i, (old, new) in enumerate(zip(was, now, strict=True)):
            kind, lenient = written.form.kind, not is_attention
            answers = [truth if i == 0 else None]
            if decided_by_rounding(written, feed):
                answers.append(None)  # what it was before is as good an answer
            whys = [_apart(old, new, each, kind, lenient=lenient) for each in answers]
            if all(whys):
                found.append(f"{feed.about}: {whys[-1]}")
    return found


def decided_by_rounding(written: Written, feed: Feed) -> bool:
    """Whether float64 does not say what is to come out.

    Of rows without keys rounding decides, unless scores have digits left beside what hides them;
    on a CPU ONNX Runtime leaves roundings of float16 out where two of its casts meet.
    """
    return feed.dead and written.form.mask != "int_1e4"


def overflows(written: Written) -> bool:
    """Whether large scores are more than the numbers of the form can hold."""
    return written.form.softmax == "written_plain"


def _apart(
    old: np.ndarray, new: np.ndarray, truth: np.ndarray | None, kind: str, *, lenient: bool
) -> str:
    if old.shape != new.shape:
        return f"the shape was {old.shape} and is {new.shape}"
    usable = np.isfinite(old)
    if not lenient and not np.array_equal(old[~usable], new[~usable], equal_nan=True):
        return "what was NaN or infinite is something else"
    old, new = old[usable], new[usable]
    if not np.isfinite(new).all():
        return "numbers became NaN or infinite"
    if truth is None:
        largest, apart = max(1.0, _largest(old)), _largest(old - new)
        return f"{apart:.3g} apart" if apart > APART[kind] * largest else ""
    truth = truth[usable]
    far, own = _largest(new - truth), _largest(old - truth)
    limit = max(GROWTH * own, FLOOR[kind] * max(1.0, _largest(truth)))
    return f"{far:.3g} from the truth, the original {own:.3g}" if far > limit else ""


def _largest(array: np.ndarray) -> float:
    return float(np.abs(array).max(initial=0))
