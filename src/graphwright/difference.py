"""How two models differ."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphwright.differences.comparison import compare
from graphwright.differences.hunks import Hunk, Insert, Inside, Place, Remove, Replace, plain_hunk
from graphwright.frontends.onnx import load
from graphwright.ir.contracts import Approximate, Contract, Exact, Tolerance
from graphwright.ir.garbage import uncollected
from graphwright.ir.graph import Graph

SCHEMA = 1
OURS = "graphwright"  # whose functions stand for one operator each
LISTED = 12  # nodes that a hunk names
PLACES = 4  # that a headline of several equal hunks names
STRENGTH = (Exact, Tolerance, Approximate)


@dataclass(frozen=True)
class Side:
    """One of the two models: its name, how many nodes it has, and the opset it is written in."""

    name: str
    nodes: int
    opset: int | None


@dataclass(frozen=True)
class Difference:
    """What is different between two models; `notes` are of what changes nothing that is computed.

    Names of intermediate values and the order of nodes make no difference.
    """

    before: Side
    after: Side
    hunks: tuple[Hunk, ...]
    notes: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether there is no difference."""
        return not self.hunks

    def as_json(self) -> dict[str, Any]:
        """The difference as plain data, in a form that only grows."""
        return {
            "schema": SCHEMA,
            "same": self.same,
            "before": dataclasses.asdict(self.before),
            "after": dataclasses.asdict(self.after),
            "hunks": [plain_hunk(h) for h in self.hunks],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The difference as text, equal hunks told once; none for what is the same."""
        if self.same and not self.notes:
            return
        for mark, side in (("---", self.before), ("+++", self.after)):
            opset = "" if side.opset is None else f", opset {side.opset}"
            yield f"{mark} {side.name}: {side.nodes} nodes{opset}"
        alike: dict[str, list[Hunk]] = {}
        for hunk in self.hunks:
            alike.setdefault(str(hunk), []).append(hunk)
        for headline, hunks in alike.items():
            yield f"@@ {headline}{f'  ({len(hunks)} times)' if len(hunks) > 1 else ''}"
            yield from _details(hunks)
        yield from (f"   {note}" for note in self.notes)


def diff(
    before: Graph | str | os.PathLike[str], after: Graph | str | os.PathLike[str]
) -> Difference:
    """How two models differ, graphs or files. Raises ModelError and OSError for bad files."""
    first, second = _graph(before), _graph(after)
    with uncollected():
        hunks = tuple(_with_contract(h) for h in compare(first, second))
    return Difference(
        _side(before, first), _side(after, second), hunks, tuple(_notes(first, second))
    )


def _graph(model: Graph | str | os.PathLike[str]) -> Graph:
    if isinstance(model, Graph):
        return model
    graph = load(Path(model))
    foreign = any(function.domain != OURS for function in graph.functions.values())
    return load(Path(model), inline=True) if foreign else graph


def _side(model: Graph | str | os.PathLike[str], graph: Graph) -> Side:
    name = graph.name if isinstance(model, Graph) else os.fspath(model)
    opset = None if graph.header is None else graph.header.opsets.get("")
    return Side(name, sum(1 for _ in graph.walk()), opset)


def _notes(before: Graph, after: Graph) -> Iterator[str]:
    if before.header is None or after.header is None:
        return
    both = before.header.opsets, after.header.opsets
    for domain in sorted({*both[0], *both[1]} - {OURS}):
        one, other = (o.get(domain) for o in both)
        if one != other:
            name = f"the opset of {domain}" if domain else "the opset"
            yield f"{name} was {one or 'not there'} and is {other or 'not there'}"
    if before.header.ir_version != after.header.ir_version:
        yield f"the IR version was {before.header.ir_version} and is {after.header.ir_version}"


def _with_contract(hunk: Hunk) -> Hunk:
    """The hunk with the weakest contract of the rules that made it."""
    if isinstance(hunk, Inside):
        return dataclasses.replace(hunk, hunk=_with_contract(hunk.hunk))
    if not isinstance(hunk, Replace | Insert) or not hunk.rules:
        return hunk
    from graphwright.passes.rule import rules

    known = rules()
    contracts = [known[name].contract for name in hunk.rules if name in known]
    if not contracts:
        return hunk
    return dataclasses.replace(hunk, contract=str(max(contracts, key=_weakness)))


def _weakness(contract: Contract) -> int:
    return STRENGTH.index(type(contract))


def _details(hunks: Sequence[Hunk]) -> Iterator[str]:
    """Where hunks that read alike are: the nodes of one, the places of several."""
    first = hunks[0].hunk if isinstance(hunks[0], Inside) else hunks[0]
    if len(hunks) == 1 and isinstance(first, Replace | Remove):
        yield from _listed("-", first.old)
    if len(hunks) == 1 and isinstance(first, Replace | Insert):
        yield from _listed("+", first.new)
    if len(hunks) > 1 or not isinstance(first, Replace | Remove | Insert):
        yield from _where(hunks)


def _listed(mark: str, places: tuple[Place, ...]) -> Iterator[str]:
    yield from (f"{mark}  {p.op}  {p.name}".rstrip() for p in places[:LISTED])
    if len(places) > LISTED:
        yield f"{mark}  and {len(places) - LISTED} more"


def _where(hunks: Sequence[Hunk]) -> Iterator[str]:
    found = list(dict.fromkeys(name for h in hunks if (name := _place_name(h))))
    if found:
        more = len(found) - PLACES
        yield f"   at {', '.join(found[:PLACES])}{f' and {more} more' if more > 0 else ''}"


def _place_name(hunk: Hunk) -> str:
    if isinstance(hunk, Replace | Remove):
        return hunk.old[0].name
    if isinstance(hunk, Insert):
        return hunk.new[0].name
    return "" if not hasattr(hunk, "node") else hunk.node.name
