"""Operators that reduce along axes, sum up, and sort."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphwright.frontends.aten.builder import (
    Builder,
    NotRead,
    Number,
    axes_of,
    axis_of,
    dtype_of,
    rank_of,
    shape_of,
)
from graphwright.frontends.aten.readings import aten
from graphwright.ir.dims import product
from graphwright.ir.graph import Value
from graphwright.ir.types import TensorType


def reduced(b: Builder, op: str, x: Value, dim: int | Sequence[int] | None, keepdim: bool) -> Value:
    """X reduced along axes, as the last one or from the front."""
    if not rank_of(x):
        return x
    rank = rank_of(x)
    axes = tuple(-1 if a == rank - 1 else a for a in axes_of(x, dim))
    if len(axes) == rank and rank > 1:
        axes = tuple(range(rank))
    return b.call(op, x, axes=axes, keepdims=int(keepdim))


@aten("sum", "sum.dim_IntList")
def total(
    b: Builder,
    x: Value,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    dtype: str | None = None,
) -> Value:
    """The sum along axes."""
    return reduced(b, "ReduceSum", b.cast(x, b.dtype), dim, keepdim)


@aten("mean", "mean.dim")
def mean(
    b: Builder,
    x: Value,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    dtype: str | None = None,
) -> Value:
    """The mean along axes."""
    return reduced(b, "ReduceMean", b.cast(x, b.dtype), dim, keepdim)


@aten("prod", "prod.dim_int")
def prod(
    b: Builder, x: Value, dim: int | None = None, keepdim: bool = False, dtype: str | None = None
) -> Value:
    """The product along axes."""
    return reduced(b, "ReduceProd", b.cast(x, b.dtype), dim, keepdim)


@aten("amax", "max")
def amax(b: Builder, x: Value, dim: int | Sequence[int] = (), keepdim: bool = False) -> Value:
    """The largest along axes."""
    return reduced(b, "ReduceMax", x, dim, keepdim)


@aten("amin", "min")
def amin(b: Builder, x: Value, dim: int | Sequence[int] = (), keepdim: bool = False) -> Value:
    """The smallest along axes."""
    return reduced(b, "ReduceMin", x, dim, keepdim)


@aten("logsumexp")
def logsumexp(b: Builder, x: Value, dim: int | Sequence[int], keepdim: bool = False) -> Value:
    """The logarithm of the sum of exponentials."""
    return reduced(b, "ReduceLogSumExp", b.cast(x, b.dtype), dim, keepdim)


@aten("any", "any.dim", "any.dims")
def any_(
    b: Builder, x: Value, dim: int | Sequence[int] | None = None, keepdim: bool = False
) -> Value:
    """Whether one along axes is not zero."""
    whole = b.cast(b.cast(x, "bool"), "i32")
    return b.cast(reduced(b, "ReduceMax", whole, dim, keepdim), "bool")


@aten("all", "all.dim", "all.dims")
def all_(
    b: Builder, x: Value, dim: int | Sequence[int] | None = None, keepdim: bool = False
) -> Value:
    """Whether none along axes is zero."""
    whole = b.cast(b.cast(x, "bool"), "i32")
    return b.cast(reduced(b, "ReduceMin", whole, dim, keepdim), "bool")


@aten("var.correction")
def variance(
    b: Builder,
    x: Value,
    dim: int | Sequence[int] | None = None,
    correction: Number | None = None,
    keepdim: bool = False,
) -> Value:
    """The mean of squared distances from the mean, over the count less the correction."""
    axes = axes_of(x, dim)
    d = b.Sub(x, reduced(b, "ReduceMean", x, axes, True))
    taken = 1 if correction is None else correction
    if taken == 0:
        return reduced(b, "ReduceMean", b.Mul(d, d), axes, keepdim)
    count = product(shape_of(x)[a] for a in axes)
    if not isinstance(taken, int | float) or (isinstance(taken, float) and taken % 1):
        raise NotRead(f"a correction of {taken} is not read")
    squares = reduced(b, "ReduceSum", b.Mul(d, d), axes, keepdim)
    return b.Div(squares, b.tensor(count - int(taken), b.dtype))


def _by_flag(root: bool) -> Callable[..., Value]:
    def reading(
        b: Builder,
        x: Value,
        dim: int | Sequence[int] | bool | None = None,
        unbiased: bool | None = True,
        keepdim: bool = False,
    ) -> Value:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        y = variance(b, x, dim, int(bool(unbiased)), keepdim)
        return b.Sqrt(y) if root else y

    return reading


aten("var", "var.dim")(_by_flag(False))
aten("std", "std.dim")(_by_flag(True))


@aten("std.correction")
def deviation(
    b: Builder,
    x: Value,
    dim: int | Sequence[int] | None = None,
    correction: Number | None = None,
    keepdim: bool = False,
) -> Value:
    """The root of the variance."""
    return b.Sqrt(variance(b, x, dim, correction, keepdim))


@aten("var_mean.correction")
def var_mean(
    b: Builder,
    x: Value,
    dim: int | Sequence[int] | None = None,
    correction: Number | None = None,
    keepdim: bool = False,
) -> tuple[Value, Value]:
    """The variance and the mean."""
    return variance(b, x, dim, correction, keepdim), mean(b, x, dim, keepdim)


def _best(op: str) -> Callable[..., Value]:
    def reading(b: Builder, x: Value, dim: int | None = None, keepdim: bool = False) -> Value:
        if dim is None:
            x, dim = b.reshape(x, (product(shape_of(x)),)), 0
        axis = axis_of(x, dim)
        kept = [1 if a == axis else d for a, d in enumerate(shape_of(x)) if keepdim or a != axis]
        given = b.cast(x, "i32") if dtype_of(x) == "bool" else x
        return b.call(
            op, given, types=(TensorType("i64", tuple(kept)),), axis=axis, keepdims=int(keepdim)
        )

    return reading


argmax, argmin = _best("ArgMax"), _best("ArgMin")
aten("argmax")(argmax)
aten("argmin")(argmin)


@aten("max.dim")
def max_along(b: Builder, x: Value, dim: int, keepdim: bool = False) -> tuple[Value, Value]:
    """The largest along an axis, and where it stands."""
    return amax(b, x, dim, keepdim), argmax(b, x, dim, keepdim)


@aten("min.dim")
def min_along(b: Builder, x: Value, dim: int, keepdim: bool = False) -> tuple[Value, Value]:
    """The smallest along an axis, and where it stands."""
    return amin(b, x, dim, keepdim), argmin(b, x, dim, keepdim)


@aten("topk")
def topk(
    b: Builder, x: Value, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[Value, ...]:
    """The k largest along an axis, and where they stand."""
    axis = axis_of(x, dim)
    dims = (*shape_of(x)[:axis], k, *shape_of(x)[axis + 1 :])
    return b.several(
        "TopK",
        *(x, b.sizes([k])),
        types=(TensorType(dtype_of(x), dims), TensorType("i64", dims)),
        axis=axis,
        largest=int(largest),
        sorted=int(sorted),
    )


@aten("sort")
def sort(b: Builder, x: Value, dim: int = -1, descending: bool = False) -> tuple[Value, ...]:
    """An axis in order, and where each element stood."""
    axis = axis_of(x, dim)
    types = (x.type, TensorType("i64", shape_of(x)))
    attrs = {"axis": axis, "largest": int(descending), "sorted": 1}
    return b.several("TopK", x, b.sizes([shape_of(x)[axis]]), types=types, **attrs)


@aten("argsort")
def argsort(b: Builder, x: Value, dim: int = -1, descending: bool = False) -> Value:
    """Where the elements of an axis stand in order."""
    return sort(b, x, dim, descending)[1]


@aten("cumsum")
def cumsum(b: Builder, x: Value, dim: int, dtype: str | None = None) -> Value:
    """The sums of what stands before, and of each element itself."""
    if not rank_of(x):
        return b.cast(x, b.dtype)
    axis = b.constant(axis_of(x, dim), "i64")
    return b.CumSum(b.cast(x, b.dtype), axis, exclusive=0, reverse=0)


@aten("diff")
def diff(
    b: Builder,
    x: Value,
    n: int = 1,
    dim: int = -1,
    prepend: Value | None = None,
    append: Value | None = None,
) -> Value:
    """Each element less the one before it."""
    axis = axis_of(x, dim)
    parts = [v for v in (prepend, x, append) if v is not None]
    y = parts[0] if len(parts) == 1 else b.Concat(*parts, axis=axis)
    for _ in range(n):
        later, earlier = b.slice(y, axis, 1, 2**31 - 1), b.slice(y, axis, 0, -1)
        y = b.Not(b.Equal(later, earlier)) if dtype_of(y) == "bool" else b.Sub(later, earlier)
    return y


@aten("count_nonzero")
def count_nonzero(b: Builder, x: Value, dim: int | None = None) -> Value:
    """How many along an axis are not zero."""
    return reduced(b, "ReduceSum", b.cast(b.cast(x, "bool"), "i64"), dim, False)
