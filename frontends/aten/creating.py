"""Operators that make tensors out of numbers and sizes, and that change element types."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from graphwright.frontends.aten.builder import (
    SMALL,
    Builder,
    Number,
    Operand,
    axis_of,
    dtype_of,
    ints_of,
    rank_of,
    shape_of,
)
from graphwright.frontends.aten.readings import aten
from graphwright.ir.dims import Dim, Sym
from graphwright.ir.graph import Value
from graphwright.ir.types import TensorType

Ignored = object  # layouts, devices and memory formats


@aten("full")
def full(b: Builder, size: Sequence[Dim], fill_value: Operand, *_: Ignored, **__: Ignored) -> Value:
    """A tensor that holds one number everywhere."""
    return b.filled(size, fill_value, b.dtype)


@aten("new_full")
def new_full(
    b: Builder, x: Value, size: Sequence[Dim], fill_value: Operand, *_: Ignored, **__: Ignored
) -> Value:
    """A tensor that holds one number everywhere, of the element type of x if no other is named."""
    return b.filled(size, fill_value, b.dtype)


@aten("full_like")
def full_like(b: Builder, x: Value, fill_value: Operand, *_: Ignored, **__: Ignored) -> Value:
    """A tensor of the shape of x that holds one number everywhere."""
    return b.filled(shape_of(x), fill_value, b.dtype)


@aten("fill.Scalar", "fill.Tensor")
def fill(b: Builder, x: Value, value: Operand) -> Value:
    """A tensor of the shape of x that holds one number everywhere."""
    return b.filled(shape_of(x), value, b.dtype)


def _like(number: int) -> Callable[..., Value]:
    def reading(b: Builder, x: Value, *_: Ignored, **__: Ignored) -> Value:
        return b.filled(shape_of(x), number, b.dtype)

    return reading


def _sized(number: int) -> Callable[..., Value]:
    def reading(b: Builder, size: Sequence[Dim], *_: Ignored, **__: Ignored) -> Value:
        return b.filled(size, number, b.dtype)

    return reading


def _new(number: int) -> Callable[..., Value]:
    def reading(b: Builder, x: Value, size: Sequence[Dim], *_: Ignored, **__: Ignored) -> Value:
        return b.filled(size, number, b.dtype)

    return reading


aten("zeros_like", "empty_like", "zero")(_like(0))
aten("ones_like")(_like(1))
aten("zeros", "empty.memory_format")(_sized(0))
aten("ones")(_sized(1))
aten("new_zeros", "new_empty")(_new(0))
aten("new_ones")(_new(1))


@aten("scalar_tensor")
def scalar_tensor(b: Builder, x: Number, *_: Ignored, **__: Ignored) -> Value:
    """A number as a tensor."""
    return b.tensor(x, b.dtype)


@aten("arange")
def arange(b: Builder, end: Number, *_: Ignored, **__: Ignored) -> Value:
    """0, 1, 2, ... below the end."""
    return _range(b, 0, end, 1)


@aten("arange.start")
def arange_from(b: Builder, start: Number, end: Number, *_: Ignored, **__: Ignored) -> Value:
    """The start and what follows in steps of 1, below the end."""
    return _range(b, start, end, 1)


@aten("arange.start_step")
def arange_steps(
    b: Builder, start: Number, end: Number, step: Number = 1, *_: Ignored, **__: Ignored
) -> Value:
    """The start and what follows in steps, before the end."""
    return _range(b, start, end, step)


def _range(b: Builder, start: Number, end: Number, step: Number) -> Value:
    bounds, dtype = (start, end, step), b.dtype
    if isinstance(start, Sym) or isinstance(end, Sym) or isinstance(step, Sym):
        # In integers, so that how many there are is known.
        return b.cast(b.Range(*(b.tensor(n, "i64") for n in bounds)), dtype)
    count = max(0, math.ceil((end - start) / step))
    if count <= SMALL:
        return b.constant(start + step * np.arange(count), dtype)
    given = [b.tensor(n, dtype) for n in bounds]
    return b.call("Range", *given, types=(TensorType(dtype, (count,)),))


@aten("linspace")
def linspace(b: Builder, start: float, end: float, steps: int, *_: Ignored, **__: Ignored) -> Value:
    """So many numbers at equal distances."""
    return b.constant(np.linspace(start, end, steps), b.dtype)


@aten("eye", "eye.m")
def eye(b: Builder, n: int, m: object = None, *_: Ignored, **__: Ignored) -> Value:
    """1 on the diagonal, and 0 elsewhere."""
    return b.constant(np.eye(n, m if isinstance(m, int) else n), b.dtype)


def _triangle(upper: int) -> Callable[[Builder, Value, int], Value]:
    def reading(b: Builder, x: Value, diagonal: int = 0) -> Value:
        dtype = dtype_of(x)
        given = b.cast(x, "i64") if dtype in ("bool", "i32") else x  # what runtimes have
        return b.cast(b.Trilu(given, b.constant(diagonal, "i64"), upper=upper), dtype)

    return reading


aten("triu")(_triangle(1))
aten("tril")(_triangle(0))


@aten(
    *("_to_copy", "to.dtype", "to.dtype_layout", "to.device", "type_as", "to.other"),
    *("to.prim_Device", "prims.convert_element_type.default"),
)
def cast(b: Builder, x: Value, *_: Ignored, **__: Ignored) -> Value:
    """X with other elements."""
    return b.cast(x, b.dtype)


@aten("copy")
def copy(b: Builder, x: Value, src: Value, non_blocking: bool = False) -> Value:
    """Another tensor, with the shape and the element type of x."""
    return b.expand(b.cast(src, dtype_of(x)), shape_of(x))


@aten("diagonal", "diagonal_copy")
def diagonal(b: Builder, x: Value, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Value:
    """What stands on a diagonal of two axes, as a last axis."""
    one, other = axis_of(x, dim1), axis_of(x, dim2)
    rows, columns = ints_of([shape_of(x)[one], shape_of(x)[other]])
    at = [(i, i + offset) for i in range(rows) if 0 <= i + offset < columns]
    others = [a for a in range(rank_of(x)) if a not in (one, other)]
    y = b.call("GatherND", b.transpose(x, [one, other, *others]), b.constant(at, "i64"))
    return b.transpose(y, [*range(1, rank_of(y)), 0])
