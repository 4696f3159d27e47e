"""ONNX Runtime's own MultiHeadAttention becomes the IR's Attention."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphwright.ir.const import from_array
from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import constant
from graphwright.passes.application import EachOutput
from graphwright.passes.attention.native_parts import (
    LOWEST,
    apart,
    default_scale,
    dims_of,
    is_given,
    joined,
    need_length,
    not_later,
    number,
    padded,
    positions,
    to_rank_4,
    together,
)
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule
from graphwright.passes.shapes import dtype_of

FILTER = -10000.0  # what is added to the scores of hidden keys where nothing else is said
MULTI = "com.microsoft::MultiHeadAttention"
PLAIN = "scale=0.5, cap=0.0, filler=-inf, guard=0, precision=''"
GIVEN = "q: f32[B, S, 32], k: f32[B, T, 32], v: f32[B, T, 24]"
SPLIT = """
        q1 = Transpose(Reshape(q, i64([0, 0, 4, 8])), perm=(0, 2, 1, 3))
        k1 = Transpose(Reshape(k, i64([0, 0, 4, 8])), perm=(0, 2, 1, 3))
        v1 = Transpose(Reshape(v, i64([0, 0, 4, 6])), perm=(0, 2, 1, 3))"""
JOIN = "Reshape(Transpose(y, perm=(0, 2, 1, 3)), i64([0, 0, 24]))"


@rule(
    EachOutput(MULTI),
    Tolerance(),
    Example(
        GIVEN,
        f'call("{MULTI}", q, k, v, num_heads=4, scale=0.5)',
        f"""{SPLIT}
        y = Attention(q1, k1, v1, {PLAIN})
        {JOIN}""",
    ),
    Example(
        f"{GIVEN}, m: i32[B, T]",
        f'call("{MULTI}", q, k, v, None, m, num_heads=4, scale=0.5)',
        f"""{SPLIT}
        b = Unsqueeze(Where(Greater(m, i32(0)), f32(0.0), f32(-10000.0)), axes=(1, 2))
        y = Attention(q1, k1, v1, b, {PLAIN})
        {JOIN}""",
    ),
    Example(
        "q: f32[B, S, 4, 3, 8]",
        f'call("{MULTI}", q, num_heads=4)',
        because="packed in one tensor",
    ),
)
def raise_multi_head_attention(m: Match, op: Builder) -> Value:
    """MultiHeadAttention(query, key, value)  ->  Attention(q, k, v), heads apart

    query: [B, S, H*D]; keys and values of the cache are joined before it, and given back where
    they are outputs. What hides a key is added to its score: a row of hidden keys gives an average.
    Source: the operator's text in ONNX Runtime, and what its CPU kernel computes.
    """
    node = m.node
    index = which(node, m.root, 3)
    q, k, v, bias, hidden, added, past_k, past_v, *cache = padded(node, 10)
    need(not any(cache), "its cache is held in a buffer that is shared")
    assert q is not None
    need(len(dims_of(q, "queries")) == 3, "its queries, keys and values are packed in one tensor")
    need(k is not None and v is not None, "its keys and values are packed in one tensor")
    assert k is not None
    assert v is not None
    heads = int(number(node, "num_heads", 0))
    need(heads, "its heads are not said")
    flat = len(dims_of(k, "keys")) == 3
    need(flat or past_k is None, "its keys have heads, and there is a cache")
    if bias is not None:
        wide = [dims_of(x, "inputs")[2] for x in (q, *((k, v) if flat else ()))]
        added_to = (q, k, v) if flat else (q,)
        q, *rest = _biased(op, added_to, bias, wide)
        k, v = rest or (k, v)
    q = apart(op, q, heads)
    k, v = (apart(op, k, heads), apart(op, v, heads)) if flat else (k, v)
    _need_presents(node, past_k, past_v)
    new, k, v = k, joined(op, past_k, k), joined(op, past_v, v)
    # Each is made whichever is asked for, so that all are refused or none.
    y = attended(op, node, (q, k, v), (hidden, added, past_k), new)
    return (y, k, v)[index]


def which(node: Node, root: Value, count: int) -> int:
    """Which output is to be replaced, where each that is read can be."""
    index = node.outputs.index(root)
    rest = any(v.uses for v in node.outputs[count:])
    need(not rest and index < count, "its scores are read, which are gone when it is written out")
    return index


def _need_presents(node: Node, past_k: Value | None, past_v: Value | None) -> None:
    need((past_k is None) == (past_v is None), "it has a cache of keys alone, or of values")
    both = is_given(node, 1) and is_given(node, 2)
    need(past_k is None or both, "it has a cache and does not give it back")


def attended(
    op: Builder,
    node: Node,
    qkv: tuple[Value, Value, Value],
    others: tuple[Value | None, Value | None, Value | None],
    new: Value,
) -> Value:
    """Attention with what is added to scores, laid out as the operator gives it."""
    q, k, v = qkv
    hidden, added, past = others
    dtype = dtype_of(q)
    need(dtype in LOWEST, "its inputs are no floats that ONNX Runtime attends with")
    bias = None if hidden is None else _padding(op, node, hidden, q, k)
    if added is not None:
        need_length(added, k)
        added = to_rank_4(op, added)
        bias = added if bias is None else op.Add(added, bias)
    seen, rows = None, dims_of(q, "queries")[2]
    if number(node, "unidirectional", 0) and rows != 1:
        # The kernel lets the last query see all: no more than it should where S = T.
        alike = rows == dims_of(new, "keys")[2]
        need(alike, "it hides later keys, and has not as many queries as new keys")
        seen = not_later(op, q, k, past)
    y = op.Attention(
        q,
        k,
        v,
        bias,
        seen,
        scale=default_scale(number(node, "scale", 0.0), dims_of(q, "queries")[3]),
        cap=0.0,
        filler=LOWEST[dtype] if seen is not None else float("-inf"),
        guard=0,
        precision="",
    )
    return together(op, y)


def _padding(op: Builder, node: Node, hidden: Value, q: Value, k: Value) -> Value:
    """What is added to scores because of a mask, or of how many keys count."""
    shape, batch = dims_of(hidden, "mask"), dims_of(q, "queries")[0]
    need(len(shape) < 4, "its mask has four axes, which ONNX Runtime does not run")
    if len(shape) == 1:
        need(shape[0] == batch, "what its mask says is not known: it has not one number a batch")
        at = positions(op, k, 2)
        end = op.Unsqueeze(op.Cast(hidden, to="i64"), axes=(1,))
        seen = op.Less(at, end)
    else:
        need_length(hidden, k)
        seen = op.Greater(hidden, 0)
    least = number(node, "mask_filter_value", FILTER)
    dtype = dtype_of(q)
    bias = op.Where(seen, constant(0.0, dtype), constant(least, dtype))
    return to_rank_4(op, bias, at=1)


def _biased(
    op: Builder, parts: tuple[Value, ...], bias: Value, sizes: Sequence[object]
) -> list[Value]:
    """Each of the parts with its piece of a vector added."""
    need(all(isinstance(size, int) for size in sizes), "the widths of its parts are not known")
    ends = np.cumsum([size for size in sizes if isinstance(size, int)]).tolist()
    found = []
    for part, start, end in zip(parts, [0, *ends], ends, strict=False):
        if bias.const is not None and (bias.const.type.nbytes or 0) <= 1 << 20:
            const = from_array(bias.const.load()[start:end])
            piece = Value(const.type, const=const)
        else:
            piece = op.Slice(bias, *(constant([n], "i64") for n in (start, end, 0)))
        found.append(op.Add(part, piece))
    return found
