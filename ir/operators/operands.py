"""What rows of the operator table ask of their operands and attributes."""

from __future__ import annotations

from graphwright.ir.dims import Dim, joint
from graphwright.ir.graph import Attr, Contents
from graphwright.ir.ops import Inputs, NotTyped
from graphwright.ir.types import TensorType

Shape = tuple[Dim, ...]


def tensor(inputs: Inputs, index: int = 0) -> TensorType:
    """The tensor type of an input; NotTyped when it has none."""
    value = inputs[index] if index < len(inputs) else None
    if value is None or not isinstance(value.type, TensorType):
        raise NotTyped
    return value.type


def shape_of(inputs: Inputs, index: int = 0) -> Shape:
    """The shape of an input; NotTyped when its rank is unknown."""
    shape = tensor(inputs, index).shape
    if shape is None:
        raise NotTyped
    return shape


def ints(attr: Attr | None) -> tuple[int, ...]:
    """An attribute that is a list of numbers; NotTyped when it is not."""
    if not isinstance(attr, tuple):
        raise NotTyped
    found = tuple(n for n in attr if isinstance(n, int))
    if len(found) < len(attr):
        raise NotTyped
    return found


def axes_of(attr: Attr | None, rank: int) -> tuple[int, ...]:
    """Axes as numbers from 0, in ascending order; TypeError for one that is not there."""
    found = sorted({a + rank if a < 0 else a for a in ints(attr)})
    if found and not (found[0] >= 0 and found[-1] < rank):
        raise TypeError(f"axes {attr} of a tensor of rank {rank}")
    return tuple(found)


def axis_of(attr: Attr | None, rank: int) -> int:
    """One axis as a number from 0; TypeError when it is not there."""
    if not isinstance(attr, int):
        raise NotTyped
    if not -rank <= attr < rank:
        raise TypeError(f"axis {attr} of a tensor of rank {rank}")
    return attr % rank


def known(contents: Contents | None) -> tuple[Dim, ...]:
    """Contents of rank 1; NotTyped when they are unknown."""
    if not isinstance(contents, tuple):
        raise NotTyped
    return contents


def broadcast(*shapes: Shape) -> Shape:
    """The shape that `shapes` broadcast to; TypeError for sizes that cannot.

    Where two different symbols meet, they are equal or one of them is 1: see `joint`.
    """
    widest = max(shapes, key=len)
    result = list(widest)
    for shape in shapes:
        if shape is widest:
            continue
        for axis, size in enumerate(shape, len(widest) - len(shape)):
            here = result[axis]
            if size == 1 or size == here:
                continue
            if here == 1:
                result[axis] = size
            elif isinstance(size, int) and isinstance(here, int):
                raise TypeError(f"sizes {here} and {size} do not broadcast")
            else:
                result[axis] = joint(here, size)
    return tuple(result)


def broadcast_types(inputs: Inputs, first: int = 0) -> TensorType:
    """The element type of input `first`, with the shape that all inputs broadcast to."""
    head = tensor(inputs, first)
    shapes: list[Shape] = []
    for value in inputs:
        if value is None or not isinstance(value.type, TensorType):
            raise NotTyped
        if value.type.shape is None:
            return TensorType(head.dtype)
        shapes.append(value.type.shape)
    shape = broadcast(*shapes)
    return head if head.shape == shape else TensorType(head.dtype, shape)
