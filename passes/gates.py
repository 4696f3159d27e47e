"""Gates on what attentions give, which let all through until they are trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphwright.ir.const import Const
from graphwright.ir.graph import Node, Value
from graphwright.ir.types import NUMPY, TensorType
from graphwright.passes.heads import head_count, in_heads
from graphwright.passes.origins import layer_input
from graphwright.passes.rule import Builder, Replacement
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
    gate = in_heads(op, work, head_count(node), gate, 1.0)
    return Replacement(result, op.Mul(y, gate), leaves)


def weight(name: str, dtype: str, *shape: int, of: float = 0.0) -> Value:
    """A constant to be trained, under a name, of one number until then."""
    kind = TensorType(dtype, shape)
    return Value(kind, const=Const(kind, lambda: np.full(shape, of, NUMPY[dtype])), name=name)
