"""Gates on what attentions give, which let all through until they are trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphwright.ir.const import Const
from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import constant
from graphwright.ir.types import NUMPY, TensorType
from graphwright.passes.attention.native_parts import dims_of
from graphwright.passes.origins import layer_input
from graphwright.passes.rule import Builder, Replacement, need
from graphwright.passes.technique import Work

Logits = Callable[[Builder, Value], Value]


def gated(work: Work, node: Node, factor: float, logits: Logits) -> Replacement:
    """Attention(q, k, v) * (factor * sigmoid(logits)), in the heads asked for.

    `logits` makes them, [B, H, S, 1] or [B, H, S, E], of what the layer reads.
    """
    result, x = node.outputs[0], layer_input(node)
    leaves = (*(v for v in node.inputs if v is not None), x)
    op = work.at(result, leaves)
    attrs: dict[str, Any] = dict(node.attrs)
    y = op.Attention(*node.inputs, **attrs, **node.bodies)
    gate = op.Mul(op.Sigmoid(logits(op, x)), factor)
    heads = head_count(node)
    chosen = work.places.heads_of(heads)
    if len(set(chosen)) < heads:
        gate = op.Where(flags(chosen, heads), gate, 1.0)
    return Replacement(result, op.Mul(y, gate), leaves)


def head_count(node: Node) -> int:
    """How many heads an attention has. Refuses where that is counted at run time."""
    heads = dims_of(node.outputs[0], "result")[-3]
    need(isinstance(heads, int), "its heads are counted at run time")
    assert isinstance(heads, int)
    return heads


def flags(chosen: tuple[int, ...], heads: int) -> Value:
    """True at the heads that were chosen: bool[H, 1, 1]."""
    return constant([[[head in chosen]] for head in range(heads)], "bool")


def weight(name: str, dtype: str, *shape: int, of: float = 0.0) -> Value:
    """A constant to be trained, under a name, of one number until then."""
    kind = TensorType(dtype, shape)
    return Value(kind, const=Const(kind, lambda: np.full(shape, of, NUMPY[dtype])), name=name)
