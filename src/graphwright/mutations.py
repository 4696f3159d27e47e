"""Graphs that are almost a given one: what a rule has to tell apart from what it rewrites."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphwright.ir.const import from_array
from graphwright.ir.graph import Attr, Graph, Node, Value
from graphwright.ir.ops import OPS, node_of, return_node
from graphwright.ir.types import FLOATS, INTS, NUMPY, UNKNOWN, TensorType

OTHER = {"f32": "f16", "f16": "f32", "f64": "f32", "i64": "i32", "i32": "i64", "bool": "i64"}
PERCENT = 1.01


@dataclass(frozen=True)
class Mutant:
    """A changed graph, and what was changed, in words."""

    what: str
    graph: Graph


Inputs = tuple[Value | None, ...]
Change = tuple[str, Callable[[Inputs], Inputs], Mapping[str, Attr]]
"""What is changed in words, the inputs that a node has instead, and its attributes."""


def mutants(graph: Graph) -> Iterator[Mutant]:
    """Copies of `graph`, each with one thing changed that a rule may not overlook.

    Another axis, order of axes or type to cast to; a number that is a hundredth larger or has the
    other sign; operands in another order; another value read in place of one; a value inside given
    as a result too. What cannot be typed is left out.
    """
    nodes = graph.nodes()
    for node in nodes:
        for what, inputs, attrs in _changes(graph, node):
            try:
                yield Mutant(what, _copied(graph, {node: (inputs, attrs)}))
            except TypeError:
                continue
    results = set(graph.outputs)
    for node in nodes:
        for value in node.outputs:
            if value.uses and value not in results:
                yield Mutant(f"gives what {node.op} gives too", _copied(graph, {}, (value,)))


def swapped(graph: Graph) -> Iterator[Mutant]:
    """Copies of `graph` with operands that commute in another order: in one place, and in all."""
    places = [n for n in graph.nodes() if (row := OPS.get(n.op)) and row.commutes]
    places = [n for n in places if len(n.inputs) == 2]
    every = {node: (_reversed, node.attrs) for node in places}
    for node in places:
        yield Mutant(f"with the operands of {node.op} swapped", _copied(graph, {node: every[node]}))
    if len(places) > 1:
        yield Mutant("with all operands swapped", _copied(graph, every))


def _reversed(inputs: Inputs) -> Inputs:
    return inputs[::-1]


def _changes(graph: Graph, node: Node) -> Iterator[Change]:
    for name, value in node.attrs.items():
        for other in _other_attrs(node, name, value):
            what = f"{node.op} with {name}={other!r} for {value!r}"
            yield what, lambda inputs: inputs, {**node.attrs, name: other}
    row = OPS.get(node.op)
    if len(node.inputs) == 2 and None not in node.inputs and (row is None or not row.commutes):
        yield f"{node.op} with its operands swapped", _reversed, node.attrs
    for index, operand in enumerate(node.inputs):
        if operand is not None:
            for what, instead in _other_values(graph, operand):
                yield f"{node.op} of {what}", _with(index, instead), node.attrs


def _with(index: int, value: Value) -> Callable[[Inputs], Inputs]:
    return lambda inputs: (*inputs[:index], value, *inputs[index + 1 :])


def _other_attrs(node: Node, name: str, value: Attr) -> Iterator[Attr]:
    first = node.inputs[0] if node.inputs else None
    rank = first.type.rank if first is not None and isinstance(first.type, TensorType) else None
    match name, value:
        case "axis", int(axis):
            yield from (a for a in range(rank or 0) if a != axis % (rank or 1))
        case "axes", tuple(axes) if rank:
            numbers = [a for a in axes if isinstance(a, int)]
            yield tuple((a + 1) % rank for a in numbers)
            yield tuple(sorted({*(a % rank for a in numbers), (numbers[0] - 1) % rank}))
        case "perm", tuple(perm) if len(perm) > 1:
            yield (*perm[:-2], perm[-1], perm[-2])
            yield (*perm[1:], perm[0])
        case "to", str(dtype) if dtype in OTHER:
            yield OTHER[dtype]
        case (("keepdims" | "transA" | "transB" | "transposed"), int(flag)):
            yield 1 - flag
        case _, float(number):
            yield number * PERCENT


def _other_values(graph: Graph, value: Value) -> Iterator[tuple[str, Value]]:
    kind = value.type
    if value.const is not None:
        yield from _other_constants(value)
    elif isinstance(kind, TensorType):
        for other in graph.inputs:
            if other is not value and other.type == kind:
                yield f"{other.name} for another value", other


def _other_constants(value: Value) -> Iterator[tuple[str, Value]]:
    assert value.const is not None
    kind, data = value.const.type, value.const.load()
    if kind.dtype in FLOATS:
        changed = [("a number 1 % larger", data * NUMPY[kind.dtype].type(PERCENT))]
        changed.append(("the negative number", -data))
    elif kind.dtype in INTS:
        changed = [("the next integer", data + NUMPY[kind.dtype].type(1))]
    else:
        return
    for what, array in changed:
        const = from_array(np.asarray(array, data.dtype))
        yield f"{what} than {data.reshape(-1)[:4]}", Value(const.type, const=const)


def _copied(
    graph: Graph,
    changes: Mapping[Node, tuple[Callable[[Inputs], Inputs], Mapping[str, Attr]]],
    also: Sequence[Value] = (),
) -> Graph:
    """The graph anew, with types inferred again. Raises TypeError where that is impossible."""
    copies: dict[Value, Value] = {v: Value(v.type, name=v.name) for v in graph.inputs}

    def copy(value: Value | None) -> Value | None:
        if value is None or value in copies:
            return None if value is None else copies[value]
        return copies.setdefault(value, Value(value.type, None, value.const, value.name))

    all_made: set[Node] = set()
    for node in graph.nodes():
        inputs, attrs = changes.get(node, (tuple, node.attrs))
        given = tuple(copy(v) for v in inputs(node.inputs))
        made = node_of(node.op, given, attrs, len(node.outputs), node.origin, node.place)
        all_made.add(made)
        for old, new in zip(node.outputs, made.outputs, strict=True):
            copies[old] = new
            new.name = old.name
            if new.type == UNKNOWN:
                new.type = old.type
    shown = [copy(v) for v in (*graph.outputs, *also)]
    names = [f"y{i}" for i in range(len(shown))]
    inputs_made = tuple(copies[v] for v in graph.inputs)
    result = Graph(graph.name, inputs_made, return_node(shown, names))
    for node in all_made - set(result.reachable()):
        node.detach()
    return result
