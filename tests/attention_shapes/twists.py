"""Stages that make something else of an attention, or almost the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto
from tests.attention_shapes.attention import STAGES, Stage
from tests.attention_shapes.draft import Draft
from tests.attention_shapes.weights import reduced


def then(stage: str, *after: Stage) -> dict[str, Stage]:
    """The stage as it is, and more behind it."""

    def both(draft: Draft) -> None:
        for each in (STAGES[stage], *after):
            each(draft)

    return {stage: both}


def on(name: str, op: str, *numbers: float, number_first: bool = False) -> Stage:
    """An operator on scores or weights, with numbers beside them."""

    def stage(draft: Draft) -> None:
        x, sheet = draft.get(name), draft.sheet
        stored = [sheet.number(number) for number in numbers]
        names = [*stored, x.name] if number_first else [x.name, *stored]
        setattr(draft, name, sheet.make(op, x.axes, *names))

    return stage


def squared(name: str) -> Stage:
    def stage(draft: Draft) -> None:
        x = draft.get(name)
        setattr(draft, name, draft.sheet.make("Mul", x.axes, x.name, x.name))

    return stage


def shown(name: str) -> Stage:
    """Another reader: the tensor is an output too."""

    def stage(draft: Draft) -> None:
        x = draft.get(name)
        draft.also.append(draft.sheet.make("Identity", x.axes, x.name))

    return stage


def softmax_over(axis: int) -> Stage:
    def stage(draft: Draft) -> None:
        x = draft.get("scores")
        draft.weights = draft.sheet.make("Softmax", x.axes, x.name, axis=axis)

    return stage


def sigmoid(draft: Draft) -> None:
    x = draft.get("scores")
    draft.weights = draft.sheet.make("Sigmoid", x.axes, x.name)


def softmax_of_both(draft: Draft) -> None:
    """Normalized over queries and keys at once."""
    sheet, x = draft.sheet, draft.get("scores")
    flat = sheet.reshape(x, (*x.axes[:-2], "st"))
    draft.weights = sheet.reshape(sheet.make("Softmax", flat.axes, flat.name, axis=-1), x.axes)


def written_out(largest: int = -1, summed: int = -1, more: float = 0.0) -> Stage:
    """A softmax by its parts, each over its own axis, and a number added to the sum."""

    def stage(draft: Draft) -> None:
        sheet, x = draft.sheet, draft.get("scores")
        shifted = sheet.node("Sub", x.name, reduced(sheet, "ReduceMax", x.name, largest))
        raised = sheet.node("Exp", shifted)
        total = reduced(sheet, "ReduceSum", raised, summed)
        if more:
            total = sheet.node("Add", total, sheet.number(more))
        draft.weights = sheet.make("Div", x.axes, raised, total)

    return stage


def summed_of_others(draft: Draft) -> None:
    """Exponentials divided by the sum of other exponentials."""
    sheet, x = draft.sheet, draft.get("scores")
    raised = sheet.node("Exp", sheet.node("Tanh", x.name))
    total = reduced(sheet, "ReduceSum", sheet.node("Exp", sheet.node("Sin", x.name)), -1)
    draft.weights = sheet.make("Div", x.axes, raised, total)


def normalized_without_exponential(draft: Draft) -> None:
    sheet, x = draft.sheet, draft.get("scores")
    positive = sheet.node("Abs", x.name)
    total = reduced(sheet, "ReduceSum", positive, -1)
    draft.weights = sheet.make("Div", x.axes, positive, total)


def shifted_over_queries(draft: Draft) -> None:
    """Less the largest score of each key, which does change the weights."""
    sheet, x = draft.sheet, draft.get("scores")
    largest = reduced(sheet, "ReduceMax", x.name, -2)
    draft.scores = sheet.make("Sub", x.axes, x.name, largest)


def renormalized_over_queries(draft: Draft) -> None:
    sheet, x = draft.sheet, draft.get("weights")
    draft.weights = sheet.make("Div", x.axes, x.name, reduced(sheet, "ReduceSum", x.name, -2))


def times(name: str, shape_of: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Stage:
    """Multiplied by stored numbers of the shape that is made of the scores' shape."""

    def stage(draft: Draft) -> None:
        sheet, x = draft.sheet, draft.get(name)
        shape = shape_of(tuple(sheet.size(axis) or 1 for axis in x.axes))
        stored = sheet.constant(sheet.rng.uniform(0.5, 2.0, shape), sheet.float)
        setattr(draft, name, sheet.make("Mul", x.axes, x.name, stored))

    return stage


