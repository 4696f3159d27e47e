"""Chains of views, which only regroup or reorder the axes, become one."""

from __future__ import annotations

from graphwright.ir.graph import Node, Value
from graphwright.ir.operators import reductions
from graphwright.passes.application import any_node, axes_from_end
from graphwright.passes.pattern import Transpose, var
from graphwright.passes.rule import Builder, Exact, Example, Match, need, rule
from graphwright.passes.shapes import reshape, shape_of

x = var("x")
VIEWS = ("Reshape", "Squeeze", "Unsqueeze", "Flatten")
REDUCTIONS = tuple(name for name, _ in reductions.REDUCTIONS)


@rule(
    any_node(*VIEWS, of=any_node(*VIEWS, of=x)),
    Exact(),
    Example(
        "x: f32[B, S, 64]",
        "Reshape(Reshape(x, i64([-1, 64])), i64([-1, 8, 8]))",
        "Reshape(x, i64([-1, 8, 8]))",
    ),
    Example("x: f32[B, S]", "Tanh(Squeeze(Unsqueeze(x, axes=(1,)), axes=(1,)))", "Tanh(x)"),
    Example(
        "x: f32[B, S]",
        "Unsqueeze(Unsqueeze(x, axes=(1,)), axes=(1,))",
        "Unsqueeze(x, axes=(1, 2))",
    ),
    Example("x: f32[...]", "Squeeze(Unsqueeze(x, axes=(0,)), axes=(1,))", because="not known"),
    may_share=True,
)
def merge_views(m: Match, op: Builder) -> Value:
    """Reshape(Reshape(x, s), t)  ->  Reshape(x, t), or x

    Likewise of Squeeze, Unsqueeze and Flatten, in any order.
    """
    made = reshape(op, m.x, shape_of(m.root))
    need(made is m.x or m.x in _read(made), "it takes two views as well when it is made anew")
    return made


def _read(value: Value) -> tuple[Value | None, ...]:
    return value.producer.inputs if value.producer else ()


@rule(
    Transpose(Transpose(x, perm="first"), perm="second"),
    Exact(),
    Example(
        "x: f32[B, 2, S, 64]",
        "Transpose(Transpose(x, perm=(0, 2, 1, 3)), perm=(0, 1, 3, 2))",
        "Transpose(x, perm=(0, 2, 3, 1))",
    ),
    Example("x: f32[B, 64]", "Tanh(Transpose(Transpose(x, perm=(1, 0)), perm=(1, 0)))", "Tanh(x)"),
    may_share=True,
)
def merge_transposes(m: Match, op: Builder) -> Value:
    """Transpose(Transpose(x, p), q)  ->  Transpose(x, p[q]), or x"""
    perm = tuple(m.first[axis] for axis in m.second)
    return m.x if perm == tuple(range(len(perm))) else op.Transpose(m.x, perm=perm)


def _drops_axes(node: Node) -> bool:
    return node.attrs["keepdims"] == 0 and "axes" in node.attrs


@rule(
    any_node("Unsqueeze", of=any_node(*REDUCTIONS, when=_drops_axes, of=x)),
    Exact(),
    Example(
        "x: f32[B, 8]",
        "Unsqueeze(ReduceMax(x, axes=(1,), keepdims=0), axes=(-1,))",
        "ReduceMax(x, axes=(1,), keepdims=1)",
    ),
    Example(
        "x: f32[B, 8]",
        "Unsqueeze(ReduceMax(x, axes=(1,), keepdims=0), axes=(0,))",
        because="other axes",
    ),
)
def merge_unsqueeze(m: Match, op: Builder) -> Value:
    """Unsqueeze(ReduceMax(x, axes, keepdims=0), axes)  ->  ReduceMax(x, axes, keepdims=1)

    Likewise of every other reduction.
    """
    reduced = m.node.inputs[0]
    assert reduced is not None
    reduction = reduced.producer
    assert reduction is not None
    need(
        shape_of(m.x) is not None and axes_from_end(m.node) == axes_from_end(reduction),
        "it puts other axes in than were reduced",
    )
    return getattr(op, reduction.op)(m.x, **{**reduction.attrs, "keepdims": 1})
