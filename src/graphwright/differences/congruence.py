"""Nodes that compute the same from the same, paired."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable

from graphwright.differences.labels import Labels
from graphwright.differences.pairing import Alignment, made_from
from graphwright.ir.graph import Graph, Node, Value


def pair_congruent(found: Alignment) -> None:
    """Pair nodes that compute the same from the same."""
    strong = found.labels.of
    waiting: dict[Hashable, list[Node]] = defaultdict(list)
    for b in found.new:
        waiting[strong(b, "strong"), _given(b)].append(b)
    alike: dict[Hashable, _Alike] = {}
    views: list[dict[Node, int]] = []
    for a in found.old:
        reads = tuple([None if v is None else found.partner(v) or v for v in _given(a)])
        key = (strong(a, "strong"), reads)
        candidates = waiting.get(key)
        if candidates is None:
            continue
        if len(candidates) == 1:
            b = candidates[0]
        else:
            views = views or [_views(found.labels, g) for g in (found.before, found.after)]
            if key not in alike:
                alike[key] = _Alike(candidates, views[1])
            b = alike[key].best(a, views[0][a], found)
        if b not in found.back:
            found.pair(a, b)


def _given(node: Node) -> tuple[Value | None, ...]:
    """What the node reads beside constants, which are part of its label."""
    return tuple([None if v is None or v.const is not None else v for v in node.operands()])


class _Alike:
    """Nodes that compute the same, by what becomes of them and by where they are from."""

    def __init__(self, nodes: list[Node], views: dict[Node, int]) -> None:
        self.nodes: dict[Hashable, list[Node]] = defaultdict(list)
        for node in reversed(nodes):
            for key in ((views[node], made_from(node)), (views[node], None), None):
                self.nodes[key].append(node)

    def best(self, a: Node, view: int, found: Alignment) -> Node:
        """The node that is most like `a` among those without partners, if there are any left."""
        for key in ((view, made_from(a)), (view, None), None):
            nodes = self.nodes[key]
            while len(nodes) > 1 and nodes[-1] in found.back:
                nodes.pop()
            if nodes and nodes[-1] not in found.back:
                break
        return nodes[-1]


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
