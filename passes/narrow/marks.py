"""Numbers written on the elements along one axis, followed through what lays tensors out anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from graphwright.ir.dims import Dim

Numbers = np.ndarray[Any, np.dtype[np.int64]]


class Marks(NamedTuple):
    """A number for each element along `axis` of a tensor."""

    axis: int
    numbers: Numbers


def regrouped(marks: Marks, have: Sequence[Dim], want: Sequence[Dim]) -> Marks | None:
    """Marks on a tensor of the shape `have` as those on its elements in the shape `want`.

    None where they would not be along one axis, or where that cannot be told of the sizes.
    """
    groups = _group(marks.axis, have, want)
    if groups is None:
        return None
    (first, dims), (start, others) = groups
    shape = [1] * len(dims)
    shape[marks.axis - first] = -1
    flat = np.broadcast_to(marks.numbers.reshape(shape), dims)
    found = flat.reshape(others)
    for at, size in enumerate(others):
        along = np.moveaxis(found, at, 0).reshape(size, -1)[:, 0]
        alike = np.array_equal(found, np.broadcast_to(_upright(along, at, len(others)), others))
        if alike and (len(np.unique(along)) > 1 or len(np.unique(marks.numbers)) == 1):
            return Marks(start + at, along)
    return None


def _upright(along: Numbers, at: int, rank: int) -> Numbers:
    return along.reshape([-1 if i == at else 1 for i in range(rank)])


Group = tuple[int, list[int]]


def _group(axis: int, have: Sequence[Dim], want: Sequence[Dim]) -> tuple[Group, Group] | None:
    """The axes of both shapes that hold the same elements, as few as can be: the first, and sizes.

    None where a size among them is no number.
    """
    before, after = _products(have), _products(want)
    starts = [i for i in range(axis + 1) if before[i] in after]
    ends = [i for i in range(axis + 1, len(before)) if before[i] in after]
    if not starts or not ends:
        return None
    first, last = starts[-1], ends[0]
    start = after.index(before[first])
    end = len(after) - 1 - after[::-1].index(before[last])
    dims, others = have[first:last], want[start:end]
    numbers, sizes = ([d for d in each if isinstance(d, int)] for each in (dims, others))
    if len(numbers) < len(dims) or len(sizes) < len(others) or start >= end:
        return None
    return ((first, numbers), (start, sizes)) if _same(numbers, sizes) else None


def _same(numbers: Sequence[int], sizes: Sequence[int]) -> bool:
    return int(np.prod(numbers, dtype=np.int64)) == int(np.prod(sizes, dtype=np.int64))


def _products(shape: Sequence[Dim]) -> list[Dim]:
    """How many elements the axes before each one hold together, and all of them."""
    found: list[Dim] = [1]
    for dim in shape:
        found.append(found[-1] * dim)
    return found
