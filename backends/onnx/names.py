"""Names for values: those they had, where that is possible; no name twice in sight of another."""

from __future__ import annotations

import re
from functools import cache

from graphwright.ir.graph import Graph, Node, Value


class Scope:
    """The names of one graph; those of the graphs around it are in sight.

    `aside` are the names of constants that may still be written. `reserved` are the names that
    stand in bodies; a fresh name is none of them, nor one that is in sight.
    """

    def __init__(self, outer: Scope | None = None) -> None:
        self.outer = outer
        self.taken: set[str] = set()
        self.aside: set[str] = set()
        self.names: dict[Value | None, str] = {None: ""}
        self.reserved: set[str] = set() if outer is None else outer.reserved
        self.counts: dict[str, int] = {} if outer is None else outer.counts

    def sees(self, name: str) -> bool:
        """Whether `name` means something here already."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.taken or name in scope.aside:
                return True
            scope = scope.outer
        return False

    def fresh(self, stem: str) -> str:
        """A name that nothing has, made from `stem`."""
        while True:
            n = self.counts[stem] = self.counts.get(stem, 0) + 1
            name = f"{stem}_{n}"
            if name not in self.reserved and not self.sees(name):
                self.reserved.add(name)
                self.taken.add(name)
                return name

    def own_or_fresh(self, name: str, stem: str) -> str:
        """`name` where it is free here, else a fresh one."""
        if not name or self.sees(name):
            return self.fresh(name or stem)
        self.taken.add(name)
        return name

    def give(self, value: Value, stem: str) -> str:
        """The name of `value`: the one it has here, or its own if that is free, or a fresh one."""
        name = self.names.get(value)
        if name is None:
            name = self.names[value] = self.own_or_fresh(value.name, stem)
        return name


def assign(graph: Graph, nodes: list[Node], scope: Scope) -> list[str]:
    """Name the inputs and the values of `graph` but constants; the names of its outputs.

    What it captures has a name in `scope` already. Only the outputs of the whole model must have
    the names they had; those of a body are known by their order.
    """
    captured = {value for value in graph.inputs if value in scope.names}
    top, names = scope.outer is None, scope.names
    for value in graph.inputs:
        if value not in names:
            names[value] = scope.own_or_fresh(value.name, "input")
    asked = output_names(graph)
    if top:
        scope.taken.update(asked)
    own = set(graph.inputs) - captured
    for i, output in enumerate(graph.outputs):
        if not top and not (output in own and names[output] == asked[i]):
            asked[i] = scope.own_or_fresh(asked[i], "output")
        if output is not None and output.producer is not None and output.producer.op != "Sizes":
            names.setdefault(output, asked[i])
    unnamed = _assign_own(nodes, scope)
    if top:
        for node in nodes:
            for body in node.bodies.values():
                _reserve(body, scope.reserved)
    for value, op in unnamed:
        names[value] = scope.fresh(stem_of(op))
    return asked


def _assign_own(nodes: list[Node], scope: Scope) -> list[tuple[Value, str]]:
    """Give values the names they had; those that had none, and the operators that make them."""
    names, taken, aside, alone = scope.names, scope.taken, scope.aside, scope.outer is None
    unnamed: list[tuple[Value, str]] = []
    for node in nodes:
        for value in node.inputs:
            if value is not None and value.const is not None:
                aside.add(value.name)
        if node.op == "Sizes":
            continue
        given = False
        for value in node.outputs:
            name = value.name
            if value in names:
                given = True
            elif not name:
                # A part of a Split that has no name makes ONNX Runtime crash, read or not.
                if value.uses or node.op == "Split":
                    unnamed.append((value, node.op))
                    given = True
            else:
                given = True
                if alone and name not in taken:
                    taken.add(name)
                    names[value] = name
                else:
                    names[value] = scope.own_or_fresh(name, "")
        if not given and node.outputs:
            unnamed.append((node.outputs[0], node.op))
    return unnamed


@cache
def stem_of(op: str) -> str:
    """What a fresh name for a result of `op` begins with."""
    return re.sub(r"\W", "_", op.rpartition("::")[2].partition("@")[0])


def _reserve(graph: Graph, reserved: set[str]) -> None:
    for node in graph.reachable():
        reserved.update(value.name for value in node.outputs)
        reserved.update(v.name for v in node.inputs if v is not None and v.const is not None)
        for body in node.bodies.values():
            _reserve(body, reserved)
    reserved.update(value.name for value in graph.inputs)
    reserved.update(output_names(graph))


def output_names(graph: Graph) -> list[str]:
    """The names under which `graph` gives its outputs."""
    names = graph.result.attrs["names"]
    assert isinstance(names, tuple)
    return [str(name) for name in names]
