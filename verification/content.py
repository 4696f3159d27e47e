"""What graphs hold, whatever their values are called: equal keys, equal functions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from graphwright.ir.const import Const
from graphwright.ir.dims import Dim, Sym, atoms_of, sym
from graphwright.ir.graph import AttrRef, Carried, Contents, Graph, Node, Value
from graphwright.ir.order import reachable
from graphwright.ir.substitution import substitute
from graphwright.ir.types import TensorType, Type

Key = tuple[Any, ...]


def content_key(*graphs: Graph) -> str:
    """Equal for graphs of equal structure, types, attributes and constants.

    Names do not matter, those of sizes neither; of several graphs the same size must play the same
    part in each.
    """
    names: dict[str, Dim] = {}
    parts = [_Writer(names).graph(graph) for graph in graphs]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def same_content(one: Graph, other: Graph) -> bool:
    """Whether two graphs over the same sizes hold the same."""
    names: dict[str, Dim] = {}
    return _Writer(names).graph(one) == _Writer(names).graph(other)


class _Writer:
    """Writes a graph down with numbers for names; `names` are what sizes are called in it."""

    def __init__(self, names: dict[str, Dim]) -> None:
        self.names = names
        self.numbers: dict[Value, int] = {}

    def graph(self, graph: Graph) -> Key:
        """Inputs, then nodes in the order in which outputs need them, then outputs."""
        opsets = () if graph.header is None else sorted(graph.header.opsets.items())
        inputs = [self._define(value) for value in graph.inputs]
        nodes = [self._node(node, graph) for node in reachable([*graph.kept, graph.result])]
        defaults = [(self.numbers[v], const.key()) for v, const in graph.defaults.items()]
        return (*opsets, *inputs, *nodes, *defaults)

    def _node(self, node: Node, graph: Graph) -> Key:
        read = [self._read(value) for value in node.operands()]
        attrs = [(k, self._attr(v)) for k, v in sorted(node.attrs.items()) if node.outputs]
        bodies = [(k, self.graph(body)) for k, body in sorted(node.bodies.items())]
        function = graph.functions.get(node.op)
        called = () if function is None else self.graph(function.body)
        return (node.op, read, attrs, bodies, called, [self._define(v) for v in node.outputs])

    def _define(self, value: Value) -> Key:
        self.numbers[value] = len(self.numbers)
        return (self._type(value.type), self._contents(value.contents))

    def _read(self, value: Value | None) -> object:
        if value is None:
            return None
        return self.numbers[value] if value.const is None else value.const.key()

    def _type(self, type_: Type) -> object:
        if not isinstance(type_, TensorType) or type_.shape is None:
            return str(type_)
        return (type_.dtype, [self._dim(d) for d in type_.shape])

    def _contents(self, contents: Contents | None) -> object:
        if isinstance(contents, tuple):
            return [self._dim(d) for d in contents]
        return self._dim(contents)

    def _dim(self, dim: Any) -> object:
        if not isinstance(dim, Sym):
            return dim
        for name in sorted(atoms_of(dim) - self.names.keys()):
            self.names[name] = sym(f"s{len(self.names)}")
        return str(substitute(dim, self.names))

    def _attr(self, attr: Any) -> object:
        match attr:
            case Const():
                return attr.key()
            case Sym():
                return self._dim(attr)
            case tuple():
                return [self._attr(each) for each in attr]
            case Carried() | AttrRef() | Mapping():
                return repr(attr)
        return (type(attr).__name__, repr(attr))
