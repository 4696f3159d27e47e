"""Masks are multiplied into the weights that they stand beside."""

from __future__ import annotations

import numpy as np

from graphwright.ir.const import Const
from graphwright.ir.graph import Node, Value
from graphwright.ir.types import FLOATS
from graphwright.passes.application import any_node
from graphwright.passes.rule import Builder, Exact, Example, Match, need, rule
from graphwright.passes.shapes import dtype_of


def _is_masked(node: Node) -> bool:
    return all(value is not None and value.const is not None for value in node.inputs)


@rule(
    any_node("Mul", when=_is_masked),
    Exact(),
    Example(
        "x: f32[B, 2]",
        "x @ (f32([[1, 2], [3, 4]]) * f32([[0, 1], [1, 0]]))",
        "x @ f32([[0, 2], [3, 0]])",
    ),
    Example("x: f32[2, 2]", "x * f32([[0, 1], [1, 0]])", because="does not fit"),
    Example("x: f32[B, 2]", "x @ (f32([[1, 2], [3, 4]]) * f32([2, 1]))", because="same shape"),
)
def fold_masks(m: Match, op: Builder) -> Value:
    """w * m  ->  a constant, where both are constants of one shape

    It is computed when it is written, so that no more than one weight is held at a time.
    """
    weight, beside = (v.const for v in m.node.inputs if v is not None)
    assert weight is not None
    assert beside is not None
    need(weight.type == beside.type, "they are not of the same shape")
    need(dtype_of(m.root) in FLOATS, "they are no floats")
    const = Const(weight.type, lambda: np.asarray(weight.load() * beside.load()))
    return Value(const.type, const=const)
