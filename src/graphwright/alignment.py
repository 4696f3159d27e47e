"""Which nodes of two graphs are the same ones.

Names of values play no part, but where nothing else tells two nodes apart. First come nodes that
compute the same from the same, then those of the same origin, then those that stand in the same
surroundings (the colours of Weisfeiler and Leman); each pair found leads on to its neighbours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field

from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import OPS
from graphwright.labels import Labels, Level, slices

RADIUS = 3
ROUNDS = 8
HEAVY = 256  # bytes of a constant that is surely no accident
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


def align(before: Graph, after: Graph, labels: Labels | None = None) -> Alignment:
    """The nodes of two graphs in pairs, in time that grows with their number alone."""
    labels = labels or Labels(frozenset(slices(before) & slices(after)))
    found = Alignment(before, after, labels, old=before.nodes(), new=after.nodes())
    found.inputs = _inputs(before, after)
    _congruent(found)
    steps: list[tuple[Level, Key | None]] = [
        ("strong", lambda n: (labels.of(n, "strong"), _from(n)) if n.origin.sources else None),
        ("strong", lambda n: labels.of(n, "strong") if _is_heavy(n) else None),
        ("strong", None),
        ("weak", lambda n: (labels.of(n, "weak"), _from(n)) if n.origin.sources else None),
        ("weak", None),
        ("loose", lambda n: (n.op, _from(n)) if n.origin.sources else None),
    ]
    for level, key in steps:
        if not all(found.left()):
            break
        if key is not None:
            _alike(found, key)
        _spread(found, level)
        for _ in range(ROUNDS):
            if key is not None or not _coloured(found, level):
                break
            _spread(found, level)
    return found


def _inputs(before: Graph, after: Graph) -> dict[Value, Value]:
    if before.header is None or after.header is None:  # bodies: known by their order
        return dict(zip(before.inputs, after.inputs, strict=False))
    named = {v.name: v for v in after.inputs}
    found = {v: named.pop(v.name) for v in before.inputs if v.name in named}
    left = [v for v in before.inputs if v not in found]
    if len(left) == len(named):  # perhaps they only have other names
        pairs = list(zip(left, named.values(), strict=True))
        if all(a.type == b.type for a, b in pairs):
            found.update(pairs)
    return found


def _congruent(found: Alignment) -> None:
    """Pair nodes that compute the same from the same."""
    strong = found.labels.of
    waiting: dict[Hashable, list[Node]] = defaultdict(list)
    for b in found.new:
        reads = tuple([None if v is None or v.const is not None else v for v in b.operands()])
        waiting[strong(b, "strong"), reads].append(b)
    views: list[dict[Node, int]] = []
    for a in found.old:
        reads = tuple(
            [
                None if v is None or v.const is not None else found.partner(v) or v
                for v in a.operands()
            ]
        )
        candidates = waiting.get((strong(a, "strong"), reads))
        if not candidates:
            continue
        at = 0
        if len(candidates) > 1:
            views = views or [_views(found.labels, g) for g in (found.before, found.after)]
            at = _best(a, candidates, views)
        found.pair(a, candidates.pop(at))


def _best(a: Node, candidates: list[Node], views: list[dict[Node, int]]) -> int:
    fit = [(views[0][a] == views[1][b], _from(a) == _from(b)) for b in candidates]
    return fit.index(max(fit))


def _views(labels: Labels, graph: Graph) -> dict[Node, int]:
    """For each node a number for all that becomes of it, up to the outputs."""
    ups = labels.ups(graph, {v: ("input", v.name) for v in graph.inputs})
    found: dict[Node, int] = {graph.result: -1}
    for node in reversed(graph.nodes()):
        uses = [
            (k, use.index, ups.get(use.node, -1), found[use.node])
            for k, value in enumerate(node.outputs)
            for use in value.uses
            if use.node in found
        ]
        found[node] = labels.number(("view", labels.of(node, "strong"), tuple(sorted(uses))))
    return found


def _from(node: Node) -> Hashable:
    return node.origin.sources, node.origin.rules


def _may_pair(a: Node, b: Node) -> bool:
    """What a rule made is not what it was made of, however alike."""
    return a.origin.rules == b.origin.rules


def _is_heavy(node: Node) -> bool:
    return any(
        v is not None and v.const is not None and (v.const.type.nbytes or 0) >= HEAVY
        for v in node.inputs
    )


def _alike(found: Alignment, key: Key) -> int:
    """Pair nodes without partners of which there is one with this key on each side."""
    old, new = (_single(side, key) for side in found.left())
    pairs = [(a, new[k]) for k, a in old.items() if k in new and _may_pair(a, new[k])]
    for a, b in pairs:
        found.pair(a, b)
    return len(pairs)


def _single(nodes: Iterable[Node], key: Key) -> dict[Hashable, Node]:
    met: dict[Hashable, list[Node]] = defaultdict(list)
    for node in nodes:
        if (k := key(node)) is not None:
            met[k].append(node)
    return {k: nodes[0] for k, nodes in met.items() if len(nodes) == 1}


def _spread(found: Alignment, level: Level) -> None:
    """Pair what pairs read, and what reads them, where labels leave no doubt."""
    label = found.labels.of
    work = list(found.there.items())

    def offer(a: Node, b: Node) -> None:
        free = a not in found.there and b not in found.back
        if free and label(a, level) == label(b, level) and _may_pair(a, b):
            found.pair(a, b)
            work.append((a, b))

    def producers(a: Value | None, b: Value | None) -> None:
        if a is None or b is None or a.producer is None or b.producer is None:
            return
        if a.producer not in found.there:
            offer(a.producer, b.producer)

    def readers(a: Value, b: Value) -> None:
        old, new = _readers(found, found.there, a, level), _readers(found, found.back, b, level)
        for k, nodes in old.items():
            if len(nodes) == 1 and len(new.get(k, ())) == 1:
                offer(nodes[0], new[k][0])

    for a, b in found.results():
        producers(a, b)
    for given in found.inputs.items():
        readers(*given)
    while work:
        one, other = work.pop()
        for pair in zip(one.operands(), other.operands(), strict=False):
            producers(*pair)
        if level != "strong" and commutes(one):
            for pair in zip(one.operands(), reversed(other.operands()), strict=False):
                producers(*pair)
        for values in zip(one.outputs, other.outputs, strict=False):
            readers(*values)


def _readers(
    found: Alignment, paired: dict[Node, Node], value: Value, level: Level
) -> dict[tuple[int, int], list[Node]]:
    """The nodes without partners that read `value`, by label and operand."""
    readers: dict[tuple[int, int], list[Node]] = defaultdict(list)
    for use in value.uses:
        if use.node not in paired and use.node.op != "return":
            index = 0 if level != "strong" and commutes(use.node) else use.index
            readers[found.labels.of(use.node, level), index].append(use.node)
    return readers


def commutes(node: Node) -> bool:
    """Whether the operands may be swapped."""
    row = OPS.get(node.op)
    return row is not None and row.commutes


def _coloured(found: Alignment, level: Level) -> int:
    """Pair nodes that stand in the same surroundings, of the largest radius first; how many."""
    old, new = found.left()
    pairs = {a: ("pair", i) for i, a in enumerate(found.there)}
    known: list[dict[Node, Hashable]] = [dict(pairs), {found.there[a]: c for a, c in pairs.items()}]
    for side, nodes in zip(known, (old, new), strict=True):
        side.update((n, found.labels.of(n, level)) for n in nodes)
    rings = []
    for _ in range(RADIUS):
        known = [{**c, **_ring(found.labels, n, c)} for c, n in zip(known, (old, new), strict=True)]
        rings.append(known)
    return sum(_alike(found, {**ring[0], **ring[1]}.get) for ring in reversed(rings))


def _ring(labels: Labels, nodes: list[Node], colour: dict[Node, Hashable]) -> dict[Node, Hashable]:
    """The colours of `nodes`, one step farther around."""
    found: dict[Node, Hashable] = {}
    for node in nodes:
        reads = tuple([_end(v, colour) for v in node.operands()])
        uses = [
            (k, use.index, labels.number(colour.get(use.node)))
            for k, value in enumerate(node.outputs)
            for use in value.uses
        ]
        found[node] = labels.number(("ring", colour[node], reads, tuple(sorted(uses))))
    return found


def _end(value: Value | None, colour: dict[Node, Hashable]) -> Hashable:
    if value is None or value.const is not None:
        return None
    if value.producer is None:
        return value.name
    return colour[value.producer], value.producer.outputs.index(value)
