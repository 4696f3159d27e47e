"""Operators that cut tensors, join them, and pick elements out."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphwright.ir.dims import Dim, Least, Sym, at_least, least, only_atom
from graphwright.ir.graph import Contents
from graphwright.ir.operators.operands import axis_of, ints, known, shape_of, tensor
from graphwright.ir.ops import MAX_CONTENTS, Attrs, Inputs, NotTyped, Op, contents_of, register
from graphwright.ir.types import TensorType, Type

Array = np.ndarray[Any, np.dtype[Any]]
END = 2**31 - 1  # what exporters write for "to the end", or more


def _concat(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    first = shape_of(inputs)
    axis = axis_of(attrs["axis"], len(first))
    dims = list(first)
    for index in range(1, len(inputs)):
        shape = shape_of(inputs, index)
        if len(shape) != len(dims):
            raise TypeError(f"{tensor(inputs)} and {tensor(inputs, index)} cannot be joined")
        for i, (have, size) in enumerate(zip(dims, shape, strict=True)):
            if i == axis:
                dims[i] = have + size
            elif isinstance(size, int):
                if isinstance(have, int) and have != size:
                    raise TypeError(
                        f"{tensor(inputs)} and {tensor(inputs, index)} cannot be joined"
                    )
                dims[i] = size
    return (TensorType(tensor(inputs).dtype, tuple(dims)),)


def _concat_contents(inputs: Inputs, attrs: Attrs) -> Contents | None:
    dims: list[Dim] = []
    for value in inputs:
        part = contents_of(value)
        if not isinstance(part, tuple) or len(dims) + len(part) > MAX_CONTENTS:
            return None
        dims += part
    return tuple(dims)


def _split(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    shape, sizes, dtype = shape_of(inputs), ints(attrs["split"]), tensor(inputs).dtype
    axis = axis_of(attrs["axis"], len(shape))
    if isinstance(shape[axis], int) and sum(sizes) != shape[axis]:
        raise TypeError(f"{tensor(inputs)} cannot be split into {sizes} along axis {axis}")
    return tuple([TensorType(dtype, (*shape[:axis], n, *shape[axis + 1 :])) for n in sizes])


def _split_numpy(x: Array, split: tuple[int, ...], axis: int) -> tuple[Array, ...]:
    return tuple(np.split(x, np.cumsum(split)[:-1], axis))


def _split_contents(inputs: Inputs, attrs: Attrs) -> Contents | None:
    found = contents_of(inputs[0])
    return found[: ints(attrs["split"])[0]] if isinstance(found, tuple) else None


def _gather(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    shape, at = shape_of(inputs), shape_of(inputs, 1)
    axis = axis_of(attrs["axis"], len(shape))
    return (TensorType(tensor(inputs).dtype, (*shape[:axis], *at, *shape[axis + 1 :])),)


def _gather_contents(inputs: Inputs, attrs: Attrs) -> Contents | None:
    data, at = contents_of(inputs[0]), contents_of(inputs[1])
    if not isinstance(data, tuple) or at is None:
        return None
    found: list[Dim] = []
    for pick in at if isinstance(at, tuple) else (at,):
        if not isinstance(pick, int) or not -len(data) <= pick < len(data):
            return None
        found.append(data[pick])
    return tuple(found) if isinstance(at, tuple) else found[0]


def _picked(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    return (TensorType(tensor(inputs).dtype, shape_of(inputs, 1)),)


def _pick_numpy(x: Array, at: Array, axis: int) -> Array:
    index: list[Array] = list(np.indices(at.shape, sparse=True))
    index[axis] = at
    return np.asarray(x[tuple(index)])


Cut = tuple[int, Dim, Dim, int]  # axis, start, end, step


def _cuts(inputs: Inputs, rank: int) -> list[Cut]:
    starts, ends = known(contents_of(inputs[1])), known(contents_of(inputs[2]))
    axes: tuple[Dim, ...] = tuple(range(len(starts)))
    steps: tuple[Dim, ...] = (1,) * len(starts)
    if len(inputs) > 3 and inputs[3] is not None:
        axes = known(contents_of(inputs[3]))
    if len(inputs) > 4 and inputs[4] is not None:
        steps = known(contents_of(inputs[4]))
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise TypeError("the starts, ends, axes and steps of a Slice are not equally many")
    found: list[Cut] = []
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if not isinstance(step, int) or step == 0:
            raise NotTyped
        found.append((axis_of(axis if isinstance(axis, int) else None, rank), start, end, step))
    return found


def _bound(at: Dim, size: Dim) -> Dim:
    """Where a slice's bound falls in an axis of `size`, in steps of one; NotTyped if unsure."""
    if isinstance(at, int) and isinstance(size, int):
        return max(0, min(size, at + size if at < 0 else at))
    if at == size or (isinstance(at, int) and at >= END):
        return size
    if at == 0 or (isinstance(at, int) and at <= -END):
        return 0
    if isinstance(at, int) and isinstance(size, Sym):
        if at > 0:
            return least(size, at)
        if isinstance(from_end := size + at, Sym) and from_end.nonnegative:
            return from_end
    if isinstance(at, Sym) and at.nonnegative and isinstance(size, int):
        return least(at, size)
    if at_least(at) >= 0 and at_least(size - at) >= 0:
        return at
    raise NotTyped


