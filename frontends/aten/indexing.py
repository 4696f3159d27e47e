"""Operators that pick elements out of tensors, or put them in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphwright.frontends.aten.builder import (
    Builder,
    NotRead,
    Operand,
    axis_of,
    dtype_of,
    rank_of,
    shape_of,
    together,
)
from graphwright.frontends.aten.readings import aten
from graphwright.ir.dims import Dim
from graphwright.ir.graph import Value

END = 2**31 - 1
Picks = Sequence["Value | None"]


@aten("slice.Tensor", "slice_copy.Tensor")
def slice_(
    b: Builder,
    x: Value,
    dim: int = 0,
    start: Dim | None = None,
    end: Dim | None = None,
    step: int = 1,
) -> Value:
    """A part of one axis."""
    axis = axis_of(x, dim)
    first, last = _bound(start, 0), _bound(end, END)
    if first == 0 and step == 1 and (last == END or last == shape_of(x)[axis]):
        return x
    return b.slice(x, axis, first, last, step)


def _bound(at: Dim | None, default: int) -> Dim:
    """A bound of a slice; numbers that stand for the end are as exporters write it."""
    if at is None:
        return default
    return min(at, END) if isinstance(at, int) else at


@aten("narrow", "narrow_copy")
def narrow(b: Builder, x: Value, dim: int, start: Dim, length: Dim) -> Value:
    """So many elements of one axis from a start on."""
    return b.slice(x, axis_of(x, dim), start, start + length)


@aten("select.int", "select_copy.int")
def select(b: Builder, x: Value, dim: int, index: Dim | Value) -> Value:
    """One element of an axis, without it."""
    at = index if isinstance(index, Value) else b.size(index)
    return b.Gather(x, at, axis=axis_of(x, dim))


@aten("index_select")
def index_select(b: Builder, x: Value, dim: int, index: Value) -> Value:
    """Some elements of an axis."""
    flat = b.reshape(index, (1,)) if not rank_of(index) else index
    return b.Gather(x, flat, axis=axis_of(x, dim))


@aten("embedding")
def embedding(
    b: Builder,
    weight: Value,
    indices: Value,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Value:
    """The rows of a table that the indices name."""
    return b.Gather(weight, indices, axis=0)


@aten("gather")
def gather(b: Builder, x: Value, dim: int, index: Value, sparse_grad: bool = False) -> Value:
    """One element along an axis for each that the index has."""
    return b.GatherElements(x, b.cast(index, "i64"), axis=axis_of(x, dim))


def picked(indices: Picks) -> tuple[list[int], list[Value]]:
    """The axes that are indexed, and by what."""
    axes = [i for i, at in enumerate(indices) if at is not None]
    return axes, [at for at in indices if at is not None]


@aten("index.Tensor", "_unsafe_index.Tensor")
def index(b: Builder, x: Value, indices: Picks) -> Value:
    """Elements by indices of some axes, which broadcast; None keeps an axis whole.

    Their axes stand where the first of them stood if they were neighbours, and first otherwise.
    """
    axes, picks = picked(indices)
    if any(dtype_of(at) == "bool" for at in picks):
        raise NotRead("it picks by a mask, so that its size depends on data")
    if len(picks) == 1:
        return b.Gather(x, picks[0], axis=axes[0])
    rank = rank_of(x)
    others = [a for a in range(rank) if a not in axes]
    y = b.call("GatherND", b.transpose(x, [*axes, *others]), _tuples(b, picks))
    if axes != list(range(axes[0], axes[-1] + 1)) or not axes[0]:
        return y
    new = rank_of(y) - len(others)
    before = range(new, new + axes[0])
    return b.transpose(y, [*before, *range(new), *range(new + axes[0], rank_of(y))])


def _tuples(b: Builder, picks: Sequence[Value]) -> Value:
    """Indices of several axes as tuples, along a last axis."""
    dims = together(*picks)
    parts = [b.unsqueeze(b.expand(b.cast(p, "i64"), dims), len(dims)) for p in picks]
    return b.Concat(*parts, axis=-1)


@aten("index_put", "_unsafe_index_put")
def index_put(
    b: Builder,
    x: Value,
    indices: Picks,
    values: Value,
    accumulate: bool = False,
    unsafe: bool = False,
) -> Value:
    """X with elements put in by indices of some axes."""
    axes, picks = picked(indices)
    if any(dtype_of(at) == "bool" for at in picks):
        return _put_by_mask(b, x, axes, picks, values, accumulate)
    others = [a for a in range(rank_of(x)) if a not in axes]
    perm = [*axes, *others]
    if axes != list(range(len(axes))) and any(dim != 1 for dim in shape_of(values)):
        raise NotRead("it puts other than one number behind axes that are kept whole")
    tuples = _tuples(b, picks)
    rest = tuple([shape_of(x)[a] for a in others])
    updates = b.expand(b.cast(values, dtype_of(x)), (*shape_of(tuples)[:-1], *rest))
    attrs: dict[str, Any] = {"reduction": "add"} if accumulate else {}
    y = b.call("ScatterND", b.transpose(x, perm), tuples, updates, **attrs)
    return b.transpose(y, [perm.index(a) for a in range(len(perm))])


def _put_by_mask(
    b: Builder, x: Value, axes: list[int], picks: list[Value], values: Value, accumulate: bool
) -> Value:
    if len(picks) > 1 or axes != [0] or accumulate or any(d != 1 for d in shape_of(values)):
        raise NotRead("it puts more than one number where a mask holds")
    mask = picks[0]
    mask = b.unsqueeze(mask, *range(rank_of(mask), rank_of(x)))
    number = b.reshape(b.cast(values, dtype_of(x)), ())
    return b.Where(mask, number, x)


@aten("scatter.src", "scatter.value")
def scatter(b: Builder, x: Value, dim: int, index: Value, src: Operand) -> Value:
    """X with one element put in along an axis for each that the index has."""
    return _scattered(b, x, dim, index, src, "none")


@aten("scatter_add")
def scatter_add(b: Builder, x: Value, dim: int, index: Value, src: Value) -> Value:
    """X with one element added along an axis for each that the index has."""
    return _scattered(b, x, dim, index, src, "add")


@aten("scatter_reduce.two")
def scatter_reduce(
    b: Builder,
    x: Value,
    dim: int,
    index: Value,
    src: Value,
    reduce: str,
    include_self: bool = True,
) -> Value:
    """X with elements reduced into it along an axis."""
    kinds = {"sum": "add", "prod": "mul", "amax": "max", "amin": "min"}
    if reduce not in kinds or not include_self:
        raise NotRead(f"the reduction '{reduce}' is not read")
    return _scattered(b, x, dim, index, src, kinds[reduce])


def _scattered(b: Builder, x: Value, dim: int, index: Value, src: Operand, reduction: str) -> Value:
    dims, have = shape_of(index), b.tensor(src, dtype_of(x))
    if not isinstance(src, Value):
        have = b.filled(dims, src, dtype_of(x))
    elif shape_of(have) != dims:  # of a larger one, as much as there are indices counts
        for axis, n in enumerate(dims):
            if n != shape_of(have)[axis]:
                have = b.slice(have, axis, 0, n)
    attrs: dict[str, Any] = {} if reduction == "none" else {"reduction": reduction}
    return b.call("ScatterElements", x, b.cast(index, "i64"), have, axis=axis_of(x, dim), **attrs)


@aten("slice_scatter")
def slice_scatter(
    b: Builder,
    x: Value,
    src: Value,
    dim: int = 0,
    start: Dim | None = None,
    end: Dim | None = None,
    step: int = 1,
) -> Value:
    """X with a part of one axis taken from another tensor."""
    axis = axis_of(x, dim)
    size, length = shape_of(x)[axis], shape_of(src)[axis]
    first = _from_front(start, 0, size)
    if step == 1:
        parts = [b.slice(x, axis, 0, first), src, b.slice(x, axis, first + length, END)]
        if first == 0:
            parts = parts[1:]
        if first + length == size:
            parts = parts[:-1]
        return parts[0] if len(parts) == 1 else b.Concat(*parts, axis=axis)
    if not isinstance(first, int) or not isinstance(length, int):
        raise NotRead("where it puts elements is known only when the model runs")
    at = b.constant([first + step * i for i in range(length)], "i64")
    perm = [axis, *(a for a in range(rank_of(x)) if a != axis)]
    y = b.call("ScatterND", b.transpose(x, perm), b.unsqueeze(at, 1), b.transpose(src, perm))
    return b.transpose(y, [perm.index(a) for a in range(len(perm))])


def _from_front(at: Dim | None, default: int, size: Dim) -> Dim:
    if at is None:
        return default
    return size + at if isinstance(at, int) and at < 0 else at


@aten("select_scatter")
def select_scatter(b: Builder, x: Value, src: Value, dim: int, index: Dim) -> Value:
    """X with one element of an axis taken from another tensor."""
    axis = axis_of(x, dim)
    first = _from_front(index, 0, shape_of(x)[axis])
    return slice_scatter(b, x, b.unsqueeze(src, axis), axis, first, first + 1)


@aten("index_copy", "index_fill.int_Scalar")
def index_copy(b: Builder, x: Value, dim: int, index: Value, source: Operand) -> Value:
    """X with some elements of an axis taken from another tensor, or made one number."""
    axis = axis_of(x, dim)
    dims = list(shape_of(x))
    dims[axis] = shape_of(index)[0]
    have = source if isinstance(source, Value) else b.filled(dims, source, dtype_of(x))
    perm = [axis, *(a for a in range(rank_of(x)) if a != axis)]
    y = b.call(
        "ScatterND",
        b.transpose(x, perm),
        b.unsqueeze(index, 1),
        b.transpose(have, perm),
    )
    return b.transpose(y, [perm.index(a) for a in range(len(perm))])


@aten("one_hot")
def one_hot(b: Builder, x: Value, num_classes: Dim = -1) -> Value:
    """1 at each index, and 0 elsewhere, along a new last axis."""
    if num_classes == -1:
        raise NotRead("how many classes there are depends on data")
    zero, one = b.constant(0, "i64"), b.constant(1, "i64")
    classes = b.Range(zero, b.size(num_classes), one)
    return b.cast(b.Equal(b.unsqueeze(x, rank_of(x)), classes), "i64")
