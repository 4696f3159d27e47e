"""The types of what ONNX Runtime's own fused operators give, which no file need say."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphwright.ir.dims import Dim
from graphwright.ir.errors import ModelError
from graphwright.ir.operators.operands import broadcast, shape_of, tensor
from graphwright.ir.ops import Attrs, Inputs, NotTyped, Op, register
from graphwright.ir.quotients import exact_quotient
from graphwright.ir.types import UNKNOWN, TensorType, Type

Array = np.ndarray[Any, np.dtype[Any]]


def _first(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    return (tensor(inputs),)


def _skip_norm(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    """The result and, behind mean and variance, the sum."""
    return (tensor(inputs), UNKNOWN, UNKNOWN, tensor(inputs))


def _fused_matmul(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    a, b = shape_of(inputs), shape_of(inputs, 1)
    if len(a) < 2 or len(b) < 2 or attrs.get("transBatchA") or attrs.get("transBatchB"):
        raise NotTyped
    rows, columns = a[-1 if attrs.get("transA") else -2], b[-2 if attrs.get("transB") else -1]
    return (TensorType(tensor(inputs).dtype, (*broadcast(a[:-2], b[:-2]), rows, columns)),)


def _fused_matmul_numpy(a: Array, b: Array, alpha: float = 1.0, **turned: int) -> Array:
    if turned.get("transBatchA") or turned.get("transBatchB"):
        raise ModelError("a FusedMatMul whose batches stand inside is not computed here")
    left = a.swapaxes(-1, -2) if turned.get("transA") else a
    right = b.swapaxes(-1, -2) if turned.get("transB") else b
    return np.asarray(alpha * (left @ right))


def _multi_head(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    q, k, v = (shape_of(inputs, i) for i in range(3))
    heads = _count(attrs, "num_heads")
    if len(q) != 3 or len(k) != len(v) or len(k) not in (3, 4):
        raise NotTyped
    flat = len(k) == 3
    new = k[1] if flat else k[2]
    width, value_width = (_part(x[2], heads) if flat else x[3] for x in (k, v))
    result, dtype = (q[0], q[1], heads * value_width), tensor(inputs).dtype
    if len(inputs) > 8 and inputs[8] is not None:  # the cache is a buffer of another length
        return (TensorType(dtype, result),)
    total = new + _past(inputs, 6)
    caches = (TensorType(dtype, (q[0], heads, total, each)) for each in (width, value_width))
    return TensorType(dtype, result), *caches


def _packed(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    """The result, and keys and values in one tensor."""
    x, w, heads = shape_of(inputs), shape_of(inputs, 1), _count(attrs, "num_heads")
    sizes = attrs.get("qkv_hidden_sizes")
    whole = sizes[2] if isinstance(sizes, tuple) and len(sizes) == 3 else _part(w[1], 3)
    if len(x) != 3 or not isinstance(whole, int):
        raise NotTyped
    dtype = tensor(inputs).dtype
    if attrs.get("past_present_share_buffer"):
        return (TensorType(dtype, (x[0], x[1], whole)),)
    past: Dim = 0 if len(inputs) < 5 or inputs[4] is None else shape_of(inputs, 4)[3]
    cache = TensorType(dtype, (2, x[0], heads, x[1] + past, _part(whole, heads)))
    return TensorType(dtype, (x[0], x[1], whole)), cache


def _grouped(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    """The result; how long the cache becomes is known only at run time."""
    q, heads, shared = shape_of(inputs), _count(attrs, "num_heads"), _count(attrs, "kv_num_heads")
    if len(q) != 3:
        raise NotTyped
    if len(inputs) > 1 and inputs[1] is not None:
        return (tensor(inputs),)
    width = _part(q[2], heads + 2 * shared)
    return (TensorType(tensor(inputs).dtype, (q[0], q[1], heads * width)),)


def _count(attrs: Attrs, name: str) -> int:
    found = attrs.get(name)
    if not isinstance(found, int) or found < 1:
        raise NotTyped
    return found


def _part(dim: Dim, by: int) -> Dim:
    found = exact_quotient(dim, by)
    if found is None:
        raise NotTyped
    return found


def _past(inputs: Inputs, index: int) -> Dim:
    if len(inputs) <= index or inputs[index] is None:
        return 0
    return shape_of(inputs, index)[2]


register(
    Op("com.microsoft::BiasGelu", _first),
    Op("com.microsoft::FusedMatMul", _fused_matmul, _fused_matmul_numpy),
    Op("com.microsoft::SkipLayerNormalization", _skip_norm),
    Op("com.microsoft::SkipSimplifiedLayerNormalization", _skip_norm),
    Op("com.microsoft::MultiHeadAttention", _multi_head),
    Op("com.microsoft::Attention", _packed),
    Op("com.microsoft::GroupQueryAttention", _grouped),
)
