"""Rotary position embedding: pairs of channels turned by the angle of their position."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphwright.ir.operators.operands import broadcast, shape_of, tensor
from graphwright.ir.ops import Attrs, Inputs, NotTyped, Op, register
from graphwright.ir.types import TensorType, Type

Array = np.ndarray[Any, np.dtype[Any]]


def _rotary(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    shape, width = shape_of(inputs), attrs["width"]
    if not isinstance(width, int) or not shape or not isinstance(shape[-1], int):
        raise NotTyped
    if attrs["interleaved"] not in (0, 1) or width <= 0 or width % 2 or width > shape[-1]:
        raise TypeError(f"{width} channels of {tensor(inputs)} cannot be turned in pairs")
    cos, sin = shape_of(inputs, 1), shape_of(inputs, 2)
    if cos[-1:] != sin[-1:]:
        raise TypeError(f"{tensor(inputs, 1)} and {tensor(inputs, 2)} differ in width")
    for index, table in ((1, cos), (2, sin)):
        fits = bool(table) and len(table) <= len(shape) and table[-1] in (width, width // 2)
        if not fits or broadcast(shape[:-1], table[:-1]) != shape[:-1]:
            raise TypeError(f"{tensor(inputs, index)} does not turn {width} of {tensor(inputs)}")
    return (tensor(inputs),)


def _rotary_numpy(x: Array, cos: Array, sin: Array, interleaved: int, width: int) -> Array:
    """Of each pair (a, b): a cos - b sin, and b cos + a sin.

    The pairs are neighbours if interleaved, else channel i and i + width / 2. The tables have a
    number for each channel, or for each pair; channels from `width` on stay.
    """
    half = width // 2
    first = slice(0, width, 2) if interleaved else slice(0, half)
    second = slice(1, width, 2) if interleaved else slice(half, width)
    (cos_a, cos_b), (sin_a, sin_b) = (
        (t, t) if t.shape[-1] == half else (t[..., first], t[..., second]) for t in (cos, sin)
    )
    a, b = x[..., first], x[..., second]
    y = x.copy()
    y[..., first] = a * cos_a - b * sin_a
    y[..., second] = b * cos_b + a * sin_b
    return y


def _rows(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    """The type of com.microsoft::RotaryEmbedding's result."""
    table = shape_of(inputs, 2)
    if len(table) != 2 or len(shape_of(inputs)) not in (3, 4):
        raise TypeError(f"{tensor(inputs, 2)} is no table for {tensor(inputs)}")
    return (TensorType(tensor(inputs).dtype, shape_of(inputs)),)


def _rows_numpy(
    x: Array,
    positions: Array,
    cos: Array,
    sin: Array,
    interleaved: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
) -> Array:
    """Rows of the tables, picked by position; one position is that of the first token of all."""
    given = x.shape
    if x.ndim == 3:
        x = x.reshape(*given[:2], num_heads or given[2] // (2 * cos.shape[-1]), -1).swapaxes(1, 2)
    if positions.size == 1:
        positions = positions.reshape(1, 1) + np.arange(x.shape[2])
    width = rotary_embedding_dim or x.shape[-1]
    cos, sin = cos[positions][:, None], sin[positions][:, None]
    y = _rotary_numpy(x, cos, sin, interleaved, width)
    return y if len(given) == 4 else y.swapaxes(1, 2).reshape(given)


register(
    Op("RotaryEmbedding", _rotary, _rotary_numpy, own=True),
    Op("com.microsoft::RotaryEmbedding", _rows, _rows_numpy),
)
