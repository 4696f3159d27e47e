"""What is said of two graphs that differ, one hunk a place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeAlias

from graphwright.ir.contracts import Exact

EXACT = str(Exact())
LISTED = 6  # operators that a headline names


@dataclass(frozen=True)
class Place:
    """A node: its operator, its name in the model, and the nodes of the user's model it is from."""

    op: str
    name: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Replace:
    """Nodes that gave way to others; `distance` is how far apart both were when it was measured."""

    kind: ClassVar[str] = "replace"
    old: tuple[Place, ...]
    new: tuple[Place, ...]
    rules: tuple[str, ...] = ()
    contract: str = ""
    distance: float | None = None

    def __str__(self) -> str:
        old = f"{len(self.old)} nodes" if len(self.old) > 1 else self.old[0].op
        return f"{old} -> {_operators(self.new)}{said(self.rules, self.contract, self.distance)}"


@dataclass(frozen=True)
class Remove:
    """Nodes that are gone, with nothing in their place; `merged`: others compute the same."""

    kind: ClassVar[str] = "remove"
    old: tuple[Place, ...]
    merged: bool = False

    def __str__(self) -> str:
        what = "merged with equal ones" if self.merged else "removed"
        return f"{_count(self.old)} {what}: {_operators(self.old)}"


@dataclass(frozen=True)
class Insert:
    """Nodes that were not there."""

    kind: ClassVar[str] = "insert"
    new: tuple[Place, ...]
    rules: tuple[str, ...] = ()
    contract: str = ""
    distance: float | None = None

    def __str__(self) -> str:
        how = said(self.rules, self.contract, self.distance)
        return f"{_count(self.new)} inserted: {_operators(self.new)}{how}"


@dataclass(frozen=True)
class Update:
    """An attribute of a node that has another value; None where there is none."""

    kind: ClassVar[str] = "update"
    node: Place
    what: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        return f"{self.node.op}: {self.what} {_text(self.before)} -> {_text(self.after)}"


@dataclass(frozen=True)
class Weights:
    """A constant that holds something else; `distance` is the largest difference of an element."""

    kind: ClassVar[str] = "weights"
    node: Place
    name: str
    before: str
    after: str
    distance: float | None = None

    def __str__(self) -> str:
        if self.before != self.after:
            return f"weights changed: {self.name} {self.before} -> {self.after}"
        how = "" if self.distance is None else f" by up to {self.distance:.3g}"
        return f"weights changed: {self.name} {self.before}{how}"


@dataclass(frozen=True)
class Move:
    """A node of both graphs that reads something else, or the same in another order."""

    kind: ClassVar[str] = "move"
    node: Place
    before: tuple[str, ...]
    after: tuple[str, ...]

    def __str__(self) -> str:
        if sorted(self.before) == sorted(self.after):
            return f"{self.node.op}: the same operands in another order"
        after, before = ", ".join(self.after), ", ".join(self.before)
        return f"{self.node.op} moved: reads {after} instead of {before}"


@dataclass(frozen=True)
class Signature:
    """An input, output or function that is not as it was; None where there is none."""

    kind: ClassVar[str] = "signature"
    what: str
    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.what} {self.name} added: {self.after}"
        if self.after is None:
            return f"{self.what} {self.name} removed: {self.before}"
        return f"{self.what} {self.name}: {self.before} -> {self.after}"


@dataclass(frozen=True)
class Inside:
    """A difference in a body of a node."""

    kind: ClassVar[str] = "inside"
    node: Place
    body: str
    hunk: Hunk

    def __str__(self) -> str:
        return f"in {self.body} of {self.node.op} {self.node.name}: {self.hunk}"


Hunk: TypeAlias = Replace | Remove | Insert | Update | Weights | Move | Signature | Inside


def said(rules: Iterable[str], contract: str, distance: float | None) -> str:
    """What is known of a rewrite, in parentheses: its rules, contract and measured distance."""
    apart = "" if distance is None or contract == EXACT else f"{distance:.2g}"
    parts = [", ".join(rules), contract, apart]
    known = ", ".join(p for p in parts if p)
    return f" ({known})" if known else ""


def plain_hunk(hunk: Hunk) -> dict[str, Any]:
    """A hunk as plain data."""
    if isinstance(hunk, Inside):
        inner = plain_hunk(hunk.hunk)
        return {"kind": hunk.kind, "node": asdict(hunk.node), "body": hunk.body, "hunk": inner}
    return {"kind": hunk.kind, "says": str(hunk), **asdict(hunk)}


def _count(places: tuple[Place, ...]) -> str:
    return f"{len(places)} node{'s' if len(places) != 1 else ''}"


def _operators(places: tuple[Place, ...]) -> str:
    counts = Counter(p.op for p in places)
    listed = [f"{n} {op}" if n > 1 else op for op, n in counts.most_common(LISTED)]
    more = len(counts) - len(listed)
    others = f" and {more} other operator{'s' if more > 1 else ''}"
    return ", ".join(listed) + (others if more else "")


def _text(value: str | None) -> str:
    return "nothing" if value is None else value
