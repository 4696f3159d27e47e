"""Products with a weight and additions of a bias become one operator."""

from __future__ import annotations

from graphwright.ir.graph import Value
from graphwright.ir.types import FLOATS, TensorType
from graphwright.passes.application import any_node
from graphwright.passes.canonical.views import VIEWS
from graphwright.passes.parameters import parameter
from graphwright.passes.pattern import Gemm, Linear, var
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule
from graphwright.passes.shapes import dtype_of, shape_of

x, w, b = var("x"), var("w"), var("b")
PLAIN = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": "transposed"}
WEIGHT = "f32([[1, 2], [3, 4]])"


@rule(
    x @ w + b | Gemm(x, w, b, **PLAIN) | Gemm(x, w, **PLAIN),
    Tolerance(),
    Example(
        "x: f32[B, S, 2]",
        f"f32([5, 6]) + x @ {WEIGHT}",
        f"Linear(x, {WEIGHT}, f32([5, 6]), transposed=0)",
    ),
    Example(
        "x: f32[B, 2]",
        f"Gemm(x, {WEIGHT}, f32([5, 6]), alpha=1.0, beta=1.0, transA=0, transB=1)",
        f"Linear(x, {WEIGHT}, f32([5, 6]), transposed=1)",
    ),
    Example(
        "x: f32[B, 2]",
        f"Gemm(x, {WEIGHT}, alpha=2.0, beta=1.0, transA=0, transB=1)",
        because="does not fit",
    ),
    Example("x: f32[B, 2], w: f32[2, 2]", "x @ w + f32([5, 6])", because="constant matrix"),
    Example("x: f32[2, 2]", f"x @ {WEIGHT} + f32([[5, 6], [7, 8]])", because="f32[2, 2] is no"),
)
def fuse_linear(m: Match, op: Builder) -> Value:
    """x @ w + b  ->  Linear(x, w, b)

    x: [..., K]; w: [K, N], constant, or [N, K] if transposed; b: [N], constant; result: [..., N].
    The one form for passes that speak of linear layers, which run the group `linear` first. It is
    written as Gemm for a matrix and else as MatMul and Add, so by itself it changes nothing; MatMul
    without a bias stays what it is.
    """
    shape, dtype, transposed = shape_of(m.w), dtype_of(m.w), m.transposed or 0
    need(m.w.const is not None and shape and len(shape) == 2, "its weight is no constant matrix")
    need(dtype in FLOATS, "its weight is of integers")
    assert shape is not None
    if m.b is None:
        return op.Linear(m.x, m.w, transposed=transposed)
    bias = parameter(op, m.b, TensorType(dtype, (shape[1 - transposed],)), m.x)
    return op.Linear(m.x, m.w, bias, transposed=transposed)


flat = any_node(*VIEWS, of=x)


@rule(
    any_node(
        *VIEWS,
        of=Linear(flat, w, b, transposed="transposed")
        | Linear(flat, w, transposed="transposed")
        | Gemm(flat, w, b, **PLAIN)
        | Gemm(flat, w, **PLAIN)
        | flat @ w + b
        | flat @ w,
    ),
    Tolerance(),
    Example(
        "x: f32[B, 3, 2]",
        f"Reshape(Linear(Reshape(x, i64([-1, 2])), {WEIGHT}, transposed=0), i64([-1, 3, 2]))",
        f"Linear(x, {WEIGHT}, transposed=0)",
    ),
    Example(
        "x: f32[B, 3, 2]",
        f"""
        r = Reshape(x, i64([-1, 2]))
        y = Gemm(r, {WEIGHT}, f32([5, 6]), alpha=1.0, beta=1.0, transA=0, transB=1)
        Reshape(y, i64([-1, 3, 2]))""",
        f"Linear(x, {WEIGHT}, f32([5, 6]), transposed=1)",
    ),
    Example(
        "x: f32[B, 3, 2]",
        f"Reshape(Reshape(x, i64([-1, 2])) @ {WEIGHT} + f32([5, 6]), i64([-1, 3, 2]))",
        f"Linear(x, {WEIGHT}, f32([5, 6]), transposed=0)",
    ),
    Example(
        "x: f32[B, 3, 2]",
        f"Reshape(Reshape(x, i64([-1, 2])) @ {WEIGHT}, i64([-1, 3, 2]))",
        f"x @ {WEIGHT}",
    ),
    Example(
        "x: f32[B, 4, 1]",
        f"Reshape(Reshape(x, i64([-1, 2])) @ {WEIGHT}, i64([-1, 4, 1]))",
        because="the last axis",
    ),
)
def drop_flattening(m: Match, op: Builder) -> Value:
    """Reshape(Reshape(x, [-1, K]) @ w, [..., N])  ->  x @ w

    x: [..., K]; w: [K, N], or [N, K] if transposed; b: [N]; result: [..., N]. Likewise with a bias,
    of Gemm and of Linear, which become Linear.
    """
    given, weight, transposed = shape_of(m.x), shape_of(m.w), m.transposed or 0
    need(given and weight and len(weight) == 2, "the shapes are not known")
    assert given is not None
    assert weight is not None
    rows, columns = weight[::-1] if transposed else weight
    need(given[-1] == rows, "it regroups the last axis too")
    need(shape_of(m.root) == (*given[:-1], columns), "it regroups the axes another way after it")
    if m.b is None and m.transposed is None:
        return op.MatMul(m.x, m.w)
    bias = [] if m.b is None else [parameter(op, m.b, TensorType(dtype_of(m.w), (columns,)), m.x)]
    return op.Linear(m.x, m.w, *bias, transposed=transposed)
