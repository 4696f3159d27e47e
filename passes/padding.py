"""Which tokens are padding, as far as the masks of a model's attentions say, for statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from graphwright.ir.const import Array
from graphwright.ir.dims import Dim, product
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Value
from graphwright.passes.attention.native_parts import padded
from graphwright.passes.attention.validity import left_to_see
from graphwright.passes.rule import Builder, NoMatch
from graphwright.passes.shapes import shape_of
from graphwright.passes.technique import Tap, Work

Lead: TypeAlias = tuple[Dim, ...]


@dataclass
class Padding:
    """What is known of padding: of tokens laid out as (B, S), bool[B, 1, 1, S] of those that count.

    What it gives is to be observed beside what holds the tokens.
    """

    known: list[Value]
    work: Work
    asked: dict[Value, None] = field(default_factory=dict)

    def of(self, lead: Lead) -> tuple[Value, ...]:
        """Which tokens are real that are laid out as (B, S), or (B * S,); () if no mask tells."""
        for tokens in self.known:
            batch, *_, length = shape_of(tokens) or (0, 0)
            if lead in ((batch, length), (product((batch, length)),)):
                self.asked[tokens] = None
                return (tokens,)
        return ()

    def observe(self, taps: Sequence[Tap[Any]]) -> list[Any]:
        """The states of taps. Raises ModelError where nothing but padding was met."""
        counts = [Tap((tokens,), 0, lambda n, real: n + int(real.sum())) for tokens in self.asked]
        states = self.work.observe([*taps, *counts])
        if not all(states[len(taps) :]):
            raise ModelError("the data holds nothing but padding")
        return states[: len(taps)]


@contextmanager
def padding(graph: Graph, work: Work) -> Iterator[Padding]:
    """What the masks of a model's attentions say of padding, within this context.

    A token is padding if no query of an attention over tokens so laid out sees it.
    """
    made: list[Builder] = []
    known: list[Value] = []
    for node in graph.nodes():
        if node.op == "Attention":
            made.append(work.at(node.outputs[0], [v for v in node.inputs if v is not None]))
            try:
                known += _tokens(made[-1], *padded(node, 5)[3:5])
            except NoMatch:
                continue
    try:
        yield Padding(known, work)
    finally:
        for op in made:
            op.discard()


def laid(x: Value) -> Lead:
    """How the tokens are laid out of which `x` holds a row each."""
    return (shape_of(x) or ())[:-1]


def rows(x: Array, *real: Array) -> Array:
    """The rows [N, C] of what holds them, those of padding left out."""
    flat = x.reshape(-1, x.shape[-1])
    if not real:
        return flat
    return np.asarray(flat[real[0].reshape(-1)])


def _tokens(op: Builder, bias: Value | None, mask: Value | None) -> list[Value]:
    """The keys that some query sees, bool[B, 1, 1, T], where that depends on what is given."""
    given = [v for v in (bias, mask) if v is not None and v.const is None]
    seen = left_to_see(op, bias, mask) if given else None
    shape = shape_of(seen) if seen is not None else None
    if seen is None or shape is None or len(shape) != 4 or shape[-1] == 1:
        return []
    over = tuple(axis for axis in (-3, -2) if shape[axis] != 1)
    if over:
        flags = op.ReduceMax(op.Cast(seen, to="f32"), axes=over, keepdims=1)
        seen = op.Greater(flags, 0.5)
    return [seen]
