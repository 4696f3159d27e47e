"""Which layer of a model a node is part of, where a layer is what stands around an attention."""

from __future__ import annotations

from collections.abc import Iterable

from graphwright.ir.graph import Graph, Node, Value


def layers_of(graph: Graph) -> dict[Node, int]:
    """The number of the attention that each node belongs to, counted in the order of the graph.

    What only makes queries, keys or values belongs to the attention that reads them, and what
    follows to the last attention before it; what stands before all of them to none.
    """
    nodes = graph.nodes()
    attentions = [node for node in nodes if node.op == "Attention"]
    number = {node: i for i, node in enumerate(attentions)}
    feeds = _feeds(nodes, number)
    last: dict[Node, int] = {}
    found: dict[Node, int] = {}
    for node in nodes:
        before = [last[v.producer] for v in node.operands() if v is not None and v.producer in last]
        read = feeds[node]
        if node in number:
            found[node] = last[node] = number[node]
            continue
        if before:
            found[node] = last[node] = max(before)
        if len(read) == 1 and None not in read:
            found[node] = next(n for n in read if n is not None)
    return found


def hand_on(known: dict[Node, int], matched: Iterable[Node], made: Iterable[Node]) -> None:
    """Number what was made as that in whose place it stands."""
    numbers = [known[node] for node in matched if node in known]
    if numbers:
        known.update((node, max(numbers)) for node in made if node not in known)


def _feeds(nodes: list[Node], number: dict[Node, int]) -> dict[Node, set[int | None]]:
    """The attentions that each node reaches without going through one; None is an output."""
    found: dict[Node, set[int | None]] = {}
    for node in reversed(nodes):
        reached: set[int | None] = set()
        for value in node.outputs:
            for use in value.uses:
                if use.node in number:
                    reached.add(number[use.node])
                elif use.node.op != "return":
                    reached |= found.get(use.node, set())
                elif not is_cache(value):
                    reached.add(None)
        found[node] = reached
    return found


def is_cache(value: Value) -> bool:
    """Whether it is what an input held with something new behind it, as a cache gives it back."""
    node = value.producer
    return (
        node is not None
        and node.op == "Concat"
        and any(v is not None and v.producer is None and v.const is None for v in node.inputs)
    )
