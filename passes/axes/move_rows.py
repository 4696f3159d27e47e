"""Rows that are chosen are chosen before all that works row by row."""

from __future__ import annotations

from typing import NamedTuple

from graphwright.ir.graph import Node, Use, Value
from graphwright.passes.attention.factors import Unprovable, View
from graphwright.passes.axes.chosen import Rows, rows_of
from graphwright.passes.axes.naming import PRODUCTS
from graphwright.passes.axes.packing import counted_by
from graphwright.passes.axes.region import Region, grown, place
from graphwright.passes.axes.remaking import remade
from graphwright.passes.looking import Looking, Readings
from graphwright.passes.rule import Builder, Example, Match, NoMatch, Tolerance, need, rule
from graphwright.passes.shapes import reshape, shape_of

PICKERS = ("Gather", "Slice", "GatherND")
WORTH = PRODUCTS | {"Attention", "Conv"}


class Found(NamedTuple):
    """Rows that are chosen, and what they can be chosen before."""

    rows: Rows
    region: Region


def _looked(node: Node) -> Readings:
    try:
        rows = rows_of(node)
    except Unprovable as reason:
        raise NoMatch(str(reason)) from None
    need(rows.chosen, "there is one row")
    region = grown(node, rows.value, rows.view, rows.chosen, rows.may)
    worth = counted_by(node) is not None or any(n.op in WORTH for n in region.nodes())
    need(worth and region.entered, "no product stands before it")
    entered = set(region.entered)
    inputs = [v for n in region.nodes() for v in n.inputs]
    leaves = [v for v in (*inputs, *node.inputs[1:]) if v is not None and v not in entered]
    yield Found(rows, region), dict.fromkeys(leaves)


def _chooses(node: Node) -> bool:
    """Whether it may choose rows of what is computed, at a glance."""
    value = node.inputs[0]
    return (
        value is not None
        and value.producer is not None
        and len(value.uses) == 1
        and bool(shape_of(value))
        and shape_of(node.outputs[0]) is not None
    )


GIVEN = "x: f32[B, S, 8], w: f32[8, 8], v: f32[8]"


@rule(
    Looking(_looked, *PICKERS, when=_chooses),
    Tolerance(),
    Example(
        GIVEN,
        "Gather(Tanh(x @ w + v), i64(0), axis=1)",
        "Reshape(Tanh(Gather(x, i64([0]), axis=1) @ w + v), i64([-1, 8]))",
    ),
    Example(
        "x: f32[B, S, 8], w: f32[8, 12]",
        "Slice(Reshape(x @ w, i64([0, 0, 3, 4])), i64([-1]), i64([9223372036854775807]), i64([1]))",
        """
        y = Slice(x, i64([-1]), i64([9223372036854775807]), i64([1])) @ w
        Reshape(y, Sizes(dims=(B, min(S, 1), 3, 4)))""",
    ),
    Example(GIVEN, "Gather(Softmax(x @ w, axis=1), i64(0), axis=1)", because="no product"),
    Example(GIVEN, "Gather(Tanh(x), i64(0), axis=1)", because="no product"),
    Example(
        "x: f32[4, 8], w: f32[8, 8]",
        "Gather(x @ w, i64([0, 1, 2, 3, 0, 1]), axis=0)",
        because="more rows than there are",
    ),
    may_share=True,
)
def move_rows(m: Match, op: Builder) -> Value:
    """f(x)[rows]  ->  f(x[rows]), where f works row by row

    f: all that is pointwise along the axis, as `graphwright show --axes` says it, up to what others
    read too; of attention the queries. Nothing is computed that nobody reads. Where rows are chosen
    in each batch, or of batch and tokens together, what has only one of the two is chosen alike.
    """
    if m.why is not None:
        raise NoMatch(m.why)
    found: Found = m.found
    made: dict[Value, Value] = {}
    picked: dict[object, Value] = {}
    region, rows = found.region, found.rows
    for value in reversed(region.entered):
        node, worked = value.producer, region.entered[value]
        assert node is not None
        index = node.outputs.index(value)
        result = worked.outputs[index]
        assert result is not None
        given: list[Value | None] = []
        for i, each in enumerate(node.inputs):
            view = None if each is None else region.reads.get(each, {}).get(Use(node, i))
            if each is None or view is None:
                given.append(each)
            elif each in made:
                given.append(made[each])
            else:
                given.append(_picked(op, found, each, view, result, picked))
        made[value] = remade(op, node, worked, given, rows.sizes(), index)
    return reshape(op, made[rows.value], shape_of(m.root))


def _picked(
    op: Builder, found: Found, value: Value, view: View, result: View, before: dict[object, Value]
) -> Value:
    """The chosen rows of a value, once for all that need them laid out alike."""
    rows, region = found
    at = place(view, region)
    if len(at) < len(region.leaves()):
        return rows.of(op, value, view, result)
    if (value, at) not in before:
        before[value, at] = rows.of(op, value, view, result)
    return before[value, at]
