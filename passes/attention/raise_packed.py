"""ONNX Runtime's own Attention, whose weights are packed, becomes the IR's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphwright.ir.graph import Value
from graphwright.ir.ops import constant
from graphwright.passes.application import EachOutput
from graphwright.passes.attention.native_parts import (
    apart,
    dims_of,
    is_given,
    joined,
    number,
    padded,
)
from graphwright.passes.attention.raise_multi import JOIN, PLAIN, SPLIT, attended, which
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule

PACKED = "com.microsoft::Attention"


@rule(
    EachOutput(PACKED),
    Tolerance(),
    Example(
        "x: f32[B, S, 10], w: f32[10, 88], b: f32[88]",
        f'call("{PACKED}", x, w, b, num_heads=4, scale=0.5, qkv_hidden_sizes=(32, 32, 24))',
        f"""
        s = x @ w + b
        q = Slice(s, i64([0]), i64([32]), i64([2]))
        k = Slice(s, i64([32]), i64([64]), i64([2]))
        v = Slice(s, i64([64]), i64([88]), i64([2])){SPLIT}
        y = Attention(q1, k1, v1, {PLAIN})
        {JOIN}""",
    ),
    Example(
        "x: f32[B, S, 10], w: f32[10, 96], b: f32[96]",
        f'call("{PACKED}", x, w, b, num_heads=4, do_rotary=1)',
        because="turns its queries and keys",
    ),
)
def raise_packed_attention(m: Match, op: Builder) -> Value:
    """Attention(x, [Wq Wk Wv], b)  ->  Attention(q, k, v) of the parts of x [Wq Wk Wv] + b

    x: [B, S, I]; weights: [I, H*D + H*D + H*E]. The cache [2, B, H, P, D] is taken apart,
    joined, and given back where it is an output.
    Source: the operator's text in ONNX Runtime, and what its CPU kernel computes.
    """
    node = m.node
    index = which(node, m.root, 2)
    x, w, bias, hidden, past, added, length = padded(node, 7)
    shared = length is not None or number(node, "past_present_share_buffer", 0)
    need(not shared, "its cache is held in a buffer that is shared")
    need(not number(node, "do_rotary", 0), "it turns its queries and keys by their positions")
    heads = int(number(node, "num_heads", 0))
    need(heads, "its heads are not said")
    assert x is not None
    assert w is not None
    total = dims_of(w, "weights")[1]
    sizes = node.attrs.get("qkv_hidden_sizes")
    if not isinstance(sizes, tuple) or not sizes:
        need(isinstance(total, int) and total % 3 == 0, "the widths of its parts are not known")
        assert isinstance(total, int)
        sizes = (total // 3,) * 3
    product = op.MatMul(x, w)
    product = product if bias is None else op.Add(product, bias)
    q, k, v = (apart(op, part, heads) for part in _parts(op, product, sizes))
    past_k, past_v = (None, None) if past is None else _halves(op, past)
    need(past is None or is_given(node, 1), "it has a cache and does not give it back")
    new, k, v = k, joined(op, past_k, k), joined(op, past_v, v)
    # Both are made whichever is asked for, so that both are refused or none.
    y = attended(op, node, (q, k, v), (hidden, added, past_k), new)
    return op.Concat(*(op.Unsqueeze(x, axes=(0,)) for x in (k, v)), axis=0) if index else y


def _parts(op: Builder, x: Value, sizes: Sequence[object]) -> list[Value]:
    """Pieces of the last of three axes."""
    ends = np.cumsum([size for size in sizes if isinstance(size, int)]).tolist()
    need(len(ends) == 3, "the widths of its parts are not known")
    bounds = zip([0, *ends], ends, strict=False)
    return [op.Slice(x, *(constant([n], "i64") for n in (*bound, 2))) for bound in bounds]


def _halves(op: Builder, past: Value) -> list[Value]:
    need(len(dims_of(past, "cache")) == 5, "its cache has not five axes")
    return [op.Gather(past, constant(i, "i64"), axis=0) for i in (0, 1)]
