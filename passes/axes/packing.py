"""Rows that count, packed side by side, and laid out again with zeros between them."""

from __future__ import annotations

import numpy as np

from graphwright.ir.const import from_array
from graphwright.ir.dims import sym
from graphwright.ir.graph import Node, Value
from graphwright.ir.operators.attention import Make
from graphwright.ir.ops import constant
from graphwright.ir.types import NUMPY, TensorType
from graphwright.passes.rule import need
from graphwright.passes.shapes import dtype_of, shape_of

EMPTY = 14  # the opset from which on a Reshape may be told that a size is 0
COUNTED = sym("_counted")  # how many rows count: one number, since a model has one mask of tokens


def those_that_count(make: Make, counts: Value) -> Value:
    """The indices of the rows that count, [N]; counts: bool, [B, S]."""
    found = make("NonZero", _flat(make, counts))
    found.type = TensorType("i64", (1, COUNTED))
    return _flat(make, found)


def places(make: Make, index: Value) -> Value:
    """Where each row stands among `those_that_count`, [B * S], from 1 on; 0 where it does not."""
    flat = index
    for _ in range(2):  # what NonZero reads
        assert flat.producer is not None
        assert flat.producer.inputs[0] is not None
        flat = flat.producer.inputs[0]
    flat = make("Cast", flat, to="i64")
    return make("Mul", make("CumSum", flat, constant(0, "i64"), exclusive=0, reverse=0), flat)


def laid_out(make: Make, rows: Value, at: Value) -> Value:
    """Packed rows [N, D] at their `places`, [B * S, D], and zeros at the others.

    Refuses rows whose width is known only at run time.
    """
    width = (shape_of(rows) or (None,))[-1]
    need(isinstance(width, int), "its rows have a width that is known only at run time")
    assert isinstance(width, int)
    zeros = from_array(np.zeros((1, width), NUMPY[dtype_of(rows)]))
    every = make("Concat", Value(zeros.type, const=zeros), rows, axis=0)
    return make("Gather", every, at, axis=0)


def apart(make: Make, rows: Value, sizes: Value, opset: int) -> Value:
    """Rows [B * S, D] in a shape [B, S, ...], which may be empty where the opset can say so."""
    return make("Reshape", rows, sizes, **({"allowzero": 1} if opset >= EMPTY else {}))


def is_laid_out(node: Node) -> bool:
    """Whether a Gather lays packed rows out."""
    if node.inputs[1] is None or node.inputs[0] is None:
        return False
    rows, at = node.inputs[0].producer, node.inputs[1].producer
    if rows is None or rows.op != "Concat" or at is None or at.op != "Mul":
        return False
    return any(v.producer is not None and v.producer.op == "CumSum" for v in at.inputs if v)


def counted_by(node: Node) -> Value | None:
    """What says which rows count, of a Gather that packs rows."""
    value = node.inputs[1]
    for op in ("Reshape", "NonZero", "Reshape"):
        made = None if value is None else value.producer
        if made is None or made.op != op:
            return None
        value = made.inputs[0]
    return value


def _flat(make: Make, value: Value) -> Value:
    return make("Reshape", value, constant([-1], "i64"))
