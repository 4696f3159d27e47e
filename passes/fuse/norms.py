"""What the normalizations share: the mean of squares, and the parameters applied after it."""

from __future__ import annotations

from typing import Any

from graphwright.ir.graph import Value
from graphwright.ir.types import TensorType
from graphwright.passes.fuse.mean import is_inverse
from graphwright.passes.parameters import parameter
from graphwright.passes.pattern import (
    Cast,
    Pattern,
    ReduceL2,
    ReduceMean,
    ReduceSumSquare,
    scalar,
    var,
)
from graphwright.passes.rule import Builder, Match, need
from graphwright.passes.shapes import count_along, dtype_of, shape_of

gamma, beta, eps, n = var("gamma"), var("beta"), scalar("eps"), scalar("n")


def mean_square(d: Pattern) -> Pattern:
    """mean d^2"""
    mean = ReduceMean(d**2, axes="axes", keepdims=1)
    of_sum = n * ReduceSumSquare(d, axes="axes", keepdims=1)
    of_norm = n * ReduceL2(d, axes="axes", keepdims=1) ** 2
    return mean | of_sum | of_norm


def narrowed(p: Pattern) -> Pattern:
    """What was computed in float32 on the way from a narrower type back to it."""
    return Cast(p, to="narrow")


def parameters(m: Match, op: Builder) -> dict[str, Any]:
    """The axis, epsilon and so on that the match says, as attributes. Refuses what has none."""
    need(shape_of(m.x) is not None, "the rank of x is not known")
    need(dtype_of(m.x) != "f64", "the operator computes in float32, and x is of float64")
    need(m.axes == tuple(range(m.axes[0], 0)), f"the axes {m.axes} are not the last ones")
    if m.n is not None:
        count = count_along(m.x, m.axes)
        need(is_inverse(m.n, count, dtype_of(m.root)), f"{count} elements are summed")
    need(m.eps >= 0, "epsilon is negative")
    if m.narrow is not None:
        need(m.narrow == dtype_of(m.x), "it is cast to another type than it came from")
    return {"axis": m.axes[0], "epsilon": float(m.eps), "stash_type": 1}


def gain(op: Builder, m: Match, since: int) -> Value:
    """Gamma in its shape, ones where there is none; the operator is there since opset `since`.

    Refuses where it would be written out, with a product by ones that nobody asked for.
    """
    if m.gamma is None:
        written_out = 0 < op.budget.opset < since
        need(not written_out, f"it has no gamma, and the operator is there since opset {since}")
    return shaped(op, m, m.gamma)


def shaped(op: Builder, m: Match, value: Value | None) -> Value:
    """A parameter in the shape of the normalized axes and the type of x; ones for None."""
    shape = shape_of(m.x)
    assert shape is not None
    kind = TensorType(dtype_of(m.x), shape[m.axes[0] :])
    if value is not None:
        return parameter(op, value, kind, m.x)
    count_along(m.x, m.axes)
    return op.budget.ones(kind)
