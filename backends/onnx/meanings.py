"""What operators compute that the table gives no meaning to, and that ONNX computes slowly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphwright.ir.const import Array


def _flatten(x: Array, axis: int = 1) -> Array:
    lead = int(np.prod(x.shape[: axis if axis >= 0 else axis + x.ndim], dtype=np.int64))
    return x.reshape(lead, x.size // lead if lead else 0)


def _gather_elements(x: Array, at: Array, axis: int = 0) -> Array:
    index: list[Array] = list(np.indices(at.shape, sparse=True))
    index[axis] = at
    return np.asarray(x[tuple(index)])


def _gather_nd(x: Array, at: Array, batch_dims: int = 0) -> Array:
    lead = np.indices(at.shape[:batch_dims], sparse=True)
    spread = [i.reshape(i.shape + (1,) * (at.ndim - 1 - batch_dims)) for i in lead]
    return np.asarray(x[(*spread, *np.moveaxis(at, -1, 0))])


def _scatter_nd(x: Array, at: Array, updates: Array, reduction: str = "none") -> Array:
    found, index = x.copy(), tuple(np.moveaxis(at, -1, 0))
    if reduction == "none":
        found[index] = updates
    else:
        {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[reduction].at(
            found, index, updates
        )
    return found


def _clip(
    x: Array,
    low: Array | None = None,
    high: Array | None = None,
    min: float | None = None,  # before opset 11 the limits were attributes
    max: float | None = None,
) -> Array:
    found = x
    for limit in (low, min):
        found = found if limit is None else np.maximum(found, limit)
    for limit in (high, max):
        found = found if limit is None else np.minimum(found, limit)
    return found


def _mod(a: Array, b: Array, fmod: int = 0) -> Array:
    return np.fmod(a, b) if fmod else np.mod(a, b)


def _conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    auto_pad: str = "NOTSET",
) -> Array:
    rank = x.ndim - 2
    steps, gaps = tuple(strides or (1,) * rank), tuple(dilations or (1,) * rank)
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], gaps, strict=True)]
    around = _padding(x.shape[2:], reach, steps, pads, auto_pad)
    x = np.pad(x, [(0, 0), (0, 0), *around])
    axes = tuple(range(2, x.ndim))
    windows = np.lib.stride_tricks.sliding_window_view(x, reach, axes)
    kernel = tuple(slice(None, None, gap) for gap in gaps)
    windows = windows[(slice(None),) * 2 + tuple(slice(None, None, s) for s in steps) + kernel]
    n, place = x.shape[0], windows.shape[2 : 2 + rank]
    # [N, G, C/G, *place, *kernel] by [G, M/G, C/G, *kernel], summed over C/G and the kernel
    grouped = np.moveaxis(windows.reshape(n, group, -1, *windows.shape[2:]), 2, 2 + rank)
    rows = grouped.reshape(n, group, int(np.prod(place)), -1)
    y = rows @ w.reshape(group, w.shape[0] // group, -1).swapaxes(1, 2)
    y = y.swapaxes(2, 3).reshape(n, w.shape[0], *place)
    return y if b is None else y + b.reshape(-1, *(1,) * rank)


def _padding(
    shape: Sequence[int],
    reach: Sequence[int],
    steps: Sequence[int],
    pads: Sequence[int] | None,
    auto_pad: str,
) -> list[tuple[int, int]]:
    if auto_pad in ("NOTSET", "VALID"):
        given = pads or (0,) * (2 * len(shape))
        return list(zip(given[: len(shape)], given[len(shape) :], strict=True))
    found = []
    for size, k, step in zip(shape, reach, steps, strict=True):
        whole = max(0, (-(-size // step) - 1) * step + k - size)
        less, more = whole // 2, whole - whole // 2
        found.append((less, more) if auto_pad == "SAME_UPPER" else (more, less))
    return found


def _old_softmax(x: Array, axis: int = 1) -> Array:
    """Before opset 13 all axes from `axis` on were one."""
    flat = _flatten(x, axis)
    e = np.exp(flat - flat.max(-1, keepdims=True, initial=-np.inf))
    return np.asarray(e / e.sum(-1, keepdims=True)).reshape(x.shape)


MEANINGS: dict[str, Callable[..., Any]] = {
    "Flatten": _flatten,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "ScatterND": _scatter_nd,
    "Clip": _clip,
    "Mod": _mod,
    "Conv": _conv,
    **{f"Softmax@{opset}": _old_softmax for opset in range(7, 13)},
    **{
        f"LogSoftmax@{opset}": lambda *x, **a: np.log(_old_softmax(*x, **a))
        for opset in range(7, 13)
    },
}
"""By operator, what computes its first output in NumPy."""
