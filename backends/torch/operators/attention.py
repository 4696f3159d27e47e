"""Attention, and rotary position embedding."""

from __future__ import annotations

from math import inf
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  everybody calls it so

from graphwright.backends.torch.registry import DTYPES, lower


@lower("Attention")
def attention(
    q: Any,
    k: Any,
    v: Any,
    bias: Any = None,
    mask: Any = None,
    sink: Any = None,
    scale: float = 1.0,
    cap: float = 0.0,
    filler: float = -inf,
    guard: int = 0,
    precision: str = "",
    late: int = 0,
) -> Any:
    """The operator of the IR; PyTorch's own where that is the same, rows without keys included.

    A row without keys is 0 in scaled_dot_product_attention: so it is here where there is a guard,
    and nothing else may hide keys where there is none.
    """
    hidden = bias is not None or mask is not None
    same = not cap and sink is None and filler == -inf and (bool(guard) or not hidden)
    if same and q.dtype == v.dtype:
        return _by_pytorch(q, k, v, bias, mask, scale)
    return _written_out(q, k, v, bias, mask, sink, scale, cap, filler, guard, precision, late)


def _by_pytorch(q: Any, k: Any, v: Any, bias: Any, mask: Any, scale: float) -> Any:
    k, v = (_repeated(x, q.shape[-3]) for x in (k, v))
    seen = mask
    if bias is not None:
        seen = bias.to(q.dtype)
        seen = seen if mask is None else torch.where(mask, seen, -inf)
    return F.scaled_dot_product_attention(q, k, v, seen, scale=scale)


def _repeated(x: Any, heads: Any) -> Any:
    """Keys or values for every head of queries."""
    if x.shape[-3] == heads:
        return x
    return torch.repeat_interleave(x, heads // x.shape[-3], dim=-3)


def _written_out(
    q: Any,
    k: Any,
    v: Any,
    bias: Any,
    mask: Any,
    sink: Any,
    scale: float,
    cap: float,
    filler: float,
    guard: int,
    precision: str,
    late: int = 0,
) -> Any:
    k, values = (_repeated(x, q.shape[-3]) for x in (k, v))
    s = (q @ k.mT) * scale if late else (q * scale) @ k.mT
    wide = DTYPES[precision] if precision and s.dtype != torch.float64 else s.dtype
    s = s if bias is not None and bias.dtype == s.dtype else s.to(wide)
    s = cap * torch.tanh(s / cap) if cap else s
    s = s if bias is None else s + bias
    s = s.to(wide)
    s = s if mask is None else torch.where(mask, s, filler)
    columns = s.shape[-1]
    if sink is not None:
        s = torch.cat([s, sink.to(s.dtype).expand(*s.shape[:-1], 1)], -1)
    p = guarded_softmax(s) if guard else torch.softmax(s, -1)
    return p[..., :columns].to(values.dtype) @ values


def guarded_softmax(s: Any) -> Any:
    """The softmax, and 0 in rows whose weights are NaN; gradients pass by those rows."""
    dead = ~torch.isfinite(torch.amax(s, -1, keepdim=True))
    return torch.where(dead, 0.0, torch.softmax(torch.where(dead, 0.0, s), -1))


@lower("RotaryEmbedding")
def rotary(x: Any, cos: Any, sin: Any, interleaved: int, width: int) -> Any:
    """Of each pair (a, b): a cos - b sin, and b cos + a sin; channels from `width` on stay."""
    half = width // 2
    turned, rest = x[..., :width], x[..., width:]
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
    else:
        a, b = turned[..., :half], turned[..., half:]
    cos_a, cos_b = _by_channel(cos, half, interleaved)
    sin_a, sin_b = _by_channel(sin, half, interleaved)
    first, second = a * cos_a - b * sin_a, b * cos_b + a * sin_b
    if interleaved:
        y = torch.stack([first, second], -1).flatten(-2)
    else:
        y = torch.cat([first, second], -1)
    return torch.cat([y, rest], -1)


def _by_channel(table: Any, half: int, interleaved: int) -> tuple[Any, Any]:
    """The numbers of the first and of the second channel of each pair."""
    if table.shape[-1] == half:
        return table, table
    if interleaved:
        return table[..., 0::2], table[..., 1::2]
    return table[..., :half], table[..., half:]


@lower("com.microsoft::RotaryEmbedding")
def rotary_by_rows(
    x: Any,
    positions: Any,
    cos: Any,
    sin: Any,
    interleaved: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
    **_: Any,
) -> Any:
    """Rows of the tables, picked by position; one position is that of the first token of all."""
    given = x.shape
    if x.dim() == 3:
        heads = num_heads or given[2] // (2 * cos.shape[-1])
        x = x.reshape(given[0], given[1], heads, -1).transpose(1, 2)
    if positions.numel() == 1:
        positions = positions.reshape(1, 1) + torch.arange(x.shape[2], device=x.device)
    width = rotary_embedding_dim or x.shape[-1]
    cos, sin = cos[positions].unsqueeze(1), sin[positions].unsqueeze(1)
    y = rotary(x, cos, sin, interleaved, width)
    return y if len(given) == 4 else y.transpose(1, 2).reshape(given)


@lower("RotaryEmbedding@23", "RotaryEmbedding@24")
def standard_rotary(
    x: Any,
    cos: Any,
    sin: Any,
    positions: Any = None,
    interleaved: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
) -> Any:
    """ONNX's operator: tables of a number for each pair, by row or for each token."""
    given = x.shape
    if x.dim() == 3:
        x = x.reshape(given[0], given[1], num_heads, -1).transpose(1, 2)
    if positions is not None:
        cos, sin = cos[positions], sin[positions]
    width = rotary_embedding_dim or x.shape[-1]
    y = rotary(x, cos.unsqueeze(1), sin.unsqueeze(1), interleaved, width)
    return y if len(given) == 4 else y.transpose(1, 2).reshape(given)
