"""Attention to tokens that its mask hides needs nothing of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from graphwright.ir.graph import Node, Value
from graphwright.passes.attention.factors import Factor, Unprovable, View, join, leaves
from graphwright.passes.attention.layout import (
    Laid,
    arranged,
    laid_alike,
    nearest_source,
    node_behind,
)
from graphwright.passes.attention.steps import first, shape
from graphwright.passes.axes.packing import apart, counted_by, is_laid_out, laid_out, places
from graphwright.passes.axes.table import working
from graphwright.passes.axes.working import axes
from graphwright.passes.looking import Looking, Readings
from graphwright.passes.rule import Builder, Example, Match, NoMatch, Tolerance, need, rule
from graphwright.passes.shapes import Shape, dtype_of, listed

DEEP = 400  # nodes that a mask is made of


class Tokens(NamedTuple):
    """Queries, keys or values where they come from, their axes there and where they are read.

    `chosen` are batch and tokens.
    """

    laid: Laid
    view: View
    chosen: list[Factor]


class Found(NamedTuple):
    """An attention of which only tokens that count are read."""

    attention: Node
    rows: Value
    counts: Value
    operands: list[Tokens]


def _looked(node: Node) -> Readings:
    counts, rows = counted_by(node), node.inputs[0]
    assert counts is not None
    assert rows is not None
    try:
        found = _read(rows, counts)
    except Unprovable as reason:
        raise NoMatch(str(reason)) from None
    given = [each.laid.value for each in found.operands]
    made_of = [*found.attention.inputs[3:], node.inputs[1]]
    yield found, [*given, *_outside([v for v in made_of if v is not None], counts, given)]


def _read(rows: Value, counts: Value) -> Found:
    view = axes(rows)
    laid = nearest_source(rows, view)
    attention = laid.value.producer
    if attention is None or attention.op != "Attention" or attention.bodies:
        raise NoMatch("what it chooses of is no attention")
    need(_is_read_once(rows, laid.value), "others read what the attention gives")
    worked = working(attention)
    result = worked.outputs[0]
    if result is None or len(result) != 4:
        raise NoMatch("it has several axes of batch")
    for own, other in zip(result, laid.view, strict=True):
        join(other, own)
    batch, queries = leaves(result[0]), leaves(result[-2])
    need(leaves(view[0]) == [*batch, *queries], "it does not choose of batch and queries")
    need(dtype_of(counts) == "bool", "what counts is not said by True and False")
    operands: list[Tokens] = []
    for i, value in enumerate(attention.inputs[:3]):
        each = worked.inputs[i]
        assert each is not None
        assert value is not None
        tokens = leaves(each[-2])
        need(leaves(each[0]) == batch, "its keys are of another batch")
        need(shape(value)[-2] == shape(counts)[1], "its keys are other tokens than its queries")
        source = nearest_source(value, each)
        behind = node_behind(value, ("Gather",))
        need(behind is None or not is_laid_out(behind), "what is hidden was dropped")
        operands.append(Tokens(source, each, [*batch, *tokens]))
    return Found(attention, rows, counts, operands)


def _is_read_once(value: Value, source: Value) -> bool:
    """Whether nobody else reads `value`, or what it is on the way from `source`."""
    while value is not source:
        if len(value.uses) != 1 or value.producer is None:
            return False
        value = first(value.producer)
    return len(source.uses) == 1


def _outside(made: Iterable[Value], counts: Value, given: list[Value]) -> list[Value]:
    """What the mask of an attention is made of beside what says which tokens count.

    All that depends on the same input is inside, so that a check makes masks and not numbers; and
    what depends on no input.
    """
    origin = counts
    while origin.producer is not None and origin.producer.inputs[0] is not None:
        origin = origin.producer.inputs[0]
    inside: dict[Value, bool] = {origin: True, **dict.fromkeys(given, False)}
    for each in made:
        _depends(each, inside)
    need(len(inside) < DEEP, "its mask is made of too much")
    border: dict[Value, None] = {origin: None}
    waiting, seen = [v for v in made if inside[v]], set(made)
    border.update(dict.fromkeys(v for v in made if not inside[v] and v.const is None))
    while waiting:
        node = waiting.pop().producer
        for value in node.operands() if node is not None else ():
            if value is None or value in seen or value is origin:
                continue
            seen.add(value)
            if inside[value]:
                waiting.append(value)
            elif value.const is None:
                border[value] = None
    return list(border)


def _depends(root: Value, inside: dict[Value, bool]) -> None:
    """Note of each value that `root` is made of whether it has to be inside."""
    stack = [root]
    while stack and len(inside) < DEEP:
        value = stack[-1]
        node = value.producer
        if value in inside or node is None:
            inside.setdefault(value, value.const is not None)
            stack.pop()
            continue
        operands = [v for v in node.operands() if v is not None]
        missing = [v for v in operands if v not in inside]
        if missing:
            stack += missing
            continue
        closed = all(inside[v] for v in operands)
        masks = any(inside[v] for v in operands if v.const is None)
        inside[value] = closed or masks
        stack.pop()
    need(root in inside, "its mask is made of too much")


def _packs(node: Node) -> bool:
    return node.attrs.get("axis") == 0 and counted_by(node) is not None


GIVEN = "q: f32[B, 2, S, 4], k: f32[B, 2, S, 4], v: f32[B, 2, S, 4], c: bool[B, S]"
PLAIN = "scale=0.5, cap=0.0, filler=-inf, guard=0, precision=''"
READ = """
        y = Attention(q, k, v, None, {mask}, {plain})
        rows = Reshape(Transpose(y, perm=(0, 2, 1, 3)), i64([-1, 8]))
        place: i64[1, _counted] = NonZero(Reshape(c, i64([-1])))
        Gather(rows, Reshape(place, i64([-1])), axis=0)"""

FULL = """
        {x}r = Gather(Reshape(Transpose({x}, perm=(0, 2, 1, 3)), i64([-1, 8])), at, axis=0)
        {x}a = Concat(f32([[0, 0, 0, 0, 0, 0, 0, 0]]), {x}r, axis=0)
        {x}f = Reshape(Gather({x}a, to, axis=0), dims, allowzero=1)
        {x}z = Transpose({x}f, perm=(0, 2, 1, 3))"""
AFTER = f"""
        m = Unsqueeze(c, axes=(1, 2))
        flat = Reshape(c, i64([-1]))
        place: i64[1, _counted] = NonZero(flat)
        at = Reshape(place, i64([-1]))
        one = Cast(flat, to="i64")
        dims = Sizes(dims=(B, S, 2, 4))
        to = CumSum(one, i64(0), exclusive=0, reverse=0) * one
        {FULL.format(x="q").strip()}
        {FULL.format(x="k").strip()}
        {FULL.format(x="v").strip()}
        y = Attention(qz, kz, vz, None, m, {PLAIN})
        Gather(Reshape(Transpose(y, perm=(0, 2, 1, 3)), i64([-1, 8])), at, axis=0)"""


@rule(
    Looking(_looked, "Gather", when=_packs),
    Tolerance(),
    Example(GIVEN, READ.format(mask="Unsqueeze(c, axes=(1, 2))", plain=PLAIN), AFTER, opset=17),
    Example(
        GIVEN.replace("S, 4], v", "T, 4], v").replace("v: f32[B, 2, S", "v: f32[B, 2, T"),
        READ.format(mask="None", plain=PLAIN),
        because="other tokens",
    ),
    may_share=True,
    adds=True,
)
def drop_hidden_tokens(m: Match, op: Builder) -> Value:
    """rows of Attention(q, k, v)  ->  those of Attention of the rows that count, and zeros

    q, k, v: [B, H, S, D]; the rows that count are chosen of what it gives. Where the mask hides the
    others, as the check of each place tries, nothing depends on them. What gives q, k and v is then
    computed for the rows that count (`move-rows`).
    """
    if m.why is not None:
        raise NoMatch(m.why)
    found: Found = m.found
    index = m.node.inputs[1]
    assert index is not None
    at, lists = places(op.call, index), dict[Shape, Value]()
    operands = [_without_hidden(op, each, index, at, lists) for each in found.operands]
    attention = found.attention
    y = op.Attention(*operands, *attention.inputs[3:], **dict(attention.attrs))
    rows = laid_alike(op, y, found.rows, attention.outputs[0])
    return op.Gather(rows, index, axis=0)


def _without_hidden(
    op: Builder, tokens: Tokens, index: Value, at: Value, lists: dict[Shape, Value]
) -> Value:
    """A tensor whose tokens that do not count are zeros, by way of its rows that do."""
    laid = tokens.laid
    every = [leaf for axis in laid.view for leaf in leaves(axis)]
    width = [leaf for leaf in every if leaf not in tokens.chosen]
    rows = arranged(op, laid.value, laid.view, [tokens.chosen, width])
    full = laid_out(op.call, op.Gather(rows, index, axis=0), at)
    single = [[leaf] for leaf in (*tokens.chosen, *width)]
    dims = tuple(leaf.size for (leaf,) in single)
    if dims not in lists:
        lists[dims] = listed(op, dims)
    return arranged(op, apart(op.call, full, lists[dims], op.budget.opset), single, tokens.view)
