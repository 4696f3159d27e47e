"""Which lowerings pay on this machine, found by measuring."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import quantiles

from graphwright.backends.ort.probe import runtime_version
from graphwright.benching import usual_feed
from graphwright.choosing import without
from graphwright.driver import run_groups
from graphwright.ir.clone import clone
from graphwright.ir.graph import Graph
from graphwright.passes.rewrite import Group
from graphwright.passes.rule import Budget
from graphwright.runtime import Runtime
from graphwright.verification.data import Data, read_data
from graphwright.verification.feeds import Feed

SECONDS = 8.0
MOST = 400
NEEDED = frozenset({"lower-attention"})  # what the others leave has to be written all the same
NOTE = "graphwright.tuned"


@dataclass(frozen=True)
class Measured:
    """A lowering that was tried: how many times as fast the model is with it, and on what.

    It was left out if it is slower by more than `noise`.
    """

    rule: str
    speedup: float
    noise: float
    kept: bool
    inputs: str


def tune(
    before: Graph,
    graph: Graph,
    lowering: Sequence[Group],
    budget: Callable[[Graph], Budget],
    runtime: Runtime,
    data: Data | None,
    progress: Callable[[str], None],
) -> tuple[Measured, ...]:
    """What each rule of `lowering` is worth on ONNX Runtime here, the others left out or kept.

    Rules are tried one after the other, each beside the best so far; what is slower is left out.
    `graph` is what came of `before` so far; both are left as they are. Raises ModelError where the
    model cannot be run.
    """
    feed = read_data(data, before)[0] if data is not None else usual_feed(before, runtime)
    inputs = ", ".join(f"{name} {'x'.join(map(str, a.shape))}" for name, a in feed.items())
    names = [rule.name for group in lowering for rule in group.rules]
    left_out = set(names) - NEEDED - _unconditional(lowering)
    best, _ = _lowered(graph, lowering, left_out, budget)
    found: list[Measured] = []
    for name in sorted(left_out, key=names.index):
        progress(f"measuring {name}")
        other, applied = _lowered(graph, lowering, left_out - {name}, budget)
        if name not in applied:
            left_out.discard(name)
            continue
        speedup, noise = _speedup(best, other, feed, runtime)
        kept = speedup + noise >= 1
        found.append(Measured(name, round(speedup, 4), round(noise, 4), kept, inputs))
        if kept:
            left_out.discard(name)
            best = other
    return tuple(found)


def _unconditional(lowering: Sequence[Group]) -> set[str]:
    """The rules that tidy up, or bring to one form what is written out again as it was."""
    free = (group for group in lowering if group.name in ("tidy", "rotary"))
    return {rule.name for group in free for rule in group.rules}


def _lowered(
    graph: Graph, lowering: Sequence[Group], but: set[str], budget: Callable[[Graph], Budget]
) -> tuple[Graph, set[str]]:
    """A copy of `graph` lowered without some rules, and the rules that were applied."""
    made = clone(graph)
    log = run_groups(made, without(tuple(but), lowering), budget(made), None)
    return made, {application.rule for application, _ in log.kept}


def _speedup(before: Graph, after: Graph, feed: Feed, runtime: Runtime) -> tuple[float, float]:
    """How many times as fast the second is, and how far off that may be.

    Medians that differ by less than the second may well be of the same distribution.
    Source: McGill, Tukey and Larsen 1978, "Variations of Box Plots", The American Statistician 32,
    section 7.
    """
    times = runtime.interleaved([before, after], feed, MOST, SECONDS)
    ratios = [a / b for a, b in zip(*times, strict=True)]
    if len(ratios) < 2:
        return ratios[0], 0.0
    low, middle, high = quantiles(ratios, n=4, method="inclusive")
    return middle, 1.57 * (high - low) / math.sqrt(len(ratios))


def note_measured(graph: Graph, measured: Sequence[Measured]) -> None:
    """Have the file that `graph` is written to say what was measured, and on which runtime."""
    if graph.header is None:
        return
    said = {"onnxruntime": runtime_version(), "measured": [asdict(each) for each in measured]}
    notes = {**graph.header.notes, NOTE: json.dumps(said)}
    graph.header = replace(graph.header, notes=notes)
