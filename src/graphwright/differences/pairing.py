"""Nodes of two graphs in pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field

from graphwright.differences.labels import Labels
from graphwright.ir.graph import Graph, Node, Value

Key = Callable[[Node], Hashable]


@dataclass
class Alignment:
    """Pairs of nodes and of inputs of two graphs, both ways, and what nodes have no partner."""

    before: Graph
    after: Graph
    labels: Labels
    there: dict[Node, Node] = field(default_factory=dict)
    back: dict[Node, Node] = field(default_factory=dict)
    inputs: dict[Value, Value] = field(default_factory=dict)
    old: list[Node] = field(default_factory=list)
    new: list[Node] = field(default_factory=list)

    def pair(self, a: Node, b: Node) -> None:
        """Note that `a` and `b` are the same node."""
        self.there[a] = b
        self.back[b] = a

    def partner(self, value: Value) -> Value | None:
        """The value of the second graph that is `value` of the first; None where there is none."""
        if value.producer is None:
            return self.inputs.get(value)
        node = self.there.get(value.producer)
        at = value.producer.outputs.index(value)
        return node.outputs[at] if node is not None and at < len(node.outputs) else None

    def same(self, a: Value | None, b: Value | None) -> bool:
        """Whether `a` of the first graph is `b` of the second."""
        if a is None or b is None:
            return a is b
        if a.const is not None and b.const is not None:
            return self.labels.content(a.const) == self.labels.content(b.const)
        return a.const is None and b.const is None and self.partner(a) is b

    def results(self) -> list[tuple[Value | None, Value | None]]:
        """The outputs of both graphs that have one name, or one place in a body."""
        if self.before.header is None or self.after.header is None:
            return list(zip(self.before.outputs, self.after.outputs, strict=False))
        after = outputs_by_name(self.after)
        return [(v, after[n]) for n, v in outputs_by_name(self.before).items() if n in after]

    def pairs(self) -> Iterator[tuple[Node, Node]]:
        """The pairs, in the order of the first graph."""
        return ((n, self.there[n]) for n in self.old if n in self.there)

    def left(self) -> tuple[list[Node], list[Node]]:
        """The nodes on either side that have no partner."""
        old = [n for n in self.old if n not in self.there]
        return old, [n for n in self.new if n not in self.back]


def outputs_by_name(graph: Graph) -> dict[str, Value | None]:
    """What a graph gives, by name."""
    names = graph.result.attrs["names"]
    assert isinstance(names, tuple)
    return dict(zip(map(str, names), graph.outputs, strict=True))


def pair_single(found: Alignment, old: list[Node], new: list[Node], key: Key) -> int:
    """Pair nodes of which there is one with this key on each side; how many."""
    ones, others = _single(old, key), _single(new, key)
    pairs = [(a, others[k]) for k, a in ones.items() if k in others and may_pair(a, others[k])]
    for a, b in pairs:
        found.pair(a, b)
    return len(pairs)


def _single(nodes: Iterable[Node], key: Key) -> dict[Hashable, Node]:
    met: dict[Hashable, list[Node]] = defaultdict(list)
    for node in nodes:
        if (k := key(node)) is not None:
            met[k].append(node)
    return {k: nodes[0] for k, nodes in met.items() if len(nodes) == 1}


def may_pair(a: Node, b: Node) -> bool:
    """What a rule made is not what it was made of, however alike."""
    return a.origin.rules == b.origin.rules


def made_from(node: Node) -> Hashable:
    """The sources and rules of a node, whatever was measured of it."""
    return node.origin.sources, node.origin.rules
