"""Linear layers, products of matrices, and sums of products."""

from __future__ import annotations

from collections.abc import Sequence

from graphwright.frontends.aten.builder import (
    Builder,
    NotRead,
    Number,
    axis_of,
    dtype_of,
    rank_of,
    shape_of,
)
from graphwright.frontends.aten.readings import aten
from graphwright.ir.dims import Dim
from graphwright.ir.graph import Value
from graphwright.ir.types import TensorType


@aten("linear")
def linear(b: Builder, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """X weight^T + bias; a weight of one axis is a vector."""
    y = b.MatMul(x, turned(b, weight) if rank_of(weight) == 2 else weight)
    return y if bias is None else b.Add(y, bias)


def turned(b: Builder, x: Value) -> Value:
    """A tensor with its last two axes swapped."""
    rank = rank_of(x)
    return b.Transpose(x, perm=(*range(rank - 2), rank - 1, rank - 2))


@aten("matmul", "mm", "bmm", "mv", "dot", "vdot")
def matmul(b: Builder, x: Value, y: Value) -> Value:
    """The product of matrices, of stacks of them, and of vectors."""
    return b.MatMul(x, y)


@aten("outer", "ger")
def outer(b: Builder, x: Value, y: Value) -> Value:
    """Every product of an element of x and one of y."""
    return b.Mul(b.unsqueeze(x, 1), y)


@aten("addmm", "baddbmm", "addmv")
def addmm(
    b: Builder, bias: Value, x: Value, y: Value, beta: Number = 1, alpha: Number = 1
) -> Value:
    """Alpha x y + beta bias."""
    product = b.MatMul(x, y)
    if alpha != 1:
        product = b.Mul(product, b.tensor(alpha, b.dtype))
    if beta == 0:
        return product
    return b.Add(product, bias if beta == 1 else b.Mul(bias, b.tensor(beta, b.dtype)))


@aten("einsum")
def einsum(
    b: Builder, equation: str, operands: Sequence[Value], path: Sequence[int] | None = None
) -> Value:
    """A sum of products over named axes."""
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if "." in equation:
        raise NotRead(f"the equation '{equation}' has axes without a name")
    if not arrow:
        right = "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
    sizes = {c: d for t, x in zip(terms, operands, strict=True) for c, d in _named(t, x)}
    type_ = TensorType(dtype_of(operands[0]), tuple([sizes[c] for c in right]))
    return b.call("Einsum", *operands, types=(type_,), equation=f"{left}->{right}")


def _named(term: str, x: Value) -> list[tuple[str, Dim]]:
    return list(zip(term, shape_of(x), strict=True))


@aten("cosine_similarity")
def cosine_similarity(b: Builder, x: Value, y: Value, dim: int = 1, eps: float = 1e-8) -> Value:
    """The cosine of the angle between vectors along an axis."""
    axes = (axis_of(x, dim),)
    lengths = [b.Max(b.ReduceL2(v, axes=axes, keepdims=1), eps) for v in (x, y)]
    parts = [b.Div(v, length) for v, length in zip((x, y), lengths, strict=True)]
    return b.ReduceSum(b.Mul(*parts), axes=axes, keepdims=0)
