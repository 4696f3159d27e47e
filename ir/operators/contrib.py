"""Operators of ONNX Runtime's own domain that rules make or read."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphwright.ir.dims import product
from graphwright.ir.operators.operands import shape_of, tensor
from graphwright.ir.operators.pointwise import gelu, same, swish
from graphwright.ir.ops import OPS, Attrs, Inputs, NotTyped, Op, register
from graphwright.ir.types import TensorType, Type

Array = np.ndarray[Any, np.dtype[Any]]


def _fast_gelu(x: Array, bias: Array | None = None) -> Array:
    return gelu(x if bias is None else x + bias, "tanh")


def _mha(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    q, v = shape_of(inputs), shape_of(inputs, 2)
    if len(q) != 3 or len(v) not in (3, 4):
        raise NotTyped
    width = v[-1] if len(v) == 3 else product((v[1], v[3]))
    return (TensorType(tensor(inputs).dtype, (*q[:2], width)),)


def _mha_numpy(
    q: Array,
    k: Array,
    v: Array,
    _bias: None = None,
    _padding: None = None,
    added: Array | None = None,
    num_heads: int = 1,
    scale: float = 1.0,
) -> Array:
    def apart(x: Array) -> Array:
        heads = x.reshape(*x.shape[:2], num_heads, -1).swapaxes(1, 2) if x.ndim == 3 else x
        return np.asarray(heads)

    y = OPS["Attention"].numpy
    assert y is not None
    found = np.asarray(y(*map(apart, (q, k, v)), added, scale=scale)).swapaxes(1, 2)
    return found.reshape(*found.shape[:2], -1)


register(
    Op("com.microsoft::MultiHeadAttention", _mha, _mha_numpy),
    Op("com.microsoft::Gelu", same, gelu),
    Op("com.microsoft::FastGelu", same, _fast_gelu),
    Op("com.microsoft::QuickGelu", same, lambda x, alpha=1.702: swish(x, alpha)),
)
