"""Keys that an attention is kept from seeing, beside those that its masks hide."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from graphwright.ir.graph import Node, Value
from graphwright.passes.attention.layout import node_behind
from graphwright.passes.attention.native_parts import dims_of, length, padded, positions
from graphwright.passes.attention.validity import hide
from graphwright.passes.heads import head_count, seen_in_heads
from graphwright.passes.layers import is_cache
from graphwright.passes.rule import Builder, Replacement, need
from graphwright.passes.technique import Work

Seen = Callable[[Builder, Value, Value], Value]


def seeing(work: Work, node: Node, near: Seen) -> Replacement:
    """An attention that sees of its keys those that `near(op, rows, columns)` says.

    rows: [S, 1], the positions of queries; columns: [T], those of keys. A row that would see none
    of the keys that it saw is left as it is. Refuses where keys and queries are of two sequences.
    """
    result = node.outputs[0]
    op = work.at(result, [v for v in node.inputs if v is not None])
    rows, columns = _positions(op, node)
    seen = near(op, rows, columns)
    seen = op.Unsqueeze(seen, axes=tuple(range(len(dims_of(result, "result")) - 2)))
    bias, mask = padded(node, 5)[3:5]
    valid = hide(op, bias, mask)
    if valid is not None:
        left = op.Cast(op.And(valid, seen), to="f32")
        seen = op.Or(seen, op.Less(op.ReduceMax(left, axes=(-1,), keepdims=1), 0.5))
    return Replacement(result, seen_only(op, work, node, seen))


def seen_only(op: Builder, work: Work, node: Node, seen: Value, bias: Value | None = None) -> Value:
    """An attention, in the heads asked for of the keys of `seen` alone; with another bias if given.

    seen: [*B, H, S, T], each axis the whole or 1.
    """
    q, k, v, had, mask, *rest = padded(node, 5)
    attrs: dict[str, Any] = dict(node.attrs)
    seen = seen_in_heads(op, work, head_count(node), seen)
    if mask is None:
        attrs["filler"] = -inf
    else:
        seen = op.And(mask, seen)
    return op.Attention(q, k, v, bias or had, seen, *rest, **attrs, **node.bodies)


def _positions(op: Builder, node: Node) -> tuple[Value, Value]:
    """Where queries and keys stand: [S, 1] and [T]; queries at the end of the keys of a cache."""
    q, k = node.inputs[:2]
    assert q is not None
    assert k is not None
    queries, keys = dims_of(q, "queries")[-2], dims_of(k, "keys")[-2]
    behind = node_behind(k, ("Concat",))
    cached = behind is not None and is_cache(behind.outputs[0])
    need(queries == keys or cached, "its keys are of another sequence than its queries")
    rows = positions(op, q, -2)
    if queries != keys:
        rows = op.Add(rows, op.Sub(length(op, k, -2), length(op, q, -2)))
    return op.Unsqueeze(rows, axes=(1,)), positions(op, k, -2)
