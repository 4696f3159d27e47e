"""Nodes that stand before what they read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx

from graphwright.frontends.onnx.attributes import BODIES
from graphwright.frontends.onnx.scope import Scope
from graphwright.ir.errors import ModelError


def read_waiting(
    waiting: Sequence[onnx.NodeProto], read: Callable[[onnx.NodeProto], bool], scope: Scope
) -> None:
    """Read nodes that stand in no legal order; `read` says whether a node could be read.

    Raises ModelError for nodes that can never be.
    """
    while waiting:
        left = [proto for proto in waiting if not read(proto)]
        if len(left) == len(waiting):
            raise ModelError(_why(left, scope))
        waiting = left


def _why(left: Sequence[onnx.NodeProto], scope: Scope) -> str:
    made = {name for proto in left for name in proto.output}
    first = left[0]
    missing = next(name for name in needed(first) if scope.find(name) is None)
    why = "stand in a cycle" if missing in made else "read what nothing gives"
    return f"{len(left)} nodes {why}, the first is '{label(first)}', which reads '{missing}'"


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
    return proto.name or f"{proto.op_type} of {', '.join(proto.output)}"
