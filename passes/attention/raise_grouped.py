"""ONNX Runtime's GroupQueryAttention becomes the IR's Attention, where its lengths are constant."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import constant
from graphwright.passes.application import EachOutput
from graphwright.passes.attention.native_parts import (
    apart,
    both,
    constant_mask,
    default_scale,
    dims_of,
    joined,
    need_length,
    number,
    padded,
    sorted_out,
    together,
)
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule
from graphwright.passes.shapes import dtype_of, shape_of

GROUPED = "com.microsoft::GroupQueryAttention"
OFF = ("do_rotary", "sliding_window_cache", "qk_output", "kv_cache_bit_width")
GIVEN = "q: f32[B, 2, 32], k: f32[B, 2, 16], v: f32[B, 2, 16]"
HEADS = "num_heads=4, kv_num_heads=2, scale=0.5"


@rule(
    EachOutput(GROUPED),
    Tolerance(),
    Example(
        "q: f32[2, 2, 32], k: f32[2, 2, 16], v: f32[2, 2, 16]",
        f'call("{GROUPED}", q, k, v, None, None, i32([1, 1]), i32(2), {HEADS}, softcap=3.0)',
        """
        y = Attention(Transpose(Reshape(q, i64([0, 0, 4, 8])), perm=(0, 2, 1, 3)),
                      Transpose(Reshape(k, i64([0, 0, 2, 8])), perm=(0, 2, 1, 3)),
                      Transpose(Reshape(v, i64([0, 0, 2, 8])), perm=(0, 2, 1, 3)),
                      None, bool([[[[True, False], [True, True]]]]),
                      scale=0.5, cap=3.0, filler=-inf, guard=0, precision='')
        Reshape(Transpose(y, perm=(0, 2, 1, 3)), i64([0, 0, 32]))""",
    ),
    Example(
        f"{GIVEN}, n: i32[B], t: i32[1]",
        f'call("{GROUPED}", q, k, v, None, None, n, t, {HEADS})',
        because="known only at run time",
    ),
)
def raise_group_query_attention(m: Match, op: Builder) -> Value:
    """GroupQueryAttention(query, key, value)  ->  Attention(q, k, v), heads apart, causal

    query: [B, S, H*D]; key, value: [B, S, K*D]. Only where each sequence is as long as its tensors
    are, and constants say so: what lies behind the end of a shorter one is left to chance.
    Source: the operator's text in ONNX Runtime, and what its CPU kernel computes.
    """
    node = m.node
    index = node.outputs.index(m.root)
    read = any(v.uses for v in node.outputs[3:])
    need(not read and index < 3, "its scores are read, which are gone when it is written out")
    given = padded(node, 16)
    need(not any(number(node, name, 0) for name in OFF), f"it has one of {', '.join(OFF)}")
    need(not any(given[12:]), "its cache is of integers, or its queries are normalized inside")
    q, k, v = _inputs(op, node)
    past_k, past_v = given[3:5]
    need((past_k is None) == (past_v is None), "it has a cache of keys alone, or of values")
    k, v = joined(op, past_k, k), joined(op, past_v, v)
    _need_whole(given, k)
    bias, keep = None, None
    if given[10] is not None:
        need_length(given[10], k)
        bias, keep = sorted_out(op, given[10])
    mask, sink = both(op, [keep, _window(op, node, q, k)]), _sink(op, node, given[11])
    y = op.Attention(
        q,
        k,
        v,
        bias,
        mask,
        sink,
        scale=default_scale(number(node, "scale", 0.0), dims_of(q, "queries")[3]),
        cap=float(number(node, "softcap", 0.0)),
        filler=float("-inf"),
        guard=int(keep is not None),
        precision="",
    )
    # Each is made whichever is asked for, so that all are refused or none.
    return (together(op, y), k, v)[index]


def _inputs(op: Builder, node: Node) -> tuple[Value, Value, Value]:
    heads, shared = (int(number(node, name, 0)) for name in ("num_heads", "kv_num_heads"))
    need(heads and shared, "its heads are not said")
    q, k, v = node.inputs[:3]
    assert q is not None
    if k is None or v is None:
        need(k is None and v is None, "it has keys without values")
        whole = apart(op, q, heads + 2 * shared)
        ends = [0, heads, heads + shared, heads + 2 * shared]
        q, k, v = (
            op.Slice(whole, *(constant([n], "i64") for n in (start, end, 1)))
            for start, end in pairwise(ends)
        )
        return q, k, v
    return apart(op, q, heads), apart(op, k, shared), apart(op, v, shared)


def _need_whole(given: list[Value | None], keys: Value) -> None:
    """Refuse where sequences may be shorter than their tensors."""
    last, total, there = given[5], given[6], dims_of(keys, "keys")[2]
    consts = [value.const for value in (last, total) if value is not None]
    said = [const.load() for const in consts if const is not None]
    known = len(said) == 2 and isinstance(there, int)
    need(known, "how long its sequences are is known only at run time")
    assert isinstance(there, int)
    whole = bool((said[0] == there - 1).all() and (said[1] == there).all())
    need(whole, "its sequences are shorter than its tensors")


def _window(op: Builder, node: Node, q: Value, k: Value) -> Value | None:
    """True where a key is no later than the query, and not too far behind it."""
    if not number(node, "causal", 1):
        return None
    rows, columns = dims_of(q, "queries")[2], dims_of(k, "keys")[2]
    need(isinstance(rows, int) and isinstance(columns, int), "its sizes are known only at run time")
    assert isinstance(rows, int)
    assert isinstance(columns, int)
    behind = np.arange(rows)[:, None] + columns - rows - np.arange(columns)[None, :]
    width = number(node, "local_window_size", -1)
    seen = (behind >= 0) & ((behind < width) if width > 0 else True)
    need(op.budget.afford(seen.size), "the model would grow too much")
    return None if seen.all() else constant_mask(np.asarray(seen))


def _sink(op: Builder, node: Node, sink: Value | None) -> Value | None:
    """What takes a part of the weights of each head."""
    if sink is None:
        smooth = number(node, "smooth_softmax", 0)
        return constant([[[[0.0]]]], dtype_of(node.inputs[0])) if smooth else None
    need(len(shape_of(sink) or ()) == 1, "its sinks are no list")
    return op.Unsqueeze(sink, axes=(0, 2, 3))
