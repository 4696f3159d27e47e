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
    names = frozenset().union(*(needed(d) for d in shape if isinstance(d, Sym)))
    one_open = sum(isinstance(d, Sym) for d in shape) < 2
    for numbers in (_with_rest(shape), _with_copies(shape_of(x) or (), shape)):
        if 0 not in shape and (one_open or not names <= op.budget.sizes) and numbers.count(-1) < 2:
            reshaped = op.Reshape(x, constant(numbers, "i64"))
            if shape_of(reshaped) == shape:
                return reshaped
    have = shape_of(x) or ()
    if not names <= op.budget.sizes and _without_ones(have) == _without_ones(shape):
        return _between_ones(op, x, have, shape)
    need(0 not in shape, "it is empty")
    return op.Reshape(x, listed(op, shape))


def _without_ones(shape: Shape) -> list[Dim]:
    return [d for d in shape if d != 1]


def _between_ones(op: Builder, x: Value, have: Shape, shape: Shape) -> Value:
    """`x` with its axes of size 1 taken out and put where they belong."""
    out, in_ = (tuple(i for i, d in enumerate(dims) if d == 1) for dims in (have, shape))
    x = op.Squeeze(x, axes=out) if out else x
    return op.Unsqueeze(x, axes=in_) if in_ else x


def _with_rest(shape: Shape) -> list[int]:
    """The numbers of a shape, and -1 for what is known only at run time."""
    return [d if isinstance(d, int) else -1 for d in shape]


def _with_copies(have: Shape, shape: Shape) -> list[int]:
    """As `_with_rest`, and 0 for what stands at the same place before, which is copied."""
    same = [a == b for a, b in zip(have, shape, strict=False)] + [False] * len(shape)
    numbers = _with_rest(shape)
    return [0 if n == -1 and copied else n for n, copied in zip(numbers, same, strict=False)]


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
