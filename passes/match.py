"""What a pattern met, and the nodes that were read as it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from graphwright.ir.graph import Node, Value

NAMED = (str, tuple)  # under these keys a match holds what it does not look behind


class Match:
    """What a pattern met: `m.root` is the value to replace, `m.<name>` a variable or attribute.

    A name of a branch that was not taken is None.
    """

    def __init__(self, root: Value, env: dict[object, Any]) -> None:
        for key, met in env.items():
            if isinstance(key, str):
                self.__dict__[key] = met
        self.root, self.env = root, env
        self._nodes: list[Node] | None = None
        self._leaves: list[Value] | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None

    @property
    def node(self) -> Node:
        """The node that gives the root."""
        assert self.root.producer is not None
        return self.root.producer

    def leaves(self) -> list[Value]:
        """The values that the match is a function of: those that it does not look behind."""
        if self._leaves is None:
            found: dict[Value, None] = {}
            for key, value in self.env.items():
                if isinstance(value, Value) and isinstance(key, NAMED):
                    found[value] = None
            self._leaves = list(found)
        return self._leaves

    def nodes(self) -> list[Node]:
        """What was matched: the nodes from the root down to the leaves."""
        if self._nodes is None:
            self._nodes = between(self.leaves(), self.root)
        return self._nodes

    def shared(self) -> bool:
        """Whether others read a value inside the match, so that its nodes would stay.

        Not counting sizes, which cost nothing.
        """
        inside = set(self.nodes())
        for node in (each for each in inside if each.op != "Sizes"):
            for value in node.outputs:
                if value is not self.root:
                    for reader, _ in value.uses:
                        if reader not in inside:
                            return True
        return False


def between(leaves: Collection[Value], root: Value) -> list[Node]:
    """The nodes from the one that gives `root` down to the leaves, which are not looked behind."""
    order = [] if root.producer is None or root in leaves else [root.producer]
    found = set(order)
    for node in order:  # which grows
        for value in node.operands():
            producer = None if value is None or value in leaves else value.producer
            if producer is not None and producer not in found:
                found.add(producer)
                order.append(producer)
    return order
