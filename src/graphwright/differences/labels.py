"""What nodes are, as numbers: equal for nodes of two graphs that do the same to what they read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal

import numpy as np

from graphwright.ir.const import Const, FileSlice, content
from graphwright.ir.graph import Attr, Graph, Node, Value
from graphwright.ir.ops import OPS

SMALL = 64  # bytes that are compared as they are
Level = Literal["strong", "weak", "loose"]


class Labels:
    """Numbers for nodes, the same for both graphs.

    Strong: operator, attributes, bodies and the content of constants. Weak: only the types of
    constants. Loose: the operator alone.
    """

    def __init__(self, shared: frozenset[tuple[str, int, int]] = frozenset()) -> None:
        self.shared = shared
        self.numbers: dict[object, int] = {}
        self.contents: dict[Const, object] = {}
        self.known: dict[Level, dict[Node, int]] = {"strong": {}, "weak": {}, "loose": {}}

    def number(self, key: object) -> int:
        """One number for each key."""
        return self.numbers.setdefault(key, len(self.numbers))

    def of(self, node: Node, level: Level) -> int:
        """The node's number."""
        found = self.known[level].get(node)
        if found is None:
            found = self.known[level][node] = self.number(
                (level, node.op, *self._parts(node, level))
            )
        return found

    def _parts(self, node: Node, level: Level) -> tuple[object, ...]:
        if level == "loose":
            return ()
        tell: Callable[[Const], object] = self.content if level == "strong" else _type
        operands = [
            None if v is None or v.const is None else tell(v.const) for v in node.operands()
        ]
        if commutes(node):
            operands.sort(key=str)  # which one comes first does not make it another node
        bodies = [(k, self.body(g)) for k, g in sorted(node.bodies.items())] if node.bodies else []
        return (self.attributes(node), tuple(operands), len(node.outputs), tuple(bodies))

    def attributes(self, node: Node) -> tuple[tuple[str, object], ...]:
        """The node's attributes, as what can be compared."""
        return tuple((k, self.attribute(a)) for k, a in sorted(node.attrs.items()))

    def attribute(self, attr: Attr) -> object:
        """An attribute as what can be compared: a NaN is itself, and a constant its content."""
        return self.content(attr) if isinstance(attr, Const) else repr(attr)

    def content(self, const: Const) -> object:
        """Equal for constants of equal type and content, wherever they lie."""
        found = self.contents.get(const)
        if found is None:
            at = None if const.where is None else _place(const.where)
            found = self.contents[const] = (
                str(const.type),
                at if at in self.shared else _digest(const),
            )
        return found

    def body(self, graph: Graph) -> int:
        """A number for a graph inside a node, whose inputs are known by their order."""
        inputs = {v: ("input", i, str(v.type)) for i, v in enumerate(graph.inputs)}
        ups = self.ups(graph, dict(inputs))
        ends = tuple(self.up(v, ups, dict(inputs)) for v in graph.outputs)
        return self.number(("body", len(inputs), ends, tuple(sorted(ups.values()))))

    def ups(self, graph: Graph, inputs: dict[Value, object]) -> dict[Node, int]:
        """For each node a number for all that it computes, down to the inputs."""
        found: dict[Node, int] = {}
        for node in graph.nodes():
            operands = tuple([self.up(v, found, inputs) for v in node.operands()])
            found[node] = self.number(("up", self.of(node, "strong"), operands))
        return found

    def up(self, value: Value | None, ups: dict[Node, int], inputs: dict[Value, object]) -> object:
        """What a value is made of."""
        if value is None:
            return None
        if value.producer is not None:
            return ups[value.producer], value.producer.outputs.index(value)
        return inputs.get(value) if value.const is None else self.content(value.const)


def commutes(node: Node) -> bool:
    """Whether the operands may be swapped."""
    row = OPS.get(node.op)
    return row is not None and row.commutes


def slices(graph: Graph) -> set[tuple[str, int, int]]:
    """The places in files where the constants of `graph` lie."""
    return {
        _place(v.const.where)
        for _, node in graph.walk()
        for v in node.inputs
        if v is not None and v.const is not None and v.const.where is not None
    }


def _place(where: FileSlice) -> tuple[str, int, int]:
    return str(where.path.resolve()), where.offset, where.length


def _type(const: Const) -> object:
    return str(const.type)


def _digest(const: Const) -> object:
    array = const.load()
    if array.dtype == object:
        return content(array)
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return data.tobytes() if data.size <= SMALL else hashlib.sha256(data.data).digest()
