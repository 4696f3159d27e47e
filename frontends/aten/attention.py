"""Scaled dot product attention."""

from __future__ import annotations

from math import inf, sqrt
from typing import Any

import numpy as np

from graphwright.frontends.aten.builder import SMALL, Builder, NotRead, dtype_of, rank_of, shape_of
from graphwright.frontends.aten.readings import aten
from graphwright.ir.dims import Dim
from graphwright.ir.graph import Value
from graphwright.ir.quotients import exact_quotient


@aten("scaled_dot_product_attention")
def scaled_dot_product_attention(
    b: Builder,
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """Attention, in which a row whose keys are all hidden gives 0, as in PyTorch.

    The softmax works in float32 where the scores are narrower.
    """
    if dropout_p:
        raise NotRead("it drops weights at random; call eval() on the module before it is exported")
    key, value = _shared_heads(b, key, value)
    rank = max(rank_of(query), 3)
    q, k, v = (_raised(b, x, rank) for x in (query, key, value))
    q = _all_heads(b, q, k)
    bias = mask = None
    if attn_mask is not None:
        laid = _raised(b, attn_mask, rank)
        bias, mask = (None, laid) if dtype_of(laid) == "bool" else (laid, None)
    if is_causal:
        if mask is not None or bias is not None:
            raise NotRead("it has a mask and is causal")
        mask = _causal(b, shape_of(q)[-2], shape_of(k)[-2], rank)
    if scale is None:
        width = shape_of(q)[-1]
        if not isinstance(width, int):
            raise NotRead("its width is known only when the model runs")
        scale = 1 / sqrt(width)
    inputs = [q, k, v, bias, mask]
    while inputs[-1] is None:
        inputs.pop()
    attrs: dict[str, Any] = {
        "scale": float(scale),
        "cap": 0.0,
        "filler": -inf,
        # A causal row sees its own key, so only masks that are given can hide all.
        "guard": int(attn_mask is not None),
        "precision": "f32" if dtype_of(q) in ("f16", "bf16") else "",
    }
    y = b.call("Attention", *inputs, **attrs)
    return b.reshape(y, shape_of(y)[1:]) if rank_of(query) < rank else y


def _shared_heads(b: Builder, k: Value, v: Value) -> tuple[Value, Value]:
    """Keys and values as they were before each head was repeated for a group of query heads."""
    once = _repeated_once(b, k), _repeated_once(b, v)
    if once[0] is None or once[1] is None or shape_of(once[0])[-3] != shape_of(once[1])[-3]:
        return k, v
    return once[0], once[1]


def _repeated_once(b: Builder, x: Value) -> Value | None:
    """[*B, K, T, D], of which [*B, K, 1, T, D] -> [*B, K, n, T, D] -> [*B, K n, T, D] made `x`."""
    flat = x.producer
    wide = flat.inputs[0] if flat is not None and flat.op == "Reshape" else None
    expand = wide.producer if wide is not None else None
    if wide is None or expand is None or expand.op != "Expand" or expand.inputs[0] is None:
        return None
    narrow, dims = expand.inputs[0], shape_of(wide)
    if len(dims) < 4 or shape_of(narrow) != (*dims[:-3], 1, *dims[-2:]):
        return None
    if shape_of(x) != (*dims[:-4], dims[-4] * dims[-3], *dims[-2:]):
        return None
    whole = (*dims[:-3], *dims[-2:])
    unsqueeze = narrow.producer
    given = unsqueeze.inputs[0] if unsqueeze and unsqueeze.op == "Unsqueeze" else None
    if given is not None and shape_of(given) == whole:
        return given
    return b.reshape(narrow, whole)


def _raised(b: Builder, x: Value, rank: int) -> Value:
    return b.unsqueeze(x, *range(rank - rank_of(x)))


def _all_heads(b: Builder, q: Value, k: Value) -> Value:
    """Queries repeated for every head of keys, where one stands for all."""
    heads, shared = shape_of(q)[-3], shape_of(k)[-3]
    if exact_quotient(heads, shared) is not None:
        return q
    return b.expand(q, (*shape_of(q)[:-3], shared, *shape_of(q)[-2:]))


def _causal(b: Builder, queries: Dim, keys: Dim, rank: int) -> Value:
    """True where a query stands at its key, or behind it: [1, ..., S, T]."""
    lead = range(rank - 2)
    if isinstance(queries, int) and isinstance(keys, int) and queries * keys <= 4 * SMALL:
        seen = np.tri(queries, keys, dtype=bool)
        return b.constant(seen.reshape(*(1 for _ in lead), queries, keys), "bool")
    zero, one = b.constant(0, "i64"), b.constant(1, "i64")
    rows, columns = (b.Range(zero, b.size(n), one) for n in (queries, keys))
    return b.unsqueeze(b.LessOrEqual(columns, b.unsqueeze(rows, 1)), *lead)
