"""Attention written out in operators that every runtime has."""

from __future__ import annotations

from functools import partial
from typing import Any

from graphwright.ir.graph import Value
from graphwright.ir.operators.attention import written_out
from graphwright.ir.ops import NotTyped
from graphwright.passes.application import any_node
from graphwright.passes.rule import Builder, Example, Match, NoMatch, Tolerance, rule
from graphwright.passes.shapes import reshape

GIVEN = "q: f32[B, 4, S, 8], k: f32[B, {heads}, T, 8], v: f32[B, {heads}, T, 6]"
PLAIN = "filler=-inf, guard=0, precision=''"


@rule(
    any_node("Attention"),
    Tolerance(),
    Example(
        GIVEN.format(heads=4),
        f"Attention(q, k, v, scale=0.5, cap=0.0, {PLAIN})",
        "Softmax((q * 0.5) @ Transpose(k, perm=(0, 1, 3, 2)), axis=-1) @ v",
    ),
    Example(
        f"{GIVEN.format(heads=4)}, m: bool[B, 1, 1, T]",
        "Attention(q, k, v, None, m, scale=1.0, cap=0.0, filler=-inf, guard=1, precision='')",
        """
        s = q @ Transpose(k, perm=(0, 1, 3, 2))
        p = Softmax(Where(m, s, f32(-inf)), axis=-1)
        first = ReduceSum(Slice(p, i64([0]), i64([1]), i64([-1])), axes=(-1,), keepdims=1)
        Where(IsNaN(first), f32(0), p @ v)""",
    ),
    Example(
        f"{GIVEN.format(heads=2)}, m: f32[B, 1, S, T]",
        f"Attention(q, k, v, m, scale=1.0, cap=30.0, {PLAIN})",
        """
        kt = Transpose(k, perm=(0, 1, 3, 2))
        q2 = Reshape(q, Sizes(dims=(B, 2, 2*S, 8)))
        s = Reshape((q2 @ kt) / 30.0, Sizes(dims=(B, 4, S, T)))
        p = Softmax(Tanh(s) * 30.0 + m, axis=-1)
        y = Reshape(p, Sizes(dims=(B, 2, 2*S, T))) @ v
        Reshape(y, Sizes(dims=(B, 4, S, 6)))""",
    ),
    Example(
        "q: f32[...], k: f32[...], v: f32[...]",
        f"Attention(q, k, v, scale=1.0, cap=0.0, {PLAIN})",
        because="not known",
    ),
)
def lower_attention(m: Match, op: Builder) -> Value:
    """Attention(q, k, v)  ->  Softmax(scale q k^T) v

    q: [*B, H, S, D]; k: [*B, K, T, D]; v: [*B, K, T, E]; result: [*B, H, S, E]. Heads that share
    keys stand below one another in one product: keys and values are never repeated.
    """
    return written(m, op)


def written(m: Match, op: Builder, depth: float = 0.0) -> Value:
    """The Attention that was met, written out; `depth` as of `written_out`."""
    named: dict[str, Any] = {**m.node.attrs, **m.node.bodies}
    q, k, v, *extras = m.node.inputs
    assert q is not None
    assert k is not None
    assert v is not None
    try:
        return written_out(
            op.call, q, k, v, *extras, **named, depth=depth, reshape=partial(reshape, op)
        )
    except NotTyped:
        raise NoMatch("its shapes are not known") from None