def by_key(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[-1],)


def by_query(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[-2], 1)


def one_scaled(draft: Draft) -> None:
    """A scale that is 1 but for one element."""
    sheet, x = draft.sheet, draft.get("scores")
    ones = np.ones([sheet.size(axis) or 1 for axis in x.axes[-2:]])
    ones[0, 0] = 3.0
    draft.scores = sheet.make("Mul", x.axes, x.name, sheet.constant(ones, sheet.float))


def filled(fill: float) -> Stage:
    """What is above the first triangle replaced by a number."""

    def stage(draft: Draft) -> None:
        sheet, x = draft.sheet, draft.get("scores")
        seen = np.tril(np.ones([sheet.size(axis) or 1 for axis in x.axes[-2:]], bool))
        stored = sheet.constant(seen, bool)
        draft.scores = sheet.make("Where", x.axes, stored, x.name, sheet.number(fill))

    return stage


def added(number: float) -> Stage:
    """A number added above the first triangle."""

    def stage(draft: Draft) -> None:
        sheet, x = draft.sheet, draft.get("scores")
        seen = np.tril(np.ones([sheet.size(axis) or 1 for axis in x.axes[-2:]], bool))
        stored = sheet.constant(np.where(seen, 0.0, number), sheet.float)
        draft.scores = sheet.make("Add", x.axes, x.name, stored)

    return stage


def chosen_by_size(name: str, fill: float) -> Stage:
    """Only numbers above a bound kept."""

    def stage(draft: Draft) -> None:
        sheet, x = draft.sheet, draft.get(name)
        large = sheet.node("Greater", x.name, sheet.number(0.1))
        setattr(draft, name, sheet.make("Where", x.axes, large, x.name, sheet.number(fill)))

    return stage


def guarded(tested: str, fill: float = 0.0, *, flipped: bool = False) -> Stage:
    """A guard against NaN that is none: of another tensor, with another filler, or flipped."""

    def stage(draft: Draft) -> None:
        sheet, x = draft.sheet, draft.get("weights")
        test = sheet.node("IsNaN", draft.get(tested).name)
        branches = [sheet.number(fill), x.name]
        if flipped:
            branches.reverse()
        draft.weights = sheet.make("Where", x.axes, test, *branches)

    return stage


def capped(by: float, back: float) -> Stage:
    """A soft cap whose two numbers need not be one."""

    def stage(draft: Draft) -> None:
        sheet, x = draft.sheet, draft.get("scores")
        bent = sheet.node("Tanh", sheet.node("Div", x.name, sheet.number(by)))
        draft.scores = sheet.make("Mul", x.axes, bent, sheet.number(back))

    return stage


def with_sinks(first: bool, start: int, end: int, columns: int = 1) -> Stage:
    """Columns beside the scores, and after the softmax a slice that need not take those away."""

    def stage(draft: Draft) -> None:
        sheet, x = draft.sheet, draft.get("scores")
        shape = [sheet.size(axis) or 1 for axis in x.axes[:-1]]
        column = sheet.constant(sheet.rng.normal(size=[*shape, columns]), sheet.float)
        parts = [column, x.name] if first else [x.name, column]
        wide = sheet.make("Concat", (*x.axes[:-1], "x"), *parts, axis=-1)
        weights = sheet.node("Softmax", wide.name, axis=-1)
        bounds = [sheet.constant([n]) for n in (start, end, -1)]
        draft.weights = sheet.make("Slice", x.axes, weights, *bounds)

    return stage


def quantized(draft: Draft) -> None:
    """Scores rounded to whole numbers by casts."""
    sheet, x = draft.sheet, draft.get("scores")
    whole = sheet.cast(x, TensorProto.INT32)
    kind = TensorProto.FLOAT16 if sheet.form.kind == "f16" else TensorProto.FLOAT
    draft.scores = sheet.cast(whole, kind)
