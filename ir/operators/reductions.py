"""Operators that reduce or normalize along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphwright.ir.operators.operands import axes_of, axis_of, shape_of, tensor
from graphwright.ir.operators.pointwise import same
from graphwright.ir.ops import Attrs, Inputs, Op, register
from graphwright.ir.types import TensorType, Type

Array = np.ndarray[Any, np.dtype[Any]]


def _reduced(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    shape, keep = shape_of(inputs), attrs["keepdims"]
    gone = axes_of(attrs["axes"], len(shape)) if "axes" in attrs else tuple(range(len(shape)))
    kept = tuple(1 if i in gone else d for i, d in enumerate(shape) if keep or i not in gone)
    return (TensorType(tensor(inputs).dtype, kept),)


def _reduction(function: Callable[..., Any]) -> Callable[..., Array]:
    def compute(x: Array, axes: tuple[int, ...] | None = None, keepdims: int = 1) -> Array:
        return np.asarray(function(x, axis=axes, keepdims=bool(keepdims))).astype(x.dtype)

    return compute


def _max(x: Array, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
    return x.max(axis=axis, keepdims=keepdims, initial=_least(x.dtype))


def _min(x: Array, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
    return x.min(axis=axis, keepdims=keepdims, initial=_most(x.dtype))


def _least(dtype: np.dtype[Any]) -> Any:
    """What the largest of no elements is."""
    if dtype.kind == "b":
        return False
    return np.iinfo(dtype).min if dtype.kind in "iu" else -np.inf


def _most(dtype: np.dtype[Any]) -> Any:
    """What the smallest of no elements is."""
    if dtype.kind == "b":
        return True
    return np.iinfo(dtype).max if dtype.kind in "iu" else np.inf


def _log_sum_exp(x: Array, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
    top = _max(x, axis, True)
    top = np.where(np.isfinite(top), top, 0)
    total = np.log(np.exp(x - top).sum(axis=axis, keepdims=True)) + top
    return total if keepdims else total.squeeze(axis)


def _softmax(x: Array, axis: int) -> Array:
    e = np.exp(x - _max(x, (axis,), True))
    return np.asarray(e / e.sum(axis, keepdims=True))


def _log_softmax(x: Array, axis: int) -> Array:
    shifted = x - _max(x, (axis,), True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis, keepdims=True)))


def _on_axis(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    if tensor(inputs).shape is not None:
        axis_of(attrs["axis"], len(shape_of(inputs)))
    return same(inputs, attrs)


def _layer_norm_types(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    shape = shape_of(inputs)
    axis = axis_of(attrs["axis"], len(shape))
    stash = TensorType("f32", (*shape[:axis], *(1,) * (len(shape) - axis)))
    return (tensor(inputs), stash, stash)


def _widened(x: Array) -> Array:
    return x if x.dtype == np.float64 else x.astype(np.float32)


def _layer_norm(
    x: Array,
    scale: Array,
    bias: Array | None = None,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Array:
    axes = tuple(range(axis % x.ndim, x.ndim))
    wide = _widened(x)
    d = wide - wide.mean(axes, keepdims=True)
    y = (d / np.sqrt((d * d).mean(axes, keepdims=True) + epsilon)).astype(x.dtype) * scale
    return np.asarray(y if bias is None else y + bias)


def _rms_norm(
    x: Array, scale: Array, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Array:
    axes = tuple(range(axis % x.ndim, x.ndim))
    wide = _widened(x)
    y = wide / np.sqrt((wide * wide).mean(axes, keepdims=True) + epsilon)
    return np.asarray(y.astype(x.dtype) * scale)


def _rms_norm_types(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    return (TensorType(tensor(inputs, 1).dtype, tensor(inputs).shape),)


def _cum_sum(x: Array, axis: Array, exclusive: int = 0, reverse: int = 0) -> Array:
    at = int(axis)
    y = np.flip(x, at) if reverse else x
    total = np.cumsum(y, at, dtype=x.dtype)
    total = total - y if exclusive else total
    return np.flip(total, at) if reverse else total


REDUCTIONS: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("ReduceSum", np.sum),
    ("ReduceMean", np.mean),
    ("ReduceMax", _max),
    ("ReduceMin", _min),
    ("ReduceProd", np.prod),
    ("ReduceL1", lambda x, **k: np.abs(x).sum(**k)),
    ("ReduceL2", lambda x, **k: np.sqrt((x * x).sum(**k))),
    ("ReduceSumSquare", lambda x, **k: (x * x).sum(**k)),
    ("ReduceLogSum", lambda x, **k: np.log(x.sum(**k))),
    ("ReduceLogSumExp", _log_sum_exp),
)
"""Reductions: their names, and their meanings as functions of `axis` and `keepdims`."""

register(
    *(Op(name, _reduced, _reduction(function)) for name, function in REDUCTIONS),
    Op("Softmax", _on_axis, _softmax),
    Op("LogSoftmax", _on_axis, _log_softmax),
    Op("LayerNormalization", _layer_norm_types, _layer_norm),
    Op("RMSNormalization", _rms_norm_types, _rms_norm),
    Op("CumSum", same, _cum_sum),
)
