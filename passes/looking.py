"""Patterns that a function finds: for what stands too far apart to be drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from graphwright.ir.graph import Node, Value
from graphwright.passes.pattern import Env, Memo, Pattern
from graphwright.passes.rule import NoMatch

Readings: TypeAlias = "Iterable[tuple[Any, Iterable[Value | None]]]"


class Looking(Pattern):
    """What `look(node)` finds at the first output of one of `ops`: `m.found`, or `m.why` it is not.

    It gives, for each way to read the node, what was found and the values that the node was read as
    a function of; or it raises NoMatch. `when(node)` is a quick test.
    """

    reach = None
    depth = 2  # it looks behind what the node reads

    def __init__(
        self,
        look: Callable[[Node], Readings],
        *ops: str,
        when: Callable[[Node], bool] = lambda node: True,
    ) -> None:
        self.look, self.when, self.anchors = look, when, frozenset(ops)

    def may(self, value: Value) -> bool:
        """Whether such an operator gives it."""
        node = value.producer
        return node is not None and bool(self.climb(node, {}))

    def climb(self, node: Node, memo: Memo) -> list[Value]:
        """The first output, if the node passes the test."""
        return [node.outputs[0]] if node.op in self.anchors and self.when(node) else []

    def fits(self, value: Value, env: Env) -> Iterator[Env]:
        """Every reading, or the reason why there is none."""
        node = value.producer
        if node is None or not self.climb(node, {}):
            return
        try:
            for found, leaves in self.look(node):
                given = [each for each in leaves if each is not None]
                yield {**env, "found": found, **_leaves([*given, *_sizes_read(given, node)])}
        except NoMatch as reason:
            yield {**env, "why": str(reason), **_leaves(node.inputs)}


SIZED = frozenset({"Reshape", "Expand", "Tile", "Slice"})
"""Operators whose other inputs are sizes, which an exporter may compute of anything."""


def _sizes_read(leaves: Sequence[Value], root: Node) -> Iterator[Value]:
    """The computed sizes that layout reads between `leaves` and `root`, which are leaves too."""
    work, seen = [root], set[Node]()
    while work:
        node = work.pop()
        if node in seen:
            continue
        seen.add(node)
        for at, value in enumerate(node.operands()):
            made = None if value is None or value in leaves else value.producer
            if made is None or value is None or made.op == "Sizes":
                continue
            if at and node.op in SIZED:
                yield value
            else:
                work.append(made)


def _leaves(values: Iterable[Value | None]) -> Env:
    return {("leaf", i): value for i, value in enumerate(values) if value is not None}
