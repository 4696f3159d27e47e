"""Which rewrite it is after which a model is another function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphwright.driver import Progress
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.passes.rewrite import Application
from graphwright.verification.verify import Verification

Verify = Callable[[Graph], Verification]


class History:
    """A graph that can be taken to any point of what was done to it."""

    def __init__(
        self, graph: Graph, done: Sequence[Application], verify: Verify, progress: Progress
    ) -> None:
        self.graph, self.done, self.verify, self.progress = graph, done, verify, progress
        self.place = len(done)
        self.found: dict[int, Verification] = {}
        self.tried = 0

    def at(self, place: int) -> Verification:
        """What is found of the graph after `place` rewrites."""
        while self.place > place:
            self.place -= 1
            self.done[self.place].change.undo()
        while self.place < place:
            self.done[self.place].change.redo()
            self.place += 1
        if place not in self.found:
            self.tried += 1
            self.progress(f"verifying after {place} of {len(self.done)} rewrites")
            self.found[place] = self.verify(self.graph)
        return self.found[place]

    def guilty(self) -> int:
        """The first rewrite after which the graph is not the same, where it still was before.

        Raises ModelError for a model that is not the same as itself.
        """
        if not self.at(0).ok:
            raise ModelError("the model does not give the same twice, so nothing can be found out")
        good, bad = 0, len(self.done)
        while bad - good > 1:
            middle = (good + bad) // 2
            good, bad = (middle, bad) if self.at(middle).ok else (good, middle)
        self.at(bad)
        return bad - 1


def first_wrong(
    graph: Graph, done: Sequence[Application], verify: Verify, progress: Progress
) -> Application | None:
    """The rewrite after which `graph` is another function; None where that cannot be found out."""
    try:
        return done[History(graph, done, verify, progress).guilty()] if done else None
    except ModelError:
        return None
