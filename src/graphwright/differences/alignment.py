"""Which nodes of two graphs are the same ones.

Names of values play no part, but where nothing else tells two nodes apart. First come nodes that
compute the same from the same, then those of the same origin, then those that stand in the same
surroundings (the colours of Weisfeiler and Leman); each pair found leads on to its neighbours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable

from graphwright.differences.congruence import pair_congruent
from graphwright.differences.labels import Labels, Level, commutes, slices
from graphwright.differences.pairing import Alignment, Key, made_from, may_pair, pair_single
from graphwright.ir.graph import Graph, Node, Value

RADIUS = 3
ROUNDS = 8
HEAVY = 256  # bytes of a constant that is surely no accident


def align(before: Graph, after: Graph, labels: Labels | None = None) -> Alignment:
    """The nodes of two graphs in pairs, in time that grows with their number alone."""
    labels = labels or Labels(frozenset(slices(before) & slices(after)))
    found = Alignment(before, after, labels, old=before.nodes(), new=after.nodes())
    found.inputs = _inputs(before, after)
    pair_congruent(found)
    steps: list[tuple[Level, Key | None]] = [
        ("strong", lambda n: (labels.of(n, "strong"), made_from(n)) if n.origin.sources else None),
        ("strong", lambda n: labels.of(n, "strong") if _is_heavy(n) else None),
        ("strong", None),
        ("weak", lambda n: (labels.of(n, "weak"), made_from(n)) if n.origin.sources else None),
        ("weak", None),
        ("loose", lambda n: (n.op, made_from(n)) if n.origin.sources else None),
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


def _is_heavy(node: Node) -> bool:
    return any(
        v is not None and v.const is not None and (v.const.type.nbytes or 0) >= HEAVY
        for v in node.inputs
    )


def _alike(found: Alignment, key: Key) -> int:
    """Pair nodes without partners of which there is one with this key on each side."""
    return pair_single(found, *found.left(), key)


def _spread(found: Alignment, level: Level) -> None:
    """Pair what pairs read, and what reads them, where labels leave no doubt."""
    label = found.labels.of
    work = list(found.there.items())

    def offer(a: Node, b: Node) -> None:
        free = a not in found.there and b not in found.back
        if free and label(a, level) == label(b, level) and may_pair(a, b):
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
        if commutes(one):
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
            index = 0 if commutes(use.node) else use.index
            readers[found.labels.of(use.node, level), index].append(use.node)
    return readers


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
