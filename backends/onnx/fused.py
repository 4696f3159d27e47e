"""What ONNX Runtime's own attentions compute, as its CPU kernels have it.

Written from the operators' texts and apart from the rules that read these operators, which are held
to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Three = tuple[Array, Array, Array]
LOWEST = -3.4e38


def multi_head_attention(
    q: Array,
    k: Array | None = None,
    v: Array | None = None,
    bias: Array | None = None,
    hidden: Array | None = None,
    added: Array | None = None,
    past_k: Array | None = None,
    past_v: Array | None = None,
    *rest: Array | None,
    num_heads: int,
    scale: float = 0.0,
    mask_filter_value: float = -10000.0,
    unidirectional: int = 0,
) -> Three:
    """The result, and keys and values with those of the cache."""
    if k is None or v is None or any(each is not None for each in rest):
        raise ValueError("a form of MultiHeadAttention that is not known")
    if bias is not None:
        q, bias = q + bias[: q.shape[2]], bias[q.shape[2] :]
        if k.ndim == 3:
            k, v = k + bias[: k.shape[2]], v + bias[k.shape[2] :]
    q = _heads(q, num_heads)
    k, v = (_heads(x, num_heads) if x.ndim == 3 else x for x in (k, v))
    if past_k is not None and past_v is not None:
        k, v = np.concatenate([past_k, k], 2), np.concatenate([past_v, v], 2)
    y = _attended(q, k, v, hidden, added, scale, mask_filter_value, bool(unidirectional))
    return y, k, v


def packed_attention(
    x: Array,
    w: Array,
    bias: Array | None = None,
    hidden: Array | None = None,
    past: Array | None = None,
    added: Array | None = None,
    *rest: Array | None,
    num_heads: int,
    qkv_hidden_sizes: tuple[int, ...] = (),
    scale: float = 0.0,
    mask_filter_value: float = -10000.0,
    unidirectional: int = 0,
    **others: Any,
) -> tuple[Array, Array]:
    """The result, and the cache."""
    if any(each is not None for each in rest) or any(others.values()):
        raise ValueError("a form of Attention that is not known")
    product = x @ w if bias is None else x @ w + bias
    sizes = qkv_hidden_sizes or (w.shape[1] // 3,) * 3
    q, k, v = (_heads(p, num_heads) for p in np.split(product, np.cumsum(sizes)[:2], -1))
    if past is not None:
        k, v = np.concatenate([past[0], k], 2), np.concatenate([past[1], v], 2)
    y = _attended(q, k, v, hidden, added, scale, mask_filter_value, bool(unidirectional))
    return y, np.stack([k, v]) if k.shape == v.shape else k


def _heads(x: Array, heads: int) -> Array:
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


def _attended(
    q: Array,
    k: Array,
    v: Array,
    hidden: Array | None,
    added: Array | None,
    scale: float,
    filter_value: float,
    causal: bool,
) -> Array:
    rows, columns = q.shape[2], k.shape[2]
    s = (scale or q.shape[3] ** -0.5) * (q @ k.swapaxes(2, 3))
    if hidden is not None:
        s = s + np.where(_seen(hidden, q.shape[0], columns), 0.0, filter_value)
    if causal:
        later = np.triu(np.ones((rows, columns), bool), columns - rows + 1)
        s = np.where(later, LOWEST, s)
    s = s if added is None else s + added
    e = np.exp(s - s.max(-1, keepdims=True))
    y = (e / e.sum(-1, keepdims=True)) @ v
    return np.asarray(y.swapaxes(1, 2).reshape(y.shape[0], rows, -1))


def _seen(hidden: Array, batch: int, columns: int) -> Array:
    if hidden.ndim == 1:
        if hidden.shape[0] != batch:
            raise ValueError("a mask of MultiHeadAttention that is not known")
        hidden = np.arange(columns)[None, :] < hidden[:, None]
    return np.asarray(hidden.reshape(batch, 1, -1, columns) > 0)


FUSED: dict[str, Callable[..., Any]] = {
    "com.microsoft::MultiHeadAttention": multi_head_attention,
    "com.microsoft::Attention": packed_attention,
}
"""By operator, what computes all of its outputs but those of scores."""
