"""Operators that join tensors, and cut them apart."""

from __future__ import annotations

from collections.abc import Sequence

from graphwright.frontends.aten.builder import (
    Builder,
    NotRead,
    axis_of,
    ints_of,
    rank_of,
    shape_of,
    together,
)
from graphwright.frontends.aten.promotion import promoted
from graphwright.frontends.aten.readings import aten
from graphwright.ir.dims import Dim
from graphwright.ir.graph import Value


@aten("cat", "concat", "concatenate")
def cat(b: Builder, tensors: Sequence[Value], dim: int = 0) -> Value:
    """Tensors joined along an axis; those of no elements and one axis count for nothing."""
    rank = max(rank_of(x) for x in tensors)
    parts = [x for x in tensors if rank_of(x) == rank or shape_of(x) != (0,)]
    dtype = promoted(*tensors)
    axis = axis_of(parts[0], dim)
    if len(parts) == 1:
        return b.cast(parts[0], dtype)
    return b.Concat(*(b.cast(x, dtype) for x in parts), axis=_from_end(axis, rank))


def _from_end(axis: int, rank: int) -> int:
    """The last axis as -1, as exporters write it."""
    return -1 if axis == rank - 1 else axis


@aten("stack")
def stack(b: Builder, tensors: Sequence[Value], dim: int = 0) -> Value:
    """Tensors joined along a new axis."""
    axis, dtype = axis_of(tensors[0], dim, extra=1), promoted(*tensors)
    parts = [b.unsqueeze(b.cast(x, dtype), axis) for x in tensors]
    if len(parts) == 1:
        return parts[0]
    return b.Concat(*parts, axis=_from_end(axis, rank_of(parts[0])))


@aten("split.Tensor")
def split(b: Builder, x: Value, split_size: Dim, dim: int = 0) -> Sequence[Value]:
    """Parts of one size, of which the last may be smaller."""
    axis = axis_of(x, dim)
    count = len(b.results) or 1
    whole = shape_of(x)[axis]
    return b.split(x, _parts(whole, split_size, count), axis)


def _parts(whole: Dim, each: Dim, count: int) -> list[Dim]:
    if isinstance(whole, int) and isinstance(each, int):
        count = -(-whole // each) if each else 1
    return [*(each for _ in range(count - 1)), whole - each * (count - 1)]


@aten("split_with_sizes", "split.sizes", "split_with_sizes_copy")
def split_with_sizes(
    b: Builder, x: Value, split_sizes: Sequence[Dim], dim: int = 0
) -> Sequence[Value]:
    """Parts of given sizes."""
    return b.split(x, split_sizes, axis_of(x, dim))


@aten("chunk")
def chunk(b: Builder, x: Value, chunks: int, dim: int = 0) -> Sequence[Value]:
    """So many parts at most, of one size but the last."""
    axis = axis_of(x, dim)
    whole = shape_of(x)[axis]
    each = (whole + (chunks - 1)) // chunks
    return b.split(x, _parts(whole, each, len(b.results) or chunks), axis)


@aten("tensor_split.sections")
def tensor_split(b: Builder, x: Value, sections: int, dim: int = 0) -> Sequence[Value]:
    """So many parts, the first of them one longer where they cannot be equal."""
    axis = axis_of(x, dim)
    (whole,) = ints_of(shape_of(x)[axis : axis + 1])
    each, more = divmod(whole, sections)
    return b.split(x, [each + (i < more) for i in range(sections)], axis)


@aten("unbind.int", "unbind_copy.int")
def unbind(b: Builder, x: Value, dim: int = 0) -> Sequence[Value]:
    """The slices of an axis, without it."""
    axis = axis_of(x, dim)
    (count,) = ints_of(shape_of(x)[axis : axis + 1])
    parts = b.split(x, (1,) * count, axis)
    return [b.Squeeze(part, axes=(axis,)) for part in parts]


@aten("meshgrid", "meshgrid.indexing")
def meshgrid(b: Builder, tensors: Sequence[Value], indexing: str = "ij") -> Sequence[Value]:
    """Vectors repeated along the axes of one another."""
    if indexing != "ij":
        raise NotRead(f"the indexing '{indexing}' is not read")
    dims = [shape_of(x)[0] if rank_of(x) else 1 for x in tensors]
    laid = [
        b.reshape(x, tuple(n if i == at else 1 for i, n in enumerate(dims)))
        for at, x in enumerate(tensors)
    ]
    return [b.expand(x, dims) for x in laid]


@aten("broadcast_tensors")
def broadcast_tensors(b: Builder, tensors: Sequence[Value]) -> Sequence[Value]:
    """Tensors repeated to the shape that all have together."""
    dims = together(*tensors)
    return [b.expand(x, dims) for x in tensors]
