"""Rotary position embedding as an operator of the target's."""

from __future__ import annotations

from typing import NamedTuple

from graphwright.ir.dims import Dim
from graphwright.ir.graph import Value
from graphwright.ir.ops import constant
from graphwright.passes.pattern import RotaryEmbedding, var
from graphwright.passes.rule import Builder, Example, Match, NoMatch, Tolerance, need, rule
from graphwright.passes.shapes import Shape, dtype_of, expand, reshape, shape_of
from graphwright.passes.tables import Once, once

x = var("x")
OURS = RotaryEmbedding(x, Once("cos"), Once("sin"), interleaved="interleaved", width="width")
SINCE = 23
STANDARD = f"RotaryEmbedding@{SINCE}"
RUNTIMES = "com.microsoft::RotaryEmbedding"
GIVEN = "x: f32[B, 2, S, 8], cos: f32[S, 4], sin: f32[S, 4]"
ALIKE = "x: f32[B, 2, S, 8], cos: f32[S, 8], sin: f32[S, 8]"
PARTIAL = "interleaved=0, num_heads=2, rotary_embedding_dim=8"
TURNED = "RotaryEmbedding(x, cos, sin, interleaved=0, width=8)"


class Layout(NamedTuple):
    """Which axes of x are what; `tables` is how many rows of tables there are, 1 or the batch."""

    batch: Dim
    heads: Dim
    tokens: Dim
    width: int
    heads_first: bool
    tables: Dim


@rule(
    OURS,
    Tolerance(),
    Example(GIVEN, TURNED, f'call("{RUNTIMES}", x, i64([0]), cos, sin, interleaved=0)'),
    Example(
        GIVEN.replace("8]", "16]"),
        """
        c = Concat(cos, cos, axis=-1)
        RotaryEmbedding(x, c, Concat(sin, sin, axis=-1), interleaved=0, width=8)""",
        f'call("{RUNTIMES}", x, i64([0]), cos, sin, {PARTIAL})',
    ),
    Example(ALIKE, TURNED, because="does not fit"),
    Example("x: f32[2, S, 8], cos: f32[S, 4], sin: f32[S, 4]", TURNED, because="no axis of heads"),
    may_share=True,
)
def lower_rotary(m: Match, op: Builder) -> Value:
    """RotaryEmbedding(x, cos, sin)  ->  com.microsoft::RotaryEmbedding(x, [0], cos, sin)

    x, result: [B, H, S, D], or [B, S, H, D] with a Reshape around. The tables are of half the
    width or surely repeat their numbers, and have rows for all of the batch or for each of it. Only
    where ONNX Runtime runs the operator for x's element type.
    """
    need(op.budget.supports(RUNTIMES, dtype_of(m.x)), f"the runtime has no {RUNTIMES}")
    layout = _layout(m)
    rows = layout.tables * layout.tokens
    tables = [reshape(op, once(m, op, name), (rows, m.width // 2)) for name in ("cos", "sin")]
    return _given(m, op, layout, RUNTIMES, _positions(op, layout), *tables)


@rule(
    OURS,
    Tolerance(),
    Example(
        "x: f32[B, 2, S, 8], cos: f32[B, S, 4], sin: f32[B, S, 4]",
        """
        c = Unsqueeze(cos, axes=(1,))
        RotaryEmbedding(x, c, Unsqueeze(sin, axes=(1,)), interleaved=0, width=8)""",
        f'y: f32[B, 2, S, 8] = call("{STANDARD}", x, cos, sin, interleaved=0)\ny',
        opset=SINCE,
    ),
    Example(ALIKE, TURNED, because="does not fit"),
    Example("x: f32[2, S, 8], cos: f32[S, 4], sin: f32[S, 4]", TURNED, because="no axis of heads"),
    may_share=True,
)
def lower_standard_rotary(m: Match, op: Builder) -> Value:
    """RotaryEmbedding(x, cos, sin)  ->  ONNX's RotaryEmbedding(x, cos, sin), of opset 23

    x, result: [B, H, S, D], or [B, S, H, D] with a Reshape around. The tables are of half the
    width or surely repeat their numbers, and become [B, S, R / 2]. Only where the opset has the
    operator and ONNX Runtime runs it for x's element type.
    """
    opset = op.budget.opset or SINCE
    need(opset >= SINCE, f"the operator is there since opset {SINCE}")
    need(op.budget.supports("RotaryEmbedding", dtype_of(m.x)), "the runtime has no RotaryEmbedding")
    layout = _layout(m)
    shape = (layout.tables, layout.tokens, m.width // 2)
    tables = [_for_all(op, once(m, op, name), shape, layout.batch) for name in ("cos", "sin")]
    return _given(m, op, layout, f"RotaryEmbedding@{opset}", *tables)


def _for_all(op: Builder, table: Value, shape: Shape, batch: Dim) -> Value:
    """A table of `shape` for each of the batch, where there is one for all."""
    if shape[0] == batch or shape_of(table) != shape[1:]:  # which Expand sees through
        table = reshape(op, table, shape)
    return expand(op, table, (batch, *shape[1:]))


def _positions(op: Builder, layout: Layout) -> Value:
    """The row of the tables that each token has, or that the first one has."""
    if layout.tables == 1:
        return constant([0], "i64")
    count = layout.tables * layout.tokens
    end = constant(count, "i64") if isinstance(count, int) else op.Sizes(dims=count)
    numbers = op.Range(constant(0, "i64"), end, constant(1, "i64"))
    return reshape(op, numbers, (layout.tables, layout.tokens))


def _layout(m: Match) -> Layout:
    shape = shape_of(m.x) or ()
    need(len(shape) == 4, "there is no axis of heads")
    batch, first, second, width = shape
    assert isinstance(width, int)
    tables = [_lead(m, index) for index in (1, 2)]
    for heads_first, wanted in ((True, (1, second)), (False, (first, 1))):
        if all(lead[1:] == wanted for lead in tables) and tables[0][0] == tables[1][0]:
            heads, tokens = (first, second) if heads_first else (second, first)
            return Layout(batch, heads, tokens, width, heads_first, tables[0][0])
    raise NoMatch("the tables are not of one row for each position")


def _lead(m: Match, index: int) -> Shape:
    """The first three sizes of a table, as it meets x."""
    shape = shape_of(m.node.inputs[index]) or ()
    return (*(1,) * (4 - len(shape)), *shape)[:3]


def _given(m: Match, op: Builder, layout: Layout, name: str, *others: Value) -> Value:
    """What the operator gives for x, which it reads as [B, H, S, D] or [B, S, H * D]."""
    partial = m.width != layout.width
    attrs: dict[str, int] = {"interleaved": m.interleaved}
    if partial or not layout.heads_first:
        need(isinstance(layout.heads, int), "how many heads there are is known only at run time")
        assert isinstance(layout.heads, int)
        attrs["num_heads"] = layout.heads
    if partial:
        attrs["rotary_embedding_dim"] = m.width
    flat = (layout.batch, layout.tokens, layout.heads * layout.width)
    given = m.x if layout.heads_first else reshape(op, m.x, flat)
    y = op.call(name, given, *others, **attrs)
    y.type = given.type  # which ONNX's operator, being carried, does not tell
    return y if layout.heads_first else reshape(op, y, shape_of(m.x))
