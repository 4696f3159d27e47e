"""Running a graph on several inputs when some of them may not suit it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from graphwright.ir.contracts import Contract
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.verification.feeds import Feed
from graphwright.verification.judge import Verdict, holds, surely_holds

Outputs: TypeAlias = "list[Any]"
Evaluate: TypeAlias = "Callable[[Graph, Sequence[Feed]], list[list[Any]]]"
"""The outputs of a graph for each of several inputs; ModelError when one of them fails."""


def run_each(evaluate: Evaluate, graph: Graph, feeds: Sequence[Feed]) -> list[Outputs | ModelError]:
    """The outputs for each of `feeds`, or why there are none; all in one go where that works."""
    try:
        return list(evaluate(graph, feeds))
    except ModelError as error:
        if len(feeds) == 1:
            return [error]
    # The first is tried alone: where it fails the others mostly do, and each try costs a start.
    first = run_each(evaluate, graph, feeds[:1])
    if isinstance(first[0], ModelError):
        return first * len(feeds)
    return [*first, *(run_each(evaluate, graph, [feed])[0] for feed in feeds[1:])]


class Truth:
    """The float64 answers of one graph, computed when asked for; None once there is none."""

    def __init__(self, evaluate64: Evaluate, graph: Graph) -> None:
        self.evaluate64, self.graph = evaluate64, graph
        self.why_not = ""

    def outputs(self, feed: Feed) -> Outputs | None:
        """The outputs for one feed."""
        if self.why_not:
            return None
        try:
            return self.evaluate64(self.graph, [feed])[0]
        except ModelError as error:
            self.why_not = str(error)
            return None


def judged(
    contract: Contract, before: Outputs, after: Outputs, truth: Truth, feed: Feed
) -> list[Verdict]:
    """The verdict on each output; the float64 answer is computed only where it matters."""
    found = [surely_holds(contract, a, b) for a, b in zip(before, after, strict=True)]
    if None not in found:
        return [v for v in found if v is not None]
    answers = truth.outputs(feed) or [None] * len(before)
    return [
        holds(contract, a, b, t) if v is None else v
        for v, a, b, t in zip(found, before, after, answers, strict=True)
    ]