def _slice(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    shape = list(shape_of(inputs))
    for axis, start, end, step in _cuts(inputs, len(shape)):
        size = shape[axis]
        if step == 1:
            shape[axis] = _length(start, end, size)
        elif isinstance(start, int) and isinstance(end, int) and isinstance(size, int):
            shape[axis] = len(range(size)[_part(start, end, step, size)])
        else:
            raise NotTyped
    return (TensorType(tensor(inputs).dtype, tuple(shape)),)


def _length(start: Dim, end: Dim, size: Dim) -> Dim:
    """How much of an axis of `size` a slice in steps of one keeps; NotTyped if unsure."""
    if isinstance(start, int) and -END < start < 0 and isinstance(end, int) and end >= END:
        return least(size, -start)
    first, last = _bound(start, size), _bound(end, size)
    if isinstance(first, int) and isinstance(last, int):
        return max(last - first, 0)
    if first == 0:
        return last
    if first == size:
        return 0
    if at_least(last - first) >= 0 or _in_order(first, last):
        return last - first
    raise NotTyped


def _in_order(first: Dim, last: Dim) -> bool:
    """Whether both are cut off at the same number, and the first is surely no more."""
    a, b = only_atom(first), only_atom(last)
    if not isinstance(a, Least) or not isinstance(b, Least) or a.bound != b.bound:
        return False
    return at_least(b.dim - a.dim) >= 0


def _part(start: int, end: int, step: int, size: int) -> slice:
    """A slice as NumPy cuts it; backwards, ONNX starts no farther than at the first element."""
    if step > 0:
        return slice(start, end, step)
    return slice(max(start, -size), None if end < -size else end, step)


def _slice_contents(inputs: Inputs, attrs: Attrs) -> Contents | None:
    data = contents_of(inputs[0])
    if not isinstance(data, tuple):
        return None
    try:
        cuts = _cuts(inputs, 1)
    except NotTyped:
        return None
    for _, start, end, step in cuts:
        if not isinstance(start, int) or not isinstance(end, int):
            return None
        data = data[_part(start, end, step, len(data))]
    return data


def _slice_numpy(
    x: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None
) -> Array:
    index = [slice(None)] * x.ndim
    for i, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        axis = i if axes is None else int(axes[i])
        step = 1 if steps is None else int(steps[i])
        index[axis] = _part(start, end, step, x.shape[axis])
    return x[tuple(index)]


def _triangle(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    return (tensor(inputs),)


def _triangle_numpy(x: Array, k: Array | None = None, upper: int = 1) -> Array:
    diagonal = 0 if k is None else int(k.item())
    return np.triu(x, diagonal) if upper else np.tril(x, diagonal)


register(
    Op("Concat", _concat, lambda *x, axis: np.concatenate(x, axis), _concat_contents, exact=True),
    Op("Split", _split, _split_numpy, _split_contents, exact=True),
    Op("Slice", _slice, _slice_numpy, _slice_contents, exact=True),
    Op("Gather", _gather, lambda x, at, axis: np.take(x, at, axis), _gather_contents, exact=True),
    Op("GatherElements", _picked, _pick_numpy, exact=True),
    Op("Trilu", _triangle, _triangle_numpy, exact=True),
)
