"""Tensors in another shape whose sizes are read off the tensor itself, which may be empty."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import TypeAlias

from graphwright.ir.dims import Dim, Sym, at_least
from graphwright.ir.graph import Value
from graphwright.ir.ops import constant
from graphwright.ir.quotients import exact_quotient
from graphwright.ir.types import TensorType

Make: TypeAlias = Callable[..., Value]
Shape: TypeAlias = tuple[Dim, ...]


def numbers_of(have: Shape, shape: Shape) -> list[int] | None:
    """The numbers that tell a Reshape of `have` its new shape, also where a size is 0.

    0 copies a size that stands at the same place; one -1 stands for a size when all the others are
    surely 1 or more. None where numbers do not tell.
    """
    if 0 in shape:
        return None
    same = [a == b for a, b in zip(have, shape, strict=False)] + [False] * len(shape)
    copied = [isinstance(d, Sym) and c for d, c in zip(shape, same, strict=False)]
    left = [isinstance(d, Sym) and not c for d, c in zip(shape, copied, strict=True)]
    empty = any(at_least(d) < 1 for d, open_ in zip(shape, left, strict=True) if not open_)
    if sum(left) > 1 or (any(left) and empty):
        return None
    return [
        -1 if open_ else 0 if isinstance(d, Sym) else d
        for d, open_ in zip(shape, left, strict=True)
    ]


def own_sizes(make: Make, x: Value, shape: Shape) -> Value | None:
    """A list of the sizes `shape`, read off `x`; None where one is no product of those of `x`."""
    have = (x.type.shape if isinstance(x.type, TensorType) else None) or ()
    parts: list[Value] = []
    for dim in shape:
        part = constant([dim], "i64") if isinstance(dim, int) else _read(make, x, have, dim)
        if part is None:
            return None
        parts.append(part)
    return make("Concat", *parts, axis=0)


def _read(make: Make, x: Value, have: Shape, dim: Sym) -> Value | None:
    def size(axis: int) -> Value:
        return make("Shape", x, start=axis, end=axis + 1)

    if dim in have:
        return size(have.index(dim))
    for axis, known in enumerate(have):
        times, parts = exact_quotient(dim, known), exact_quotient(known, dim)
        if isinstance(times, int):
            return make("Mul", size(axis), constant([times], "i64"))
        if isinstance(parts, int):
            return make("Div", size(axis), constant([parts], "i64"))
    for (a, one), (b, other) in combinations(enumerate(have), 2):
        if dim == one * other:
            return make("Mul", size(a), size(b))
    return None
