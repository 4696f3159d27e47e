"""One name for sizes that are proved to be equal, in all of a graph that speaks of sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeGuard

from graphwright.ir.dims import Dim, Sym
from graphwright.ir.equalities import Equalities, learn, named, proofs
from graphwright.ir.graph import Attr, Contents, Graph, Node, Part, Value
from graphwright.ir.lessons import shape
from graphwright.ir.ops import infer
from graphwright.ir.types import OptionalType, SequenceType, TensorType, Type


def readable_sizes(graph: Graph) -> tuple[str, ...]:
    """The names of sizes that can be read off the graph's inputs, in the order they are met."""
    given = (v for v in graph.inputs if v not in graph.defaults)
    dims = (dim for value in given for dim in shape(value) or ())
    return tuple(dict.fromkeys(str(d) for d in dims if named(d) is not None))


@contextmanager
def one_name_each(graph: Graph, parts: Sequence[Part] | None = None) -> Iterator[Equalities]:
    """Within, sizes proved to be equal have one name, that of an input's size where there is one.

    The graph's inputs get their declared types back in the end: what is inside speaks of sizes that
    those have too, and says no less for it. `parts` are those of the graph, where somebody has
    them.
    """
    declared = [(value, value.type, value.contents) for value in graph.inputs]
    known = proofs(readable_sizes(graph))
    _recall(graph, known)
    unify(list(graph.walked()) if parts is None else parts, known)
    try:
        yield known
    finally:
        for value, type_, contents in declared:
            value.type, value.contents = type_, contents


def _recall(graph: Graph, known: Equalities) -> None:
    """Note what was proved before the inputs got their declared types back.

    What a reader of inputs gives has the size that those have now, and the one it had then.
    """
    for node in dict.fromkeys(use.node for value in graph.inputs for use in value.uses):
        with suppress(TypeError, ValueError, IndexError):
            types = infer(node.op, node.inputs, node.attrs, len(node.outputs))
            for value, now in zip(node.outputs, types, strict=True):
                for pair in _pairs(value.type, now):
                    known.join(pair)


def _pairs(one: Type, other: Type) -> Iterator[tuple[Dim, Dim]]:
    """The sizes of each axis, of two types of one rank."""
    shapes = [t.shape for t in (one, other) if isinstance(t, TensorType) and t.shape is not None]
    if len(shapes) == 2 and len(shapes[0]) == len(shapes[1]):
        yield from zip(*shapes, strict=True)


def unify(parts: Sequence[Part], known: Equalities, aside: Iterable[Node] = ()) -> None:
    """Learn what the nodes of a graph prove, and rename all sizes in its `parts` by it.

    `aside` are nodes that may come back into the graph, so that they have to speak of the same.
    """
    learn(parts[0][1], known)
    if not known.meanings:
        return
    rename = _Renaming(known)
    rename.graphs(parts)
    for node in aside:
        rename.nodes([node])
        for body in node.bodies.values():
            rename.graphs(body.walked())


class _Renaming:
    """Sizes by what they stand for; a type that was met before is not looked at again."""

    def __init__(self, known: Equalities) -> None:
        self.known = known
        self.types: dict[Type, Type] = {}

    def graphs(self, parts: Iterable[Part]) -> None:
        """Rename in graphs, each with its nodes."""
        for graph, nodes in parts:
            self.values(graph.inputs)
            self.nodes(nodes)

    def nodes(self, nodes: Iterable[Node]) -> None:
        """Rename in what nodes give, and in the sizes that they are told to compute."""
        for node in nodes:
            self.values(node.outputs)
            if node.op == "Sizes":
                node.attrs = {**node.attrs, "dims": self._dims(node.attrs["dims"])}

    def values(self, values: Iterable[Value]) -> None:
        """Rename in the types and contents of values."""
        for value in values:
            if value.const is None:
                value.type = self._type(value.type)
                if value.contents is not None:
                    value.contents = self._contents(value.contents)

    def _type(self, old: Type) -> Type:
        new = self.types.get(old)
        if new is None:
            new = self.types[old] = self._made(old)
        return new

    def _made(self, old: Type) -> Type:
        match old:
            case TensorType(dtype, tuple(dims)) if any(isinstance(d, Sym) for d in dims):
                return TensorType(dtype, tuple(map(self.known.resolve, dims)))
            case SequenceType(element):
                return SequenceType(self._type(element))
            case OptionalType(element):
                return OptionalType(self._type(element))
        return old

    def _contents(self, old: Contents) -> Contents:
        resolve = self.known.resolve
        return tuple(map(resolve, old)) if isinstance(old, tuple) else resolve(old)

    def _dims(self, old: Attr) -> Attr:
        if isinstance(old, tuple):
            return tuple([self.known.resolve(d) if _is_dim(d) else d for d in old])
        return self.known.resolve(old) if _is_dim(old) else old


def _is_dim(attr: object) -> TypeGuard[Dim]:
    return isinstance(attr, int | Sym)
