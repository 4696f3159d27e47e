"""A softmax that meets a logarithm or another softmax, and has less to do for it."""

from __future__ import annotations

from graphwright.ir.graph import Value
from graphwright.passes.application import any_node
from graphwright.passes.pattern import Log, LogSoftmax, Softmax, scalar, var
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule

x = var("x")
positive = any_node("Abs", "Relu", "Sigmoid", "Softmax", "Softplus", "Sqrt")
"""What is never negative, so that the logarithm of it is a number."""


@rule(
    Softmax(Log(positive + scalar("floor")), axis="axis"),
    Tolerance(),
    Example(
        "x: f32[B, 7, 7]",
        "Softmax(Log(Sigmoid(x)), axis=-1)",
        "p = Sigmoid(x)\np / ReduceSum(p, axes=(-1,), keepdims=1)",
    ),
    Example(
        "x: f32[B, 7, 7]",
        "Softmax(Log(Relu(x) + 0.01), axis=1)",
        "p = Relu(x) + 0.01\np / ReduceSum(p, axes=(-2,), keepdims=1)",
    ),
    Example("x: f32[B, 7]", "Softmax(Log(Relu(x) - 0.5), axis=-1)", because="may be negative"),
    Example("x: f32[B, 7]", "Softmax(Log(x), axis=-1)", because="does not fit"),
)
def drop_log_in_softmax(m: Match, op: Builder) -> Value:
    """softmax(log p)  ->  p / sum p

    p, result: any shape, p never negative; a row of zeros gives NaN in both forms.
    """
    need(m.floor >= 0, "what the logarithm is of may be negative")
    log = m.node.inputs[0]
    assert log is not None
    assert log.producer is not None
    p = log.producer.inputs[0]
    return op.Div(p, op.ReduceSum(p, axes=(m.axis,), keepdims=1))


@rule(
    Softmax(LogSoftmax(x, axis="axis"), axis="axis")
    | LogSoftmax(LogSoftmax(x, axis="axis"), axis="axis"),
    Tolerance(),
    Example("x: f32[B, 7]", "Softmax(LogSoftmax(x, axis=-1), axis=1)", "Softmax(x, axis=-1)"),
    Example("x: f32[B, 7]", "LogSoftmax(LogSoftmax(x, axis=1), axis=1)", "LogSoftmax(x, axis=-1)"),
    Example("x: f32[B, 7]", "Softmax(LogSoftmax(x, axis=0), axis=1)", because="does not fit"),
    Example("x: f32[B, 7]", "Softmax(Softmax(x, axis=1), axis=1)", because="does not fit"),
    may_share=True,
)
def drop_log_softmax(m: Match, op: Builder) -> Value:
    """softmax(log softmax(x))  ->  softmax(x)

    x, result: any shape. Of a row log softmax takes off one number, which softmax cannot see.
    """
    made = op.Softmax if m.node.op == "Softmax" else op.LogSoftmax
    return made(m.x, axis=m.axis)
