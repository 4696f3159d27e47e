"""Sums over a count become means."""

from __future__ import annotations

from graphwright.ir.graph import Value
from graphwright.passes.algebra import EPS, UNITS
from graphwright.passes.pattern import ReduceSum, scalar, var
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule
from graphwright.passes.shapes import count_along, dtype_of

x, n = var("x"), scalar("n")


@rule(
    n * ReduceSum(x, axes="axes", keepdims="keepdims"),
    Tolerance(),
    Example(
        "x: f32[B, 8]",
        "ReduceSum(x, axes=(1,), keepdims=1) / 8.0",
        "ReduceMean(x, axes=(-1,), keepdims=1)",
    ),
    Example(
        "x: f32[B, 4, 4]",
        "0.0625 * ReduceSum(x, axes=(-2, -1), keepdims=0)",
        "ReduceMean(x, axes=(-2, -1), keepdims=0)",
    ),
    Example("x: f32[B, 8]", "ReduceSum(x, axes=(1,), keepdims=1) / 7.0", because="8 elements"),
    Example("x: f32[B, S]", "ReduceSum(x, axes=(1,), keepdims=1) / 7.0", because="how many"),
)
def fuse_mean(m: Match, op: Builder) -> Value:
    """sum(x, axes) / N  ->  mean(x, axes)

    x: any shape with N elements along the axes; result: with the axes 1, or without them.
    """
    count = count_along(m.x, m.axes)
    need(count != 1 and is_inverse(m.n, count, dtype_of(m.root)), f"{count} elements are summed")
    return op.ReduceMean(m.x, axes=m.axes, keepdims=m.keepdims)


def is_inverse(factor: float, count: int, dtype: str) -> bool:
    """Whether it is `1 / count`, as far as the element type tells."""
    return abs(factor * count - 1) <= UNITS * EPS[dtype]
