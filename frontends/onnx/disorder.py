"""Nodes that stand before what they read."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

import onnx

from graphwright.frontends.onnx.attributes import BODIES
from graphwright.frontends.onnx.scope import Scope
from graphwright.ir.errors import ModelError


def in_order(waiting: Sequence[onnx.NodeProto], scope: Scope) -> list[onnx.NodeProto]:
    """Nodes that stand in no legal order in one that is, as near to theirs as can be.

    Raises ModelError for nodes that stand in a cycle or read what nothing gives.
    """
    makers = {name: i for i, proto in enumerate(waiting) for name in proto.output if name}
    readers: list[list[int]] = [[] for _ in waiting]
    missing = [0] * len(waiting)
    for i, proto in enumerate(waiting):
        for name in dict.fromkeys(needed(proto)):
            if scope.find(name) is None:
                missing[i] += 1
                if name in makers:
                    readers[makers[name]].append(i)
    ready = [i for i, count in enumerate(missing) if not count]
    legal: list[onnx.NodeProto] = []
    while ready:
        at = heapq.heappop(ready)
        legal.append(waiting[at])
        for reader in readers[at]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, reader)
    if len(legal) < len(waiting):
        raise ModelError(_why([p for i, p in enumerate(waiting) if missing[i]], makers, scope))
    return legal


def _why(left: Sequence[onnx.NodeProto], makers: Mapping[str, int], scope: Scope) -> str:
    for proto in left:
        for name in needed(proto):
            if name not in makers and scope.find(name) is None:
                return f"the node '{label(proto)}' reads '{name}', which nothing gives"
    return f"{len(left)} nodes stand in a cycle, or after one; the first is '{label(left[0])}'"


def needed(proto: onnx.NodeProto) -> list[str]:
    """The names that a node reads, in its bodies too."""
    names = [n for n in proto.input if n]
    for attr in proto.attribute:
        for body in (attr.g, *attr.graphs) if attr.type in BODIES else ():
            inside = {i.name for i in body.input} | {t.name for t in body.initializer}
            inside |= {t.values.name for t in body.sparse_initializer}
            inside |= {o for n in body.node for o in n.output}
            names += [n for node in body.node for n in needed(node) if n not in inside]
            names += [o.name for o in body.output if o.name not in inside]
    return names


def label(proto: onnx.NodeProto) -> str:
    """How messages call a node."""
    return proto.name or f"{proto.op_type} of {', '.join(map(str, proto.output))}"
