"""Heads of an attention, of which techniques may be asked to change some."""

from __future__ import annotations

from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import constant
from graphwright.passes.attention.native_parts import dims_of
from graphwright.passes.rule import Builder, need
from graphwright.passes.technique import Work


def head_count(node: Node) -> int:
    """How many heads an attention has. Refuses where that is counted at run time."""
    heads = dims_of(node.outputs[0], "result")[-3]
    need(isinstance(heads, int), "its heads are counted at run time")
    assert isinstance(heads, int)
    return heads


def in_heads(op: Builder, work: Work, heads: int, new: Value, old: Value | float) -> Value:
    """`new` in the heads asked for and `old` in the others, of tensors [*B, H, ...]."""
    chosen = work.places.heads_of(heads)
    return new if len(set(chosen)) == heads else op.Where(_flags(chosen, heads), new, old)


def seen_in_heads(op: Builder, work: Work, heads: int, seen: Value) -> Value:
    """A mask in the heads asked for; others see all."""
    others = tuple(set(range(heads)) - set(work.places.heads_of(heads)))
    return op.Or(seen, _flags(others, heads)) if others else seen


def _flags(chosen: tuple[int, ...], heads: int) -> Value:
    """True at the heads that were chosen: bool[H, 1, 1]."""
    return constant([[[head in chosen]] for head in range(heads)], "bool")
