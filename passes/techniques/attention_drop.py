"""Attention sublayers that change their stream least are left out.

Paper: He et al. 2024, "What Matters in Transformers? Not All Attention is Needed",
arXiv:2406.15786, section 3: attention drop, in one step.
Claims: Llama-2-70B without half of its attention layers runs 48.4% faster and loses 2.4%.
Checked: the similarities against those computed by hand, a layer whose projection is 0 goes without
any change, its cache goes with it, and what it costs on a trained encoder.
Use not: the cosine does not see scale, so a sublayer that multiplies its stream counts as idle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from graphwright.ir.const import Array
from graphwright.ir.contracts import Approximate
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node, Value
from graphwright.passes.padding import laid, padding, rows
from graphwright.passes.rule import Example, need
from graphwright.passes.technique import Replacement, Tap, Work, technique

LOOK = 32


class Sublayer(NamedTuple):
    """What an attention adds to a stream: `added` to `other`, where `stream` is what it read."""

    attention: Node
    sum: Node
    other: Value
    added: Value
    stream: Value


def _promise(*, number: int = 1) -> Approximate:
    if number < 1:
        raise ModelError(f"attention-drop: {number} attentions cannot be dropped")
    return Approximate("relative_l2", 2.0)


@technique(
    _promise,
    Example(
        "q: f32[B, 2, S, 4], k: f32[B, 2, T, 4], v: f32[B, 2, T, 4], x: f32[B, 2, S, 4]",
        "Attention(q, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='') + x",
        because="no stream",
    ),
    needs="data, unless layers are named",
)
def attention_drop(graph: Graph, work: Work, *, number: int = 1) -> Iterator[Replacement]:
    """x + attention(norm(x))  ->  x, where cos(x, x + attention(norm(x))) is largest

    x: [..., N]. The cosine is a mean over all tokens of the data but padding, measured once, with
    all attentions in place. `@layers` names attentions to be dropped; else the `number` most idle
    ones go; the report says how long what they added was, beside their stream. The error is what
    the attention added. Keys and values that are caches are no
    longer taken nor given.
    """
    found: list[Sublayer] = []
    for _, node in work.layers(graph):
        with work.trying(node):
            found.append(_sublayer(node))
    if work.places.layers is None and found:
        likeness, added = similarities(graph, found, work)
        idle = sorted(np.argsort(-likeness, kind="stable")[:number])
        for i in idle:
            numbers = ("cosine", float(likeness[i])), ("added", float(added[i]))
            work.chosen[found[i].attention] = {name: (number,) for name, number in numbers}
        found = [found[i] for i in idle]
    for each in found:
        yield Replacement(each.sum.outputs[0], each.other)


def similarities(graph: Graph, found: list[Sublayer], work: Work) -> tuple[Array, Array]:
    """Of each sublayer the mean cosine of its stream before and after, over all tokens.

    And the mean length of what it adds, as a part of its stream's.
    """
    start = np.zeros(3)
    with padding(graph, work) as known:
        taps: list[Tap[Any]] = [
            Tap((each.stream, each.added, *known.of(laid(each.stream))), start, _cosines)
            for each in found
        ]
        sums = np.array(known.observe(taps))
    return sums[:, 0] / sums[:, 2], sums[:, 1] / sums[:, 2]


def _cosines(state: Array, x: Array, added: Array, *real: Array) -> Array:
    before, change = (rows(each, *real).astype(np.float64) for each in (x, added))
    after = before + change
    size, more = (np.linalg.norm(each, axis=1) for each in (before, change))
    lengths = size * np.linalg.norm(after, axis=1)
    dots = np.einsum("ij,ij->i", before, after)
    whole = lengths > 0
    cosine, part = dots[whole] / lengths[whole], more[whole] / size[whole]
    return np.asarray(state + np.array([cosine.sum(), part.sum(), len(before)]))


def _sublayer(attention: Node) -> Sublayer:
    before = _behind(attention)
    value = attention.outputs[0]
    first: tuple[Node, Value, Value] | None = None
    for _ in range(LOOK):
        need(len(value.uses) == 1 or first is not None, "others read what it gives")
        sums = [use for use in value.uses if use.node.op != "return"]
        if len(sums) != 1:
            break
        node, at = sums[0]
        other = node.inputs[1 - at] if node.op == "Add" and at < 2 else None
        if other is not None and other.const is None and other.type == value.type:
            first = first or (node, other, value)
            if other in before:
                return Sublayer(attention, *first, other)
        elif first is not None:
            break
        value = node.outputs[0]
    need(condition=False, why="there is no stream that it adds to")
    raise AssertionError


def _behind(attention: Node) -> set[Value]:
    """All that an attention is made of."""
    found: set[Value] = set()
    work = [v for v in attention.operands() if v is not None]
    while work:
        value = work.pop()
        if value not in found and value.const is None:
            found.add(value)
            if value.producer is not None:
                work += [v for v in value.producer.operands() if v is not None]
    return found
