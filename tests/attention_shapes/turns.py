"""Stages that take axes for each other, or contract along others than an attention does."""

from __future__ import annotations

import numpy as np
from tests.attention_shapes.attention import Stage
from tests.attention_shapes.draft import Draft
from tests.attention_shapes.sheet import Tensor


def turned(name: str) -> Stage:
    """Queries and keys exchanged, where there are as many of one as of the other."""

    def stage(draft: Draft) -> None:
        x = draft.get(name)
        *front, s, t = x.axes
        other = draft.sheet.transpose(x, (*front, t, s))
        setattr(draft, name, Tensor(other.name, x.axes))

    return stage


def permuted(name: str, perm: tuple[int, ...]) -> Stage:
    """The axes in another order, as if nothing had been: all are equally long."""

    def stage(draft: Draft) -> None:
        x = draft.get(name)
        other = draft.sheet.node("Transpose", x.name, perm=list(perm))
        setattr(draft, name, Tensor(other, x.axes))

    return stage


def reversed_keys(name: str) -> Stage:
    """The keys in reverse order, of keys or of values alone."""

    def stage(draft: Draft) -> None:
        sheet, x = draft.sheet, draft.get(name)
        at = x.at("t")
        bounds = [sheet.constant([n]) for n in (-1, np.iinfo(np.int64).min, at, -1)]
        setattr(draft, name, sheet.make("Slice", x.axes, x.name, *bounds))

    return stage


def values_by(equation: str, axes: tuple[str, ...]) -> Stage:
    """Weights and values contracted otherwise."""

    def stage(draft: Draft) -> None:
        sheet, weights, v = draft.sheet, draft.get("weights"), draft.get("v")
        names = (weights.name, v.name)
        draft.result = sheet.make("Einsum", axes, *names, equation=equation)

    return stage


def scores_by(equation: str) -> Stage:
    """Queries and keys contracted otherwise."""

    def stage(draft: Draft) -> None:
        sheet, q, k = draft.sheet, draft.get("q"), draft.get("k")
        axes = (*q.axes[:-1], "t")
        draft.scores = sheet.make("Einsum", axes, q.name, k.name, equation=equation)

    return stage


def values_of_queries(draft: Draft) -> None:
    """Each query has values of its own."""
    sheet, weights = draft.sheet, draft.get("weights")
    own = sheet.given_input("own_values", (*weights.axes, "e"))
    axes = (*weights.axes[:-1], "e")
    draft.result = sheet.make("Einsum", axes, weights.name, own.name, equation="bhst,bhste->bhse")


def interleaved(*names: str) -> Stage:
    """Heads that take every so many-eth column, and not columns that stand together."""

    def stage(draft: Draft) -> None:
        sheet = draft.sheet
        for name in names:
            x = draft.get(name)
            *front, heads, width = x.axes
            cut = sheet.reshape(sheet.reshape(x, (*front, heads + width)), (*front, width, heads))
            setattr(draft, name, sheet.transpose(cut, x.axes))

    return stage
