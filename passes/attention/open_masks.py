"""Masks that hide nothing."""

from __future__ import annotations

from typing import Any

from graphwright.ir.const import Const
from graphwright.ir.graph import Node, Value
from graphwright.passes.application import any_node
from graphwright.passes.rule import Builder, Exact, Example, Match, need, rule

LARGEST = 1 << 24  # bytes that are looked at
BIAS, MASK = 3, 4
GIVEN = "q: f32[B, 2, 3, 4], k: f32[B, 2, 3, 4], v: f32[B, 2, 3, 4]"
ATTRS = "scale=0.5, cap=0.0, filler=-inf, guard=0, precision=''"


def _is_masked(node: Node) -> bool:
    return any(v is not None and v.const is not None for v in node.inputs[BIAS : MASK + 1])


@rule(
    any_node("Attention", when=_is_masked),
    Exact(),
    Example(
        GIVEN,
        f"Attention(q, k, v, f32([[[[0, 0, 0]]]]), {ATTRS})",
        f"Attention(q, k, v, {ATTRS})",
    ),
    Example(
        f"{GIVEN}, b: f32[1, 2, 3, 3]",
        f"Attention(q, k, v, b, bool([[[[True, True, True]]]]), {ATTRS})",
        f"Attention(q, k, v, b, {ATTRS})",
    ),
    Example(
        GIVEN,
        f"Attention(q, k, v, None, bool([[[[True, True, False]]]]), {ATTRS})",
        because="hides",
    ),
)
def drop_open_mask(m: Match, op: Builder) -> Value:
    """Attention(q, k, v, 0, True)  ->  Attention(q, k, v)

    A constant mask that hides no key, a constant bias of zeros: they change no score.
    """
    q, k, v, *extras = m.node.inputs
    kept = [None if _is_open(extra, at) else extra for at, extra in enumerate(extras, BIAS)]
    need(kept != extras, "its mask hides some keys, or its bias changes some scores")
    attrs: dict[str, Any] = dict(m.node.attrs)
    return op.Attention(q, k, v, *kept, **attrs, **m.node.bodies)


def _is_open(value: Value | None, at: int) -> bool:
    const: Const | None = None if value is None else value.const
    if const is None or (const.type.nbytes or 0) > LARGEST:
        return False
    held = const.load()
    return bool(held.all()) if at == MASK else at == BIAS and not held.any()
