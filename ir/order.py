"""The orders that the nodes of a graph can stand in: producers before those who read them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphwright.ir.graph import Node


def reachable(roots: Iterable[Node]) -> list[Node]:
    """The nodes that `roots` are made of and they themselves, once each, in depth-first order."""
    order: list[Node] = []
    met: set[Node] = set()
    waiting: list[Node] = []
    for root in roots:
        stack: list[Node | None] = [root]  # None: what the last one waiting is made of is placed
        while stack:
            node = stack.pop()
            if node is None:
                order.append(waiting.pop())
                continue
            if node in met:
                continue
            met.add(node)
            waiting.append(node)
            stack.append(None)
            for value in reversed(node.operands() if node.captures else node.inputs):
                if value is not None:
                    producer = value.producer
                    if producer is not None and producer not in met:
                        stack.append(producer)  # the first operand's is the first to go on with
    return order


def ordered(nodes: list[Node]) -> list[Node]:
    """The nodes by their `place`, as far as producers come first; ValueError for a cycle."""
    nodes = sorted(nodes, key=attrgetter("place"))
    return nodes if _is_legal(nodes) else _legal(nodes)


def _is_legal(nodes: list[Node]) -> bool:
    seen: set[Node] = set()
    for node in nodes:
        for value in node.operands() if node.captures else node.inputs:
            if value is not None and value.producer is not None and value.producer not in seen:
                return False
        seen.add(node)
    return True


def _legal(nodes: list[Node]) -> list[Node]:
    """The nodes in topological order, each as near to its place as its producers allow."""
    rank = {node: i for i, node in enumerate(nodes)}
    waits = [0] * len(nodes)
    readers: list[list[int]] = [[] for _ in nodes]
    for i, node in enumerate(nodes):
        for producer in {v.producer for v in node.operands() if v is not None and v.producer}:
            waits[i] += 1
            readers[rank[producer]].append(i)
    ready = [i for i, n in enumerate(waits) if not n]
    legal: list[Node] = []
    while ready:
        at = heapq.heappop(ready)
        legal.append(nodes[at])
        for reader in readers[at]:
            waits[reader] -= 1
            if not waits[reader]:
                heapq.heappush(ready, reader)
    if len(legal) < len(nodes):
        raise ValueError("the graph has a cycle")
    return legal
