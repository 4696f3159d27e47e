"""Softmax and its logarithm, written out, become one operator each."""

from __future__ import annotations

from graphwright.ir.graph import Value
from graphwright.passes.pattern import (
    Exp,
    Log,
    LogSoftmax,
    ReduceLogSum,
    ReduceLogSumExp,
    ReduceMax,
    ReduceSum,
    Softmax,
    var,
)
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule

x = var("x")
top = ReduceMax(x, axes="axes", keepdims=1)
e = Exp(x - top)
bare = Exp(x)


def _only_axis(m: Match) -> int:
    need(m.axes is not None and len(m.axes) == 1, "it runs over several axes, and Softmax has one")
    axis: int = m.axes[0]
    return axis


@rule(
    e / ReduceSum(e, axes="axes", keepdims=1),
    Tolerance(),
    Example(
        "x: f32[B, 7]",
        "e = Exp(x - ReduceMax(x, axes=(-1,), keepdims=1))\n"
        "e / ReduceSum(e, axes=(-1,), keepdims=1)",
        "Softmax(x, axis=-1)",
    ),
    Example(
        "x: f32[B, 7, 7]",
        "e = Exp(x - ReduceMax(x, axes=(1,), keepdims=1))\n"
        "e * Reciprocal(ReduceSum(e, axes=(1,), keepdims=1))",
        "Softmax(x, axis=-2)",
    ),
    Example(
        "x: f32[B, 7, 7]",
        "e = Exp(x - ReduceMax(x, axes=(1, 2), keepdims=1))\n"
        "e / ReduceSum(e, axes=(1, 2), keepdims=1)",
        because="several axes",
    ),
    Example(
        "x: f32[B, 7, 7]",
        "e = Exp(x - ReduceMax(x, axes=(1,), keepdims=1))\ne / ReduceSum(e, axes=(2,), keepdims=1)",
        because="does not fit",
    ),
    Example(
        "x: f32[B, 7]",
        "e = Exp(x - ReduceMax(x, axes=(1,), keepdims=1))\n"
        "e / (ReduceSum(e, axes=(1,), keepdims=1) + 1.0)",
        because="does not fit",
    ),
    Example(
        "x: f32[B, 7]",
        "e = Exp(x)\ne / ReduceSum(e, axes=(1,), keepdims=1)",
        because="does not fit",
    ),
)
def fuse_softmax(m: Match, op: Builder) -> Value:
    """exp(x - max x) / sum(exp(x - max x))  ->  Softmax(x)

    x, result: any shape; max and sum run over one axis. Four passes over memory become at most two.
    Without the max see `fuse-bare-softmax`.
    Source: Milakov and Gimelshein 2018, "Online normalizer calculation for softmax",
    arXiv:1805.02867.
    """
    return op.Softmax(m.x, axis=_only_axis(m))


@rule(
    bare / ReduceSum(bare, axes="axes", keepdims=1),
    Tolerance(),
    Example(
        "x: f32[B, 7, 7]",
        "e = Exp(x)\ne * Reciprocal(ReduceSum(e, axes=(1,), keepdims=1))",
        "Softmax(x, axis=-2)",
    ),
    Example(
        "x: f32[B, 7, 7]",
        "e = Exp(x)\ne / ReduceSum(e, axes=(1, 2), keepdims=1)",
        because="several axes",
    ),
    Example(
        "x: f32[B, 7], y: f32[B, 7]",
        "Exp(x) / ReduceSum(Exp(y), axes=(1,), keepdims=1)",
        because="does not fit",
    ),
    Example(
        "x: f32[B, 7]",
        "e = Exp(x)\ne / (ReduceSum(e, axes=(1,), keepdims=1) + 1.0)",
        because="does not fit",
    ),
)
def fuse_bare_softmax(m: Match, op: Builder) -> Value:
    """exp(x) / sum(exp(x))  ->  Softmax(x), for who asks by name: of large numbers it is another.

    x, result: any shape; the sum runs over one axis. Without the max the original overflows from
    x = 88 on (float32), and where all of a row lies under -104, as behind a mask, it divides 0 by
    0; both give NaN, which a model may look for. Softmax gives numbers there.
    """
    return op.Softmax(m.x, axis=_only_axis(m))


@rule(
    x - top - Log(ReduceSum(Exp(x - top), axes="axes", keepdims=1))
    | x - Log(ReduceSum(Exp(x), axes="axes", keepdims=1))
    | x - ReduceLogSum(Exp(x), axes="axes", keepdims=1)
    | x - ReduceLogSumExp(x, axes="axes", keepdims=1),
    Tolerance(),
    Example(
        "x: f32[B, 7]",
        "d = x - ReduceMax(x, axes=(1,), keepdims=1)\n"
        "d - Log(ReduceSum(Exp(d), axes=(1,), keepdims=1))",
        "LogSoftmax(x, axis=-1)",
    ),
    Example(
        "x: f32[B, 7]",
        "m = ReduceMax(x, axes=(1,), keepdims=1)\n"
        "x - (m + Log(ReduceSum(Exp(x - m), axes=(1,), keepdims=1)))",
        "LogSoftmax(x, axis=-1)",
    ),
    Example(
        "x: f32[B, 7]", "x - ReduceLogSumExp(x, axes=(-1,), keepdims=1)", "LogSoftmax(x, axis=-1)"
    ),
    Example("x: f32[B, 7]", "x - ReduceLogSumExp(x, keepdims=1)", because="several axes"),
    Example(
        "x: f32[B, 7], y: f32[B, 7]",
        "x - ReduceLogSumExp(y, axes=(-1,), keepdims=1)",
        because="does not fit",
    ),
)
def fuse_log_softmax(m: Match, op: Builder) -> Value:
    """x - log(sum(exp x))  ->  LogSoftmax(x)

    x, result: any shape; the sum runs over one axis, with the max taken off before or not.
    """
    return op.LogSoftmax(m.x, axis=_only_axis(m))


@rule(
    Exp(LogSoftmax(x, axis="axis")),
    Tolerance(),
    Example("x: f32[B, 7]", "Exp(LogSoftmax(x, axis=-1))", "Softmax(x, axis=-1)"),
    Example("x: f32[B, 7]", "Exp(LogSoftmax(x, axis=-1) * 2.0)", because="does not fit"),
)
def fuse_exp_of_log(m: Match, op: Builder) -> Value:
    """exp(log softmax(x))  ->  Softmax(x)

    x, result: any shape.
    """
    return op.Softmax(m.x, axis=m.axis)


@rule(
    Softmax(x - top, axis="axis") | LogSoftmax(x - top, axis="axis"),
    Tolerance(),
    Example(
        "x: f32[B, 7]",
        "Softmax(x - ReduceMax(x, axes=(1,), keepdims=1), axis=1)",
        "Softmax(x, axis=-1)",
    ),
    Example(
        "x: f32[B, 7]",
        "Softmax(x - ReduceMax(x, axes=(0,), keepdims=1), axis=1)",
        because="other axes",
    ),
    may_share=True,
)
def drop_shift(m: Match, op: Builder) -> Value:
    """softmax(x - max x)  ->  softmax(x)

    x, result: any shape; the max runs over the axis of the Softmax, or the LogSoftmax.
    """
    need(m.axes == (m.axis,), "the max runs over other axes than the softmax")
    made = op.Softmax if m.node.op == "Softmax" else op.LogSoftmax
    return made(m.x, axis=m.axis)
