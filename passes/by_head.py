"""Bodies of normalizers that are softmax in some heads, and what has been put into the others."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np

from graphwright.ir.graph import Graph, Value
from graphwright.ir.normalizers import inlined
from graphwright.ir.ops import constant, node_of, return_node


def in_heads(made: Graph, had: Graph | None, chosen: Sequence[int], count: int) -> Graph:
    """The body that is `made` where a head was chosen, and elsewhere what it was, or softmax."""
    if had is None and len(set(chosen)) == count:
        return made
    s = Value(made.inputs[0].type, name="s")
    flags = constant([[[head in chosen]] for head in range(count)], "bool")
    new = inlined(_make, made, s)
    old = _make("Softmax", s, axis=-1) if had is None else inlined(_make, had, s)
    result = _make("Where", flags, new, old)
    return Graph(made.name, (s,), return_node([result], ["weights"]))


def zero_where_hidden(made: Graph) -> Graph:
    """The body that gives 0 in a row of which all keys are hidden, and else what `made` does."""
    s = Value(made.inputs[0].type, name="s")
    seen = _make("Greater", _make("ReduceMax", s, axes=(-1,), keepdims=1), -inf)
    result = _make("Where", seen, inlined(_make, made, s), 0.0)
    return Graph(made.name, (s,), return_node([result], ["weights"]))


def taken(had: Graph | None, count: int) -> set[int]:
    """The heads whose softmax has been replaced in a body."""
    if had is None:
        return set()
    (value,) = had.outputs
    found: set[int] = set()
    while value is not None and value.producer is not None:
        node = value.producer
        flags = node.inputs[0].const if node.op == "Where" and node.inputs[0] else None
        if node.op == "Softmax" and node.inputs[0] is had.inputs[0]:
            return found
        if flags is None or flags.type.shape != (count, 1, 1):
            break
        found |= set(np.flatnonzero(flags.load()).tolist())
        value = node.inputs[2]
    return set(range(count))


def _make(op: str, *inputs: Value | float | None, **attrs: object) -> Value:
    named = {name: each for name, each in attrs.items() if each is not None}
    return node_of(op, inputs, named).outputs[0]  # type: ignore[arg-type]  # of a node's own
