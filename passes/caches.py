"""Caches of keys and values as a model takes and gives them, when techniques need less of them.

A cache whose attention is gone leaves the signature of the model; one of whose heads only some are
read holds those alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from graphwright.ir.clone import clone
from graphwright.ir.dims import atoms_of
from graphwright.ir.graph import Graph, Node, Value, drop_unread
from graphwright.ir.ops import apply, constant, contents_of, return_node
from graphwright.ir.renaming import readable_sizes
from graphwright.ir.types import TensorType
from graphwright.passes.layers import is_cache


class Cache(NamedTuple):
    """What an input held with something new behind it, which is the output called `output`."""

    past: Value
    present: Value
    output: str


class Change(NamedTuple):
    """What became of a cache: of its elements along `axis` only `kept` are left, or none at all."""

    past: str
    present: str
    axis: int = 0
    kept: tuple[int, ...] = ()

    def __str__(self) -> str:
        if not self.kept:
            return f"the model no longer takes '{self.past}' nor gives '{self.present}'"
        many = f"{len(self.kept)} along axis {self.axis}"
        return (
            f"'{self.past}' and '{self.present}' now hold {many}: {', '.join(map(str, self.kept))}"
        )


def caches(graph: Graph) -> Iterator[Cache]:
    """The caches of a graph."""
    for value, name in zip(graph.outputs, _names(graph), strict=True):
        if value is not None and is_cache(value) and value.producer is not None:
            given = [v for v in value.producer.inputs if v in graph.inputs]
            if len(given) == 1 and given[0] is not None:
                yield Cache(given[0], value, name)


def in_use(graph: Graph) -> set[str]:
    """The outputs that are caches which the model itself reads."""
    return {each.output for each in caches(graph) if not _is_idle(each)}


def with_less(graph: Graph, served: Collection[str]) -> tuple[Graph, list[Change]]:
    """A graph of the same values that takes and gives no more of its caches than it reads.

    Of those only that are among `served`. The graph given is not used any more. No cache goes that
    sizes are read off which no other input has.
    """
    found = [each for each in caches(graph) if each.output in served and _is_idle(each)]
    gone = [each for each in found if len(each.past.uses) == 1]
    rest = tuple(v for v in graph.inputs if v not in {each.past for each in gone})
    lost = set(readable_sizes(graph)) - set(readable_sizes(_around(graph, rest, graph.result)))
    if lost & _needed(graph):
        gone, rest = [], graph.inputs
    changes = [Change(each.past.name, each.output) for each in gone]
    outputs: dict[str, Value | None] = {each.output: None for each in gone}
    inputs = {v: v for v in rest}
    for each in found:
        part = _part(each)
        if part is not None:
            picked, joined, axis, kept = part
            inputs[each.past] = _narrowed(each.past, axis, len(kept))
            for use in tuple(picked.uses):
                use.node.set_input(use.index, inputs[each.past])
            drop_unread(picked, graph.kept)
            outputs[each.output] = joined
            changes.append(Change(each.past.name, each.output, axis, kept))
    if not changes:
        return graph, []
    return (_giving(_around(graph, tuple(inputs.values()), graph.result), outputs), changes)


def alike(before: Graph, after: Graph, changes: Sequence[Change]) -> tuple[Graph, Graph]:
    """Copies of two graphs that run on the same inputs and whose outputs can be compared.

    The first gives of its caches what is left of them, and the second takes all of them.
    """
    one, other = clone(before), clone(after)
    changed = {each.present: each for each in changes}
    outputs: dict[str, Value | None] = {}
    for value, name in zip(one.outputs, _names(one), strict=True):
        if name in changed and value is not None:
            kept = changed[name].kept
            outputs[name] = _pick(value, changed[name]) if kept else None
    taken = {v.name: v for v in other.inputs}
    by_past = {each.past: each for each in changes}
    inputs = []
    for value in before.inputs:
        given = taken.get(value.name)
        if given is None or value.name in by_past:
            whole = Value(value.type, name=value.name)
            if given is not None:
                other.replace(given, _pick(whole, by_past[value.name]))
            given = whole
        inputs.append(given)
    return _giving(one, outputs), _around(other, tuple(inputs), other.result)


def _pick(value: Value, change: Change) -> Value:
    return apply("Gather", value, constant(change.kept, "i64"), axis=change.axis).outputs[0]


def _names(graph: Graph) -> tuple[str, ...]:
    found: Any = graph.result.attrs["names"]
    return tuple(found)


def _is_idle(cache: Cache) -> bool:
    return all(use.node.op == "return" for use in cache.present.uses)


def _narrowed(past: Value, axis: int, count: int) -> Value:
    """An input of the same name, with fewer elements along an axis."""
    assert isinstance(past.type, TensorType)
    shape = past.type.shape or ()
    kind = TensorType(past.type.dtype, (*shape[:axis], count, *shape[axis + 1 :]))
    return Value(kind, name=past.name)


Part = tuple[Value, Value, int, tuple[int, ...]]


def _part(cache: Cache) -> Part | None:
    """What is read of a cache: picked out of the past, and joined as all of it is."""
    readers = [use.node for use in cache.past.uses if use.node is not cache.present.producer]
    if len(readers) != 1 or cache.present.producer is None:
        return None
    chosen, (picked, *_) = _chosen(readers[0]), readers[0].outputs
    joins = [use.node for use in picked.uses]
    if chosen is None or len(joins) != 1 or joins[0].op != "Concat":
        return None
    same = joins[0].attrs["axis"] == cache.present.producer.attrs["axis"]
    return (picked, joins[0].outputs[0], *chosen) if same else None


def _chosen(node: Node) -> tuple[int, tuple[int, ...]] | None:
    """Along which axis a node picks which elements, if that is known."""
    numbers = [_numbers(v) for v in node.inputs[1:]]
    axis = node.attrs.get("axis")
    if node.op == "Gather" and numbers[0] and isinstance(axis, int):
        return axis, numbers[0]
    if node.op == "Slice" and len(numbers) == 3 and all(len(each) == 1 for each in numbers):
        (start,), (end,), (axis,) = numbers
        return axis, tuple(range(start, end))
    return None


def _numbers(value: Value | None) -> tuple[int, ...]:
    """The numbers in a list, or none where not all are known."""
    found = contents_of(value)
    numbers = [n for n in found if isinstance(n, int)] if isinstance(found, tuple) else []
    return tuple(numbers) if isinstance(found, tuple) and len(numbers) == len(found) else ()


def _needed(graph: Graph) -> set[str]:
    """The sizes of inputs that the graph computes with."""
    found: set[str] = set()
    for node in graph.everything():
        if node.op == "Sizes":
            dims: Any = node.attrs["dims"]
            for dim in dims if isinstance(dims, tuple) else (dims,):
                found |= atoms_of(dim)
    return found


def _around(graph: Graph, inputs: tuple[Value, ...], result: Node) -> Graph:
    """A graph of the same values with other inputs and outputs."""
    defaults = {v: const for v, const in graph.defaults.items() if v in inputs}
    about = (graph.kept, graph.header, graph.functions, defaults, graph.source)
    return Graph(graph.name, inputs, result, *about)


def _giving(graph: Graph, others: dict[str, Value | None]) -> Graph:
    """A graph that gives other values under some names, or none; the one given is used up."""
    pairs = list(zip(graph.outputs, _names(graph), strict=True))
    left = [(others.get(name, value), name) for value, name in pairs]
    left = [(value, name) for value, name in left if others.get(name, value) is not None]
    result = return_node([value for value, _ in left], [name for _, name in left])
    graph.result.detach()
    for value, _ in pairs:
        if value is not None:
            drop_unread(value, graph.kept)
    return _around(graph, graph.inputs, result)
