"""From two aligned graphs to hunks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial

from graphwright.differences.alignment import align
from graphwright.differences.hunks import (
    Hunk,
    Insert,
    Inside,
    Move,
    Place,
    Remove,
    Replace,
    Signature,
    Update,
)
from graphwright.differences.pairing import Alignment, outputs_by_name, pair_single
from graphwright.differences.signature import signature
from graphwright.differences.weights import weights
from graphwright.ir.const import Const
from graphwright.ir.graph import Attr, Graph, Node, Value

Region = tuple[list[Node], list[Node]]


def compare(before: Graph, after: Graph) -> list[Hunk]:
    """All that is different, in the order of the first graph."""
    found = align(before, after)
    return [*signature(before, after, found.labels), *_functions(before, after), *_within(found)]


def _within(found: Alignment) -> Iterator[Hunk]:
    kept: set[int] | None = None
    regions = _regions(found)
    if sum([_pair_rest(found, *region) for region in regions]):
        regions = _regions(found)
    for old, new in regions:
        if not new and kept is None:
            ups = found.labels.ups(found.before, {v: v.name for v in found.before.inputs})
            kept = {ups[n] for n in found.there}
        merged = kept is not None and not new and all(ups[n] in kept for n in old)
        yield _region(old, new, merged)
    for a, b in found.pairs():
        yield from _attributes(found, a, b)
        yield from _bodies(found, a, b)
        yield from _moves(found, a, b)
    yield from _constants(found)
    yield from _outputs(found)


def _pair_rest(found: Alignment, old: list[Node], new: list[Node]) -> int:
    """Pair nodes of a region after all: the only ones of their kind, or all where all are alike."""
    strong = partial(found.labels.of, level="strong")
    olds, news = sorted(old, key=strong), sorted(new, key=strong)
    if [*map(strong, olds)] != [*map(strong, news)]:
        return pair_single(found, old, new, strong)
    for a, b in zip(olds, news, strict=True):
        found.pair(a, b)
    return len(olds)


def place(node: Node) -> Place:
    """How hunks speak of a node."""
    op = node.op.rpartition("::")[2].partition("@")[0]
    name = node.name or next((v.name for v in node.outputs if v.name), "")
    return Place(op, name, node.origin.sources)


def _region(old: list[Node], new: list[Node], merged: bool) -> Hunk:
    before, after = tuple(map(place, old)), tuple(map(place, new))
    if not after:
        return Remove(before, merged)
    rules = tuple(dict.fromkeys(r for n in new for r in n.origin.rules))
    apart = [n.origin.distance for n in new if n.origin.distance is not None]
    distance = max(apart, default=None)
    if not before:
        return Insert(after, rules, distance=distance)
    return Replace(before, after, rules, distance=distance)


def _regions(found: Alignment) -> list[Region]:
    """Nodes without partners, what belongs together together."""
    import networkx as nx

    old, new = found.left()
    links = nx.Graph()
    links.add_nodes_from(old)
    links.add_nodes_from(new)
    claimed = _claims(old, new)
    links.add_edges_from(claimed)
    taken = {n for edge in claimed for n in edge}
    free = {n for n in (*old, *new) if n not in taken}
    links.add_edges_from(
        (v.producer, n) for n in free for v in n.operands() if v is not None and v.producer in free
    )
    links.add_edges_from(edge for edge in _slots(found) if edge[0] in free and edge[1] in free)
    order = {n: i for i, n in enumerate((*old, *new))}
    parts = [sorted(part, key=order.__getitem__) for part in nx.connected_components(links)]
    parts.sort(key=lambda part: order[part[0]])
    news = set(new)
    return [([n for n in p if n not in news], [n for n in p if n in news]) for p in parts]


def _claims(old: list[Node], new: list[Node]) -> list[tuple[Node, Node]]:
    """New nodes that rules made, linked to what they were made of; each old node goes to one."""
    by_source: dict[str, list[Node]] = defaultdict(list)
    for a in old:
        for source in a.origin.sources:
            by_source[source].append(a)
    first: dict[object, Node] = {}
    owner: dict[Node, Node] = {}
    edges = []
    for b in new:
        if not b.origin.rules:
            continue
        lead = first.setdefault((b.origin.sources, b.origin.rules), b)
        edges.append((lead, b))
        mine = [a for source in b.origin.sources for a in by_source[source]]
        edges += [(a, lead) for a in mine if owner.setdefault(a, lead) is lead]
    return edges


def _slots(found: Alignment) -> Iterator[tuple[Node, Node]]:
    """Producers of what one node reads in both graphs at one place."""
    for a, b in _reads(found):
        if a is not None and b is not None and a.producer is not None and b.producer is not None:
            yield a.producer, b.producer


def _reads(found: Alignment) -> Iterator[tuple[Value | None, Value | None]]:
    yield from found.results()
    for a, b in found.pairs():
        yield from zip(a.operands(), b.operands(), strict=False)


def _attributes(found: Alignment, a: Node, b: Node) -> Iterator[Hunk]:
    if a.attrs is b.attrs:
        return
    tell = found.labels.attribute
    for name in sorted({*a.attrs, *b.attrs}):
        one, other = a.attrs.get(name), b.attrs.get(name)
        if one is not None and other is not None and tell(one) == tell(other):
            continue
        if isinstance(one, Const) and isinstance(other, Const):
            yield weights(place(a), name, one, other)
        else:
            yield Update(place(a), name, _written(one), _written(other))


def _written(attr: Attr | None) -> str | None:
    if attr is None:
        return None
    return str(attr.type) if isinstance(attr, Const) else repr(attr)


def _bodies(found: Alignment, a: Node, b: Node) -> Iterator[Hunk]:
    for name in sorted({*a.bodies, *b.bodies}):
        one, other = a.bodies.get(name), b.bodies.get(name)
        if one is None or other is None:
            yield Update(place(a), name, *("a body" if g else None for g in (one, other)))
        elif found.labels.body(one) != found.labels.body(other):
            hunks = list(_within(align(one, other, found.labels)))
            signature = list(_body_signature(one, other))
            yield from map(partial(Inside, place(a), name), [*signature, *hunks])


def _body_signature(one: Graph, other: Graph) -> Iterator[Hunk]:
    before, after = (", ".join(str(v.type) for v in g.inputs) for g in (one, other))
    if before != after:
        yield Signature("inputs", "of the body", before, after)
    if len(one.outputs) != len(other.outputs):
        yield Signature("outputs", "of the body", f"{len(one.outputs)}", f"{len(other.outputs)}")


def _moves(found: Alignment, a: Node, b: Node) -> Iterator[Hunk]:
    """What a node reads instead, where no other hunk explains it."""
    reads = zip(a.operands(), b.operands(), strict=False)
    other = [p for p in reads if not (p[0] is p[1] or found.same(*p) or _explained(found, *p))]
    before, after = (tuple(_named(p[side]) for p in other) for side in (0, 1))
    if _is_swapped(found, a, b):
        before, after = (before, before[::-1])
    if before and not all(_constant(x) and _constant(y) for x, y in other):
        yield Move(place(a), before, after)


def _is_swapped(found: Alignment, a: Node, b: Node) -> bool:
    both = len(a.operands()) == len(b.operands()) == 2
    return both and all(found.same(*p) for p in zip(a.operands(), b.operands()[::-1], strict=True))


def _constant(value: Value | None) -> bool:
    return value is not None and value.const is not None


def _constants(found: Alignment) -> Iterator[Hunk]:
    """Constants that hold something else, each pair once."""
    told: set[tuple[Const, Const]] = set()
    for a, b in found.pairs():
        swapped = _is_swapped(found, a, b)
        for one, other in zip(a.operands(), b.operands(), strict=False):
            if swapped or one is None or other is None or one.const is None or other.const is None:
                continue
            if (one.const, other.const) not in told and not found.same(one, other):
                told.add((one.const, other.const))
                yield weights(place(a), one.name or other.name, one.const, other.const)


def _outputs(found: Alignment) -> Iterator[Hunk]:
    names = {v: n for n, v in outputs_by_name(found.before).items()}
    for one, other in found.results():
        if not found.same(one, other) and not _explained(found, one, other):
            yield Signature("output", names[one], f"is {_named(one)}", f"is {_named(other)}")


def _explained(found: Alignment, one: Value | None, other: Value | None) -> bool:
    """Whether a hunk speaks of what gives either value."""
    removed = one is not None and one.producer is not None and one.producer not in found.there
    made = other is not None and other.producer is not None and other.producer not in found.back
    return removed or made


def _named(value: Value | None) -> str:
    if value is None:
        return "nothing"
    if value.const is not None:
        return f"the constant {value.name or value.type}"
    if value.producer is None:
        return f"the input {value.name}"
    made = place(value.producer)
    return f"{made.op} {made.name}".rstrip()


def _functions(before: Graph, after: Graph) -> Iterator[Hunk]:
    both = [
        {n: f for n, f in g.functions.items() if f.domain != "graphwright"} for g in (before, after)
    ]
    for name in sorted({*both[0], *both[1]}):
        one, other = both[0].get(name), both[1].get(name)
        if one is None or other is None:
            said = [None if f is None else f"{len(f.body.nodes())} nodes" for f in (one, other)]
            yield Signature("function", name, *said)
        else:
            inner = _within(align(one.body, other.body))
            yield from map(partial(Inside, Place("function", name), "the body"), inner)
