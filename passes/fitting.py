"""Knobs of normalizers that data chooses: the best of a list of numbers, for each head alone."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import dedent
from typing import Any, TypeAlias

import numpy as np

from graphwright.ir.const import Array
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.normalizers import body, compute
from graphwright.ir.ops import OPS
from graphwright.passes.attention.bodies import scores_type
from graphwright.passes.attention.validity import hidden
from graphwright.passes.padding import Padding, padding
from graphwright.passes.rule import Builder, NoMatch
from graphwright.passes.shapes import shape_of
from graphwright.passes.technique import Knob, Tap, Work

DATA = "data"
"""What a knob is that data chooses."""

Cost: TypeAlias = "Callable[[float, Array], Array]"
Normalize: TypeAlias = "Callable[[Array], Array]"


@dataclass(frozen=True)
class Fit:
    """A knob that may be `data`: each head takes the one of `candidates` that costs it least.

    `cost(number, scores)` gives what a number costs, of scores [*B, H, S, T], with H where it was;
    by default that is the squared distance of what the attention gives from what it gave.
    """

    knob: str
    candidates: tuple[float, ...]
    cost: Cost | None = None

    def each(self, knobs: Mapping[str, Knob]) -> list[dict[str, Knob]]:
        """The knobs as they are, or where data is to choose one, with each candidate for it."""
        if knobs.get(self.knob) != DATA:
            return [dict(knobs)]
        return [{**knobs, self.knob: number} for number in self.candidates]


def fitted(
    fit: Fit, work: Work, graph: Graph, formula: Callable[..., str], knobs: dict[str, Knob]
) -> dict[Node, str]:
    """The formula of each attention that was asked for, with what data chose for its heads.

    Queries that are padding do not count. Where it is impossible, `work` notes it, and there is
    none.
    """
    texts = [formula(**given) for given in fit.each(knobs)]
    taps: dict[Node, Tap[Any]] = {}
    made: list[Builder] = []
    with padding(graph, work) as known:
        for _, node in work.layers(graph):
            with work.trying(node):
                made.append(work.at(node.outputs[0], [v for v in node.inputs if v is not None]))
                taps[node] = _tap(fit, made[-1], node, texts, known)
        try:
            costs = known.observe(list(taps.values()))
        except NoMatch as why:
            work.left.extend((node, str(why)) for node in taps)
            return {}
        finally:
            for op in made:
                op.discard()
    found = {}
    for node, cost in zip(taps, costs, strict=True):
        best = cost.argmin(0)
        work.chosen[node] = {fit.knob: tuple(fit.candidates[i] for i in best)}
        found[node] = in_each_head([texts[i] for i in best])
    return found


def _tap(fit: Fit, op: Builder, node: Node, texts: Sequence[str], known: Padding) -> Tap[Any]:
    """What each candidate costs each head of an attention: [candidates, H]."""
    scores = scores_type(node.inputs, node.attrs)
    bodies = [body(text, scores) for text in texts]
    inputs, attrs = hidden(op, node)
    step = partial(_step, fit=fit, inputs=inputs, attrs=attrs, bodies=bodies)
    read = tuple(v for v in inputs if v is not None and v.const is None)
    shape = shape_of(node.outputs[0]) or ()
    tokens = known.of((shape[0], shape[2])) if len(shape) == 4 else ()
    return Tap((*read, *tokens), np.zeros(()), step)


def _step(
    state: Array,
    *arrays: Array,
    fit: Fit,
    inputs: Sequence[Value | None],
    attrs: Mapping[str, Any],
    bodies: Sequence[Graph],
) -> Array:
    read = iter(arrays)
    given = [None if v is None else v.const.load() if v.const else next(read) for v in inputs]
    real = next(read, None)
    attention = partial(_attention(), *given, **attrs)
    with np.errstate(all="ignore"):
        if fit.cost is not None:
            scores = _scores(attention)
            found = [fit.cost(number, scores) for number in fit.candidates]
        else:
            was = attention().astype(np.float64)
            found = [(attention(normalizer=partial(compute, each)) - was) ** 2 for each in bodies]
    if real is not None:  # [B, 1, 1, S], of queries [B, 1, S, 1]
        found = [np.where(real.swapaxes(-1, -2), each, 0.0) for each in found]
    return np.asarray(state + np.stack([_by_head(each) for each in found]))


def _attention() -> Callable[..., Array]:
    meaning = OPS["Attention"].numpy
    assert meaning is not None
    return meaning


def _scores(attention: Callable[..., Array]) -> Array:
    """What a normalizer would see."""
    seen: list[Array] = []

    def look(scores: Array) -> Array:
        seen.append(scores)
        return scores

    attention(normalizer=look)
    return seen[0].astype(np.float64)


def _by_head(cost: Array) -> Array:
    """The sum over all axes but that of heads; what is no number counts for nothing."""
    axes = tuple(i for i in range(cost.ndim) if i != cost.ndim - 3)
    return np.asarray(np.nansum(cost, axis=axes))


def in_each_head(texts: Sequence[str]) -> str:
    """One formula for all heads, of one for each, which differ in their numbers alone."""
    return ast.unparse(_together([ast.parse(dedent(text)) for text in texts]))


def _together(each: Sequence[Any]) -> Any:
    numbers = [_number(at) for at in each]
    if None not in numbers and len(set(numbers)) > 1:
        return ast.List([ast.Constant(number) for number in numbers], ast.Load())
    first = each[0]
    for name, held in ast.iter_fields(first) if isinstance(first, ast.AST) else ():
        parts = [getattr(at, name) for at in each]
        if isinstance(held, list):
            setattr(first, name, [_together(item) for item in zip(*parts, strict=True)])
        else:
            setattr(first, name, _together(parts))
    return first


def _number(at: object) -> float | None:
    if isinstance(at, ast.UnaryOp) and isinstance(at.op, ast.USub):
        inner = _number(at.operand)
        return None if inner is None else -inner
    held = at.value if isinstance(at, ast.Constant) else None
    return held if isinstance(held, int | float) else None
