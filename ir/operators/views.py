"""Operators that give the same elements in another shape or order, or repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphwright.ir.dims import Dim, at_least, product
from graphwright.ir.graph import Attr, Contents
from graphwright.ir.operators.operands import axes_of, broadcast, ints, known, shape_of, tensor
from graphwright.ir.ops import Attrs, Inputs, NotTyped, Op, contents_of, register
from graphwright.ir.quotients import exact_quotient, quotient
from graphwright.ir.types import TensorType, Type

Array = np.ndarray[Any, np.dtype[Any]]


def _transpose(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    shape, perm = shape_of(inputs), ints(attrs["perm"])
    if sorted(perm) != list(range(len(shape))):
        raise TypeError(f"perm {perm} of a tensor of rank {len(shape)}")
    return (TensorType(tensor(inputs).dtype, tuple([shape[p] for p in perm])),)


def reshaped(
    shape: Sequence[Dim] | None, wanted: Sequence[Dim], allowzero: bool
) -> tuple[Dim, ...]:
    """The shape that Reshape gives; NotTyped where the element that is -1 cannot be told."""
    dims: list[Dim] = list(wanted)
    if not allowzero:
        for i, dim in enumerate(dims):
            if dim == 0:
                if shape is None:
                    raise NotTyped
                if i >= len(shape):
                    raise TypeError(f"a 0 at {i} for a tensor of rank {len(shape)}")
                dims[i] = shape[i]
    if -1 in dims:
        if shape is None:
            raise NotTyped
        at = dims.index(-1)
        dims[at] = _left_for(product(shape), product(dims[:at] + dims[at + 1 :]))
    return tuple(dims)


def _left_for(total: Dim, others: Dim) -> Dim:
    """What -1 stands for beside the `others`: a whole size, even if the formulas do not divide."""
    if at_least(others) < 0 or others == 0 or (isinstance(total, int) and isinstance(others, int)):
        found = exact_quotient(total, others)
        if found is None:
            raise NotTyped
        return found
    return quotient(total, others)


def _reshape(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    x, wanted = tensor(inputs), contents_of(inputs[1])
    if not isinstance(wanted, tuple):
        return (TensorType(x.dtype),)
    return (TensorType(x.dtype, reshaped(x.shape, wanted, bool(attrs.get("allowzero")))),)


def _reshape_contents(inputs: Inputs, attrs: Attrs) -> Contents | None:
    found, wanted = contents_of(inputs[0]), contents_of(inputs[1])
    if found is None or not isinstance(wanted, tuple) or len(wanted) > 1:
        return None
    flat = found if isinstance(found, tuple) else (found,)
    return flat if wanted else (flat[0] if len(flat) == 1 else None)


def _reshape_numpy(x: Array, shape: Array, allowzero: int = 0) -> Array:
    wanted = shape.tolist()
    if not allowzero:
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    return x.reshape(wanted)


def _squeeze(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    shape, dtype = shape_of(inputs), tensor(inputs).dtype
    if "axes" in attrs:
        gone = axes_of(attrs["axes"], len(shape))
        if any(isinstance(shape[i], int) and shape[i] != 1 for i in gone):
            raise TypeError(f"axes {gone} of {tensor(inputs)} are not all of size 1")
    elif all(isinstance(d, int) for d in shape):
        gone = tuple(i for i, d in enumerate(shape) if d == 1)
    else:
        raise NotTyped
    return (TensorType(dtype, tuple([d for i, d in enumerate(shape) if i not in gone])),)


def _squeeze_contents(inputs: Inputs, attrs: Attrs) -> Contents | None:
    found = contents_of(inputs[0])
    return found[0] if isinstance(found, tuple) and len(found) == 1 else None


def unsqueezed(shape: Sequence[Dim], axes: Attr | None) -> tuple[Dim, ...]:
    """`shape` with sizes of 1 put in, so that they stand at `axes` of the result."""
    new = axes_of(axes, len(shape) + len(ints(axes)))
    dims = list(shape)
    for axis in new:
        dims.insert(axis, 1)
    return tuple(dims)


def _unsqueeze(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    return (TensorType(tensor(inputs).dtype, unsqueezed(shape_of(inputs), attrs["axes"])),)


def _unsqueeze_contents(inputs: Inputs, attrs: Attrs) -> Contents | None:
    found, axes = contents_of(inputs[0]), attrs["axes"]
    if found is None or isinstance(found, tuple) or not isinstance(axes, tuple) or len(axes) > 1:
        return None
    return (found,)


def _expand(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    shape = broadcast(shape_of(inputs), known(contents_of(inputs[1])))
    return (TensorType(tensor(inputs).dtype, shape),)


def _expand_numpy(x: Array, shape: Array) -> Array:
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(shape.tolist()))).copy()


def _tile(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    shape, times = shape_of(inputs), known(contents_of(inputs[1]))
    if len(shape) != len(times):
        raise TypeError(f"{len(times)} repeats of a tensor of rank {len(shape)}")
    dims = tuple([d * t for d, t in zip(shape, times, strict=True)])
    return (TensorType(tensor(inputs).dtype, dims),)


def _tile_numpy(x: Array, times: Array) -> Array:
    return np.tile(x, tuple(times.tolist()))


register(
    Op("Transpose", _transpose, lambda x, perm: x.transpose(perm), exact=True),
    Op("Reshape", _reshape, _reshape_numpy, _reshape_contents, exact=True),
    Op("Squeeze", _squeeze, lambda x, axes=None: x.squeeze(axes), _squeeze_contents, exact=True),
    Op(
        "Unsqueeze",
        _unsqueeze,
        lambda x, axes: x.reshape(unsqueezed(x.shape, axes)),
        _unsqueeze_contents,
        exact=True,
    ),
    Op("Expand", _expand, _expand_numpy, exact=True),
    Op("Tile", _tile, _tile_numpy, exact=True),
)
