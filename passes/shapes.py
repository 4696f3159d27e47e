"""Shapes and axes, as rules ask for them and hand them on."""

from __future__ import annotations

from graphwright.ir.dims import Dim, Sym, product
from graphwright.ir.graph import Value
from graphwright.ir.ops import constant
from graphwright.ir.quotients import needed
from graphwright.ir.types import TensorType
from graphwright.passes.rule import Builder, need

Shape = tuple[Dim, ...]


def shape_of(value: Value | None) -> Shape | None:
    """The shape, where the rank is known."""
    return value.type.shape if value is not None and isinstance(value.type, TensorType) else None


def dtype_of(value: Value | None) -> str:
    """The element type; empty for what is no tensor."""
    return value.type.dtype if value is not None and isinstance(value.type, TensorType) else ""


def same_shape(a: Value | None, b: Value | None) -> bool:
    """Whether two values surely have the same shape."""
    shape = shape_of(a)
    return shape is not None and shape == shape_of(b)


def reshape(op: Builder, x: Value, shape: Shape | None) -> Value:
    """`x` in the given shape, if one size left open or the sizes of the model's inputs say it."""
    need(shape is not None, "the shape is not known")
    assert shape is not None
    if shape_of(x) == shape:
        return x
    open_sizes = [d for d in shape if isinstance(d, Sym)]
    if len(open_sizes) < 2 and 0 not in shape:
        sizes = constant([d if isinstance(d, int) else -1 for d in shape], "i64")
        reshaped = op.Reshape(x, sizes)
        if shape_of(reshaped) == shape:
            return reshaped
    need(0 not in shape, "it is empty")
    return op.Reshape(x, _sizes(op, shape))


def expand(op: Builder, x: Value, shape: Shape) -> Value:
    """`x` repeated along axes of 1 to a shape, if the sizes of the model's inputs say it."""
    return x if shape_of(x) == shape else op.Expand(x, _sizes(op, shape))


def _sizes(op: Builder, shape: Shape) -> Value:
    """A shape as a list, constant or computed of the sizes of the model's inputs."""
    names = frozenset().union(*(needed(d) for d in shape if isinstance(d, Sym)))
    need(names <= op.budget.sizes, "its sizes are not sizes of the model's inputs")
    return op.Sizes(dims=shape) if names else constant(shape, "i64")


def count_along(x: Value, axes: tuple[int, ...]) -> int:
    """How many elements lie along `axes`. Refuses where that is no number."""
    shape = shape_of(x)
    need(shape is not None and axes is not None, "the rank of x is not known")
    assert shape is not None
    count = product(shape[axis] for axis in axes)
    need(isinstance(count, int), "how many elements there are is known only at run time")
    assert isinstance(count, int)
    return count
