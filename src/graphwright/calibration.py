"""A model run over data for statistics of what its values hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphwright.benching import usual_feed
from graphwright.ir.const import Array
from graphwright.ir.cut import cut
from graphwright.ir.dims import Dim, product
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Value
from graphwright.ir.substitution import evaluate
from graphwright.ir.types import WIDTHS, TensorType
from graphwright.passes.rule import NoMatch
from graphwright.passes.technique import Tap
from graphwright.runtime import Runtime
from graphwright.verification.data import Data, each_feed
from graphwright.verification.feeds import Feed

HELD = 1 << 30  # bytes of a batch that are looked at together
MADE_UP = (
    "no data was given, so statistics were taken of inputs that were made up, which say little of "
    "real ones; give some with --data"
)


@dataclass
class Calibration:
    """What runs `graph` over `data`, or where there is none over made inputs, as `notes` then says.

    The graph may change between two calls; it is run as it stands.
    """

    graph: Graph
    runtime: Runtime
    data: Data | None = None
    progress: Callable[[str], None] = lambda _: None
    notes: list[str] = field(default_factory=list)
    _made: Feed | None = None

    def observe(self, taps: Sequence[Tap[Any]]) -> list[Any]:
        """The state of each tap after all of the data, one batch after another.

        Of a batch only what fits a bound is held at once, and of the data only the states; where
        taps read more than that they take turns. Raises ModelError where the data does not fit or
        the model fails on it, and NoMatch where a value cannot be looked at.
        """
        states = [tap.start for tap in taps]
        for turn in self._turns(taps):
            values = list(dict.fromkeys(v for i in turn for v in taps[i].values))
            for number, arrays in enumerate(self._run(values), 1):
                self.progress(f"calibrating: batch {number}")
                held = dict(zip(values, arrays, strict=True))
                for i in turn:
                    states[i] = taps[i].step(states[i], *(held[v] for v in taps[i].values))
        return states

    def _feeds(self) -> Iterator[Feed]:
        if self.data is not None:
            yield from each_feed(self.data, self.graph)
            return
        if self._made is None:
            self.notes.append(MADE_UP)
            self._made = usual_feed(self.graph, self.runtime)
        yield self._made

    def _run(self, values: Sequence[Value]) -> Iterator[list[Array]]:
        """What the values hold, batch by batch."""
        part = self._part(values)
        names = {v.name: part.inputs[i].name for i, v in enumerate(self.graph.inputs)}
        defaults = {v.name: const.load() for v, const in self.graph.defaults.items()}
        at = ""

        def given() -> Iterator[Mapping[str, Any]]:
            nonlocal at
            for feed in self._feeds():
                at = f"{feed.about}: "
                yield {names[k]: array for k, array in {**defaults, **feed}.items()}
                at = ""

        try:
            yield from self.runtime.stream(part, given())
        except ModelError as error:
            raise ModelError(f"{at}{error}") from None

    def _part(self, values: Sequence[Value]) -> Graph:
        try:
            part = cut(values, self.graph.inputs, name="calibration")
        except ValueError:
            raise NoMatch("it stands in a body, which is not run by itself") from None
        header = self.graph.header
        part.header = None if header is None else replace(header, source=None)
        part.functions = self.graph.functions
        return part

    def _turns(self, taps: Sequence[Tap[Any]]) -> list[list[int]]:
        """The taps in groups whose values of one batch are held together, by number."""
        feed = next(self._feeds(), None)
        sizes = {} if feed is None else sizes_in(self.graph, feed)
        turns: list[list[int]] = []
        room = 0
        for i, tap in enumerate(taps):
            size = sum(_bytes(v, sizes) for v in tap.values)
            if not turns or size > room:
                turns.append([])
                room = HELD
            turns[-1].append(i)
            room -= size
        return turns


def sizes_in(graph: Graph, feed: Mapping[str, Any]) -> dict[str, int]:
    """The sizes that inputs name, as `feed` has them."""
    found: dict[str, int] = {}
    for value in graph.inputs:
        shape = value.type.shape if isinstance(value.type, TensorType) else None
        if shape is not None and value.name in feed:
            found.update(zip(map(str, shape), feed[value.name].shape, strict=True))
    return found


def _bytes(value: Value, sizes: Mapping[str, int]) -> int:
    """What a value takes; a quarter of all there may be where that is not known."""
    if not isinstance(value.type, TensorType) or value.type.shape is None:
        return HELD // 4
    try:
        dims: list[Dim] = [evaluate(dim, sizes) for dim in value.type.shape]
    except (KeyError, ModelError):
        return HELD // 4
    count = product(dims)
    assert isinstance(count, int)
    return count * WIDTHS[value.type.dtype] // 8
