"""Operators that multiply and add along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphwright.ir.dims import Dim
from graphwright.ir.operators.operands import broadcast, shape_of, tensor
from graphwright.ir.ops import Attrs, Inputs, Op, register
from graphwright.ir.types import TensorType, Type

Array = np.ndarray[Any, np.dtype[Any]]


def _inner(inputs: Inputs, left: Dim, right: Dim) -> None:
    if isinstance(left, int) and isinstance(right, int) and left != right:
        raise TypeError(f"{tensor(inputs)} by {tensor(inputs, 1)}: {left} is not {right}")


def _matmul(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    a, b = shape_of(inputs), shape_of(inputs, 1)
    if not a or not b:
        raise TypeError("MatMul of a scalar")
    _inner(inputs, a[-1], b[-2] if len(b) > 1 else b[0])
    lead = a[:-2]
    if len(b) > 2:
        lead = broadcast(lead, b[:-2])
    return (TensorType(tensor(inputs).dtype, (*lead, *a[-2:-1], *(b[-1:] if len(b) > 1 else ()))),)


def _matrix(inputs: Inputs, index: int) -> tuple[Dim, Dim]:
    shape = shape_of(inputs, index)
    if len(shape) != 2:
        raise TypeError(f"{tensor(inputs, index)} where a matrix was wanted")
    return shape[0], shape[1]


def _gemm(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    a, b = _matrix(inputs, 0), _matrix(inputs, 1)
    rows, left = reversed(a) if attrs["transA"] else a
    right, columns = reversed(b) if attrs["transB"] else b
    _inner(inputs, left, right)
    return (TensorType(tensor(inputs).dtype, (rows, columns)),)


def _linear(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    x, w = shape_of(inputs), _matrix(inputs, 1)
    if not x:
        raise TypeError("Linear of a scalar")
    right, columns = reversed(w) if attrs.get("transposed") else w
    _inner(inputs, x[-1], right)
    return (TensorType(tensor(inputs).dtype, (*x[:-1], columns)),)


def _gemm_numpy(
    a: Array,
    b: Array,
    c: Array | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803  ONNX's name
    transB: int = 0,  # noqa: N803  ONNX's name
) -> Array:
    y = alpha * ((a.T if transA else a) @ (b.T if transB else b))
    return np.asarray(y if c is None else y + beta * c).astype(a.dtype)


def _linear_numpy(x: Array, w: Array, b: Array | None = None, transposed: int = 0) -> Array:
    y = x @ (w.T if transposed else w)
    return np.asarray(y if b is None else y + b)


register(
    Op("MatMul", _matmul, np.matmul),
    Op("Gemm", _gemm, _gemm_numpy),
    Op("Linear", _linear, _linear_numpy, own=True),
)
