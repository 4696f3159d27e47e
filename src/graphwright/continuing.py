"""Running a prompt and then step after step, as generation does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphwright.ir.graph import Graph
from graphwright.passes.incremental.pair import Pair

Feed: TypeAlias = Mapping[str, Any]
Evaluate: TypeAlias = "Callable[[Graph, Sequence[Feed]], list[list[Any]]]"
SINGLE = 3  # steps of one token, before the last ones come together


@dataclass(frozen=True)
class Inputs:
    """The size that counts tokens, and the axes that have it: of what tokens are, and of masks.

    `fresh` inputs hold new tokens alone in a step, `whole` ones all tokens so far.
    """

    length: str
    fresh: Mapping[str, tuple[int, ...]]
    whole: Mapping[str, tuple[int, ...]]

    def count(self, graph: Graph, feed: Feed) -> int:
        """How many tokens a feed of `graph` has."""
        name, axes = next(iter(self.fresh.items()))
        return int(np.shape(feed[name])[axes[0]])

    def part(self, feed: Feed, start: int, end: int) -> dict[str, Any]:
        """What a step is given for the tokens from `start` to `end`."""
        found = dict(feed)
        for name, axes in self.fresh.items():
            found[name] = _cut(feed[name], axes, start, end)
        for name, axes in self.whole.items():
            found[name] = _cut(feed[name], axes, 0, end)
        return found


def _cut(array: Any, axes: tuple[int, ...], start: int, end: int) -> Any:
    for axis in axes:
        array = np.asarray(array).take(range(start, end), axis)
    return array


def stages(count: int) -> list[tuple[int, int]]:
    """Where a prompt and the steps after it begin and end: a half, single tokens, and the rest."""
    ends = [max(1, count // 2)]
    while ends[-1] < count:
        ends.append(ends[-1] + 1 if len(ends) <= SINGLE else count)
    return list(zip([0, *ends], ends, strict=False))


def continued(
    pair: Pair, inputs: Inputs, feeds: Sequence[Feed], names: Sequence[str], evaluate: Evaluate
) -> list[list[Any]]:
    """What prompt and steps give together of all tokens of each feed, by the outputs' `names`."""
    kept: list[dict[str, Any]] = [{} for _ in feeds]
    gave: list[dict[str, list[Any]]] = [{name: [] for name in names} for _ in feeds]
    plans = [stages(inputs.count(pair.prefill, feed)) for feed in feeds]
    for stage in range(max(map(len, plans), default=0)):
        graph = pair.step if stage else pair.prefill
        taken = {v.name for v in graph.inputs}
        running = [i for i, plan in enumerate(plans) if stage < len(plan)]
        given = []
        for i in running:
            part = {**inputs.part(feeds[i], *plans[i][stage]), **kept[i]}
            given.append({name: part[name] for name in part if name in taken})
        outputs = graph.result.attrs["names"]
        assert isinstance(outputs, tuple)
        for i, found in zip(running, evaluate(graph, given), strict=True):
            known = dict(zip(map(str, outputs), found, strict=True))
            for name in names:
                gave[i][name].append(known[name])
            for each in pair.caches:
                if each.present in known:
                    kept[i][each.past] = known[each.present]
    return [[np.concatenate(each[name], 1) for name in names] for each in gave]


def visible(graph: Graph, inputs: Inputs, feed: Feed, outputs: Sequence[Any]) -> list[Any]:
    """Outputs that are 0 for the tokens that a mask [batch, tokens] hides."""
    masks = [np.asarray(feed[n]) for n, axes in inputs.whole.items() if axes == (1,)]
    found = []
    for array in outputs:
        for mask in masks:
            if mask.ndim == 2 and array.shape[:2] == mask.shape:
                seen = mask.astype(bool).reshape(*mask.shape, *(1,) * (array.ndim - 2))
                array = np.where(seen, array, array.dtype.type(0))
        found.append(array)
    return found
