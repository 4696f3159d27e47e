"""Names for values: those they had, where that is possible; no name twice in sight of another."""

from __future__ import annotations

import re

from graphwright.ir.graph import Graph, Node, Value


class Scope:
    """The names of one graph; those of the graphs around it are in sight."""

    def __init__(self, outer: Scope | None = None) -> None:
        self.outer = outer
        self.taken: set[str] = set()
        self.names: dict[Value, str] = {}
        self.counts: dict[str, int] = {} if outer is None else outer.counts

    def sees(self, name: str) -> bool:
        """Whether `name` means something here already."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.taken:
                return True
            scope = scope.outer
        return False

    def fresh(self, base: str) -> str:
        """A name that nothing has, made from `base`."""
        while True:
            n = self.counts[base] = self.counts.get(base, 0) + 1
            name = f"{base}_{n}"
            if not self.sees(name):
                self.taken.add(name)
                return name

    def give(self, value: Value, base: str) -> str:
        """The name of `value`: its own if that is free, else a fresh one."""
        name = self.names.get(value)
        if name is None:
            free = value.name and not self.sees(value.name)
            name = value.name if free else self.fresh(value.name or base)
            self.taken.add(name)
            self.names[value] = name
        return name


def assign(graph: Graph, nodes: list[Node], scope: Scope, captured: dict[Value, str]) -> None:
    """Name the inputs, outputs and all values of `graph`; `captured` are named from outside."""
    scope.names.update(captured)
    for value in graph.inputs:
        if value not in captured:
            scope.names[value] = value.name
            scope.taken.add(value.name)
    names = output_names(graph)
    scope.taken.update(names)
    for value, name in zip(graph.outputs, names, strict=True):
        if value is not None and value.producer is not None:
            scope.names.setdefault(value, name)
    for node in nodes:
        base = re.sub(r"\W", "_", node.op.rpartition("::")[2].partition("@")[0])
        used = any(v.uses or v.name for v in node.outputs)
        for i, value in enumerate(node.outputs):
            if value.uses or value.name or (i == 0 and not used):
                scope.give(value, base)
        for operand in node.inputs:
            if operand is not None and operand.const is not None:
                scope.give(operand, "const")


def output_names(graph: Graph) -> list[str]:
    """The names under which `graph` gives its outputs."""
    names = graph.result.attrs["names"]
    assert isinstance(names, tuple)
    return [str(name) for name in names]
