"""Operators that give the same elements in another shape or order, or repeated."""

from __future__ import annotations

from collections.abc import Sequence

from graphwright.frontends.aten.builder import (
    Builder,
    axis_of,
    ints_of,
    rank_of,
    shape_of,
)
from graphwright.frontends.aten.readings import aten
from graphwright.ir.dims import Dim, product
from graphwright.ir.graph import Value


@aten(
    *("alias", "detach", "detach_", "clone", "contiguous", "lift_fresh_copy", "lift_fresh"),
    *("lift", "positive", "resolve_conj", "resolve_neg", "_conj_physical"),
)
def same(b: Builder, x: Value, *, memory_format: object = None) -> Value:
    """X as it is."""
    return x


@aten("view", "reshape", "_unsafe_view", "view_copy", "_reshape_alias")
def reshape(b: Builder, x: Value, shape: Sequence[Dim], *strides: object) -> Value:
    """X in another shape."""
    return b.reshape(x, tuple(shape))


@aten("view_as", "reshape_as")
def reshape_as(b: Builder, x: Value, other: Value) -> Value:
    """X in the shape of another tensor."""
    return b.reshape(x, shape_of(other))


@aten("flatten.using_ints")
def flatten(b: Builder, x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    """X with some neighbouring axes made one."""
    if not rank_of(x):
        return b.reshape(x, (1,))
    start, end, dims = axis_of(x, start_dim), axis_of(x, end_dim), shape_of(x)
    return b.reshape(x, (*dims[:start], product(dims[start : end + 1]), *dims[end + 1 :]))


@aten("unflatten.int")
def unflatten(b: Builder, x: Value, dim: int, sizes: Sequence[Dim]) -> Value:
    """X with one axis made several."""
    axis, dims = axis_of(x, dim), shape_of(x)
    known = product(n for n in sizes if n != -1)
    parts = [dims[axis] // known if n == -1 else n for n in sizes]
    return b.reshape(x, (*dims[:axis], *parts, *dims[axis + 1 :]))


@aten("ravel")
def ravel(b: Builder, x: Value) -> Value:
    """The elements of x in one row."""
    return flatten(b, x)


@aten("permute", "permute_copy")
def permute(b: Builder, x: Value, dims: Sequence[int]) -> Value:
    """X with its axes in another order."""
    return b.transpose(x, [axis_of(x, d) for d in dims])


@aten("transpose.int", "transpose_copy.int", "swapaxes", "swapdims")
def transpose(b: Builder, x: Value, dim0: int, dim1: int) -> Value:
    """X with two axes swapped."""
    perm = list(range(rank_of(x)))
    if perm:
        one, other = axis_of(x, dim0), axis_of(x, dim1)
        perm[one], perm[other] = perm[other], perm[one]
    return b.transpose(x, perm)


@aten("t", "t_copy", "mT", "adjoint")
def swapped(b: Builder, x: Value) -> Value:
    """X with its last two axes swapped."""
    return transpose(b, x, -2, -1) if rank_of(x) > 1 else x


@aten("movedim.int", "moveaxis.int")
def movedim(b: Builder, x: Value, source: int, destination: int) -> Value:
    """X with one axis moved."""
    return movedims(b, x, [source], [destination])


@aten("movedim.intlist", "moveaxis.intlist")
def movedims(b: Builder, x: Value, source: Sequence[int], destination: Sequence[int]) -> Value:
    """X with some axes moved, the others in their order."""
    where = {axis_of(x, d): axis_of(x, s) for s, d in zip(source, destination, strict=True)}
    others = iter([a for a in range(rank_of(x)) if a not in where.values()])
    return b.transpose(x, [where[a] if a in where else next(others) for a in range(rank_of(x))])


@aten("unsqueeze", "unsqueeze_copy")
def unsqueeze(b: Builder, x: Value, dim: int) -> Value:
    """X with an axis of size 1 put in."""
    return b.unsqueeze(x, axis_of(x, dim, extra=1))


@aten("squeeze", "squeeze.dim", "squeeze.dims", "squeeze_copy.dim", "squeeze_copy.dims")
def squeeze(b: Builder, x: Value, dim: int | Sequence[int] | None = None) -> Value:
    """X without axes of size 1."""
    dims = shape_of(x)
    named = range(len(dims)) if dim is None else [dim] if isinstance(dim, int) else dim
    gone = tuple(a for a in sorted({axis_of(x, d) for d in named}) if dims and dims[a] == 1)
    return b.Squeeze(x, axes=gone) if gone else x


@aten("expand", "expand_copy", "broadcast_to")
def expand(b: Builder, x: Value, size: Sequence[Dim], implicit: bool = False) -> Value:
    """X repeated along axes of size 1 and along new ones; -1 keeps a size."""
    have = (*(1,) * (len(size) - rank_of(x)), *shape_of(x))
    return b.expand(x, [h if n == -1 else n for h, n in zip(have, size, strict=True)])


@aten("expand_as")
def expand_as(b: Builder, x: Value, other: Value) -> Value:
    """X repeated to the shape of another tensor."""
    return b.expand(x, shape_of(other))


@aten("repeat", "tile")
def repeat(b: Builder, x: Value, repeats: Sequence[Dim]) -> Value:
    """X set beside itself along its axes and along new ones."""
    times = (*(1,) * (rank_of(x) - len(repeats)), *repeats)
    y = b.unsqueeze(x, *range(len(times) - rank_of(x)))
    return y if all(n == 1 for n in times) else b.Tile(y, b.sizes(times))


@aten("repeat_interleave.self_int")
def repeat_interleave(
    b: Builder, x: Value, repeats: Dim, dim: int | None = None, output_size: Dim | None = None
) -> Value:
    """Each element of an axis repeated beside itself."""
    if dim is None:
        x, dim = ravel(b, x), 0
    axis, dims = axis_of(x, dim), shape_of(x)
    wide = (*dims[: axis + 1], repeats, *dims[axis + 1 :])
    y = b.expand(b.unsqueeze(x, axis + 1), wide)
    return b.reshape(y, (*dims[:axis], dims[axis] * repeats, *dims[axis + 1 :]))


@aten("flip")
def flip(b: Builder, x: Value, dims: Sequence[int]) -> Value:
    """X with the order along some axes turned."""
    for dim in dims:
        x = b.slice(x, axis_of(x, dim), -1, -(2**31) + 1, -1)
    return x


@aten("roll")
def roll(b: Builder, x: Value, shifts: Sequence[Dim], dims: Sequence[int] = ()) -> Value:
    """X moved along axes, what leaves at one end coming in at the other."""
    given = x
    if not dims:
        x, dims = ravel(b, x), (0,)
    for shift, dim in zip(shifts, dims, strict=True):
        axis = axis_of(x, dim)
        if shift:
            parts = (b.slice(x, axis, -shift, 2**31 - 1), b.slice(x, axis, 0, -shift))
            x = b.Concat(*parts, axis=axis)
    return b.reshape(x, shape_of(given))


@aten("pixel_shuffle")
def pixel_shuffle(b: Builder, x: Value, upscale_factor: int) -> Value:
    """Channels dealt out into squares of pixels."""
    *lead, channels, height, width = shape_of(x)
    r, at = upscale_factor, len(lead)
    parts = b.reshape(x, (*lead, channels // (r * r), r, r, height, width))
    perm = (*range(at), at, at + 3, at + 1, at + 4, at + 2)
    return b.reshape(b.transpose(parts, perm), (*lead, channels // (r * r), height * r, width * r))


@aten("unfold")
def unfold(b: Builder, x: Value, dimension: int, size: int, step: int) -> Value:
    """Windows of an axis as a new last axis."""
    axis = axis_of(x, dimension)
    (length,) = ints_of(shape_of(x)[axis : axis + 1])
    starts = range(0, length - size + 1, step)
    index = b.constant([[s + i for i in range(size)] for s in starts], "i64")
    y = b.Gather(x, index, axis=axis)
    perm = [a for a in range(rank_of(y)) if a != axis + 1]
    return b.transpose(y, [*perm, axis + 1])
