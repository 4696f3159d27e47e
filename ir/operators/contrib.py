"""Operators of ONNX Runtime's own domain that rules make or read."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphwright.ir.operators.pointwise import gelu, same, swish
from graphwright.ir.ops import Op, register

Array = np.ndarray[Any, np.dtype[Any]]


def _fast_gelu(x: Array, bias: Array | None = None) -> Array:
    return gelu(x if bias is None else x + bias, "tanh")


register(
    Op("com.microsoft::Gelu", same, gelu),
    Op("com.microsoft::FastGelu", same, _fast_gelu),
    Op("com.microsoft::QuickGelu", same, lambda x, alpha=1.702: swish(x, alpha)),
)
