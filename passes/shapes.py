"""Shapes and axes, as rules ask for them and hand them on."""

from __future__ import annotations

from graphwright.ir.dims import Dim, Sym, product
from graphwright.ir.graph import Value
from graphwright.ir.ops import constant
from graphwright.ir.own_sizes import numbers_of, own_sizes
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
    """`x` in the given shape, which may be empty, if its sizes or those of the inputs say it."""
    need(shape is not None, "the shape is not known")
    assert shape is not None
    have = shape_of(x) or ()
    if have == shape:
        return x
    names = frozenset().union(*(needed(d) for d in shape if isinstance(d, Sym)))
    readable = names <= op.budget.sizes
    one_open = sum(isinstance(d, Sym) for d in shape) < 2 and 0 not in shape
    rest = [-1 if isinstance(d, Sym) else d for d in shape]
    numbers = rest if one_open else numbers_of(have, shape)
    if numbers is not None and (one_open or not readable):
        reshaped = op.Reshape(x, constant(numbers, "i64"))
        if shape_of(reshaped) == shape:
            return reshaped
    if numbers is None or not readable:
        plain = not readable or not (1 in have and 1 in shape)
        if plain and have and _without_ones(have) == _without_ones(shape):
            return _between_ones(op, x, have, shape)
    need(0 not in shape, "it is empty")
    sizes = listed(op, shape) if readable else own_sizes(op.call, x, shape)
    need(sizes is not None, "its sizes are not sizes of the model's inputs")
    return op.Reshape(x, sizes)


def _without_ones(shape: Shape) -> list[Dim]:
    return [d for d in shape if d != 1]


def _between_ones(op: Builder, x: Value, have: Shape, shape: Shape) -> Value:
    """`x` with its axes of size 1 taken out and put where they belong."""
    out, in_ = (tuple(i for i, d in enumerate(dims) if d == 1) for dims in (have, shape))
    x = op.Squeeze(x, axes=out) if out else x
    return op.Unsqueeze(x, axes=in_) if in_ else x


def expand(op: Builder, x: Value, shape: Shape) -> Value:
    """`x` repeated along axes of 1 to a shape, if the sizes of the model's inputs say it."""
    return x if shape_of(x) == shape else op.Expand(x, listed(op, shape))


def listed(op: Builder, shape: Shape) -> Value:
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
