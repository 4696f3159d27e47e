"""From scores to the result: softmax, what follows it, and the values."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto
from tests.attention_shapes.draft import Draft
from tests.attention_shapes.form import EINSUMS
from tests.attention_shapes.heads import batch
from tests.attention_shapes.meeting import fitted, met
from tests.attention_shapes.sheet import Sheet, Tensor


def normalize(draft: Draft) -> None:
    """The weights: softmax over the keys, with a column for the sinks beside them or not."""
    sheet, scores = draft.sheet, draft.get("scores")
    axes = scores.axes
    if sheet.form.sinks != "none":
        scores = _with_sinks(draft)
    upcast = sheet.form.softmax == "upcast"
    if upcast:
        scores = sheet.cast(scores, TensorProto.FLOAT)
    weights = softmax(sheet, scores, sheet.form.softmax)
    if upcast:
        weights = sheet.cast(weights, TensorProto.FLOAT16)
    if sheet.form.sinks != "none":
        weights = _without_sinks(sheet, weights, axes)
    draft.weights = weights


def softmax(sheet: Sheet, scores: Tensor, how: str) -> Tensor:
    axes, last = scores.axes, len(scores.axes) - 1
    if how in ("written", "written_plain"):
        return _written_out(sheet, scores, with_maximum=how == "written")
    if how == "of_log":
        logs = sheet.node("LogSoftmax", scores.name, axis=-1)
        return sheet.make("Exp", axes, logs)
    return sheet.make("Softmax", axes, scores.name, axis=last if how == "positive" else -1)


def _written_out(sheet: Sheet, scores: Tensor, *, with_maximum: bool) -> Tensor:
    name = scores.name
    if with_maximum:
        name = sheet.node("Sub", name, reduced(sheet, "ReduceMax", name, -1))
    raised = sheet.node("Exp", name)
    return sheet.make("Div", scores.axes, raised, reduced(sheet, "ReduceSum", raised, -1))


def reduced(sheet: Sheet, op: str, name: str, axis: int) -> str:
    """A reduction that keeps its axis, written as the opset wants it."""
    if sheet.opset < (13 if op == "ReduceSum" else 18):
        return sheet.node(op, name, axes=[axis], keepdims=1)
    return sheet.node(op, name, sheet.constant([axis]), keepdims=1)


def _with_sinks(draft: Draft) -> Tensor:
    """A column beside the scores, one number for each head."""
    sheet, scores = draft.sheet, draft.get("scores")
    sinks = sheet.parameter("sinks", (draft.heads,))
    axes = (*scores.axes[:-1], "1")
    apart = (*met(sheet, axes, draft.heads)[:-1], "1")
    narrow = fitted_sinks(draft, sinks)
    many = sheet.make("Expand", apart, narrow.name, sheet.shape(apart))
    column = sheet.reshape(many, axes)
    parts = [scores.name, column.name]
    if sheet.form.sinks == "column_first":
        parts.reverse()
    return sheet.make("Concat", (*scores.axes[:-1], "x"), *parts, axis=-1)


def fitted_sinks(draft: Draft, sinks: Tensor) -> Tensor:
    """One number for each head, in axes that meet the scores'."""
    sheet = draft.sheet
    apart = met(sheet, draft.get("scores").axes, draft.heads)
    letters = (draft.heads,) if draft.heads in apart else tuple(draft.heads)
    return sheet.reshape(sinks, tuple(a if a in letters else "1" for a in apart))


def _without_sinks(sheet: Sheet, weights: Tensor, axes: tuple[str, ...]) -> Tensor:
    first = sheet.form.sinks == "column_first"
    start, end = (1, np.iinfo(np.int64).max) if first else (0, -1)
    bounds = [sheet.constant([n]) for n in (start, end, -1)]
    return sheet.make("Slice", axes, weights.name, *bounds)


def after_softmax(draft: Draft) -> None:
    """What is done to the weights before they meet the values."""
    sheet, weights = draft.sheet, draft.get("weights")
    axes = weights.axes
    match sheet.form.after:
        case "dropout":
            draft.weights = sheet.make("Dropout", axes, weights.name)
        case "identity":
            draft.weights = sheet.make("Identity", axes, weights.name)
        case "head_mask":
            mask = sheet.given_input("head_mask", ("1", draft.heads, "1", "1"))
            apart = sheet.reshape(weights, met(sheet, axes, draft.heads))
            draft.scores = apart
            times = sheet.make("Mul", apart.axes, apart.name, fitted(draft, mask).name)
            draft.weights = sheet.reshape(times, axes)
        case "nan_guard":
            test = sheet.node("IsNaN", weights.name)
            draft.weights = sheet.make("Where", axes, test, sheet.number(0.0), weights.name)


def apply_values(draft: Draft) -> None:
    """Weights times values."""
    sheet, weights, v = draft.sheet, draft.get("weights"), draft.get("v")
    product = sheet.form.product
    if product in EINSUMS:
        if sheet.form.layout in ("bshd", "bhsd"):
            axes = (batch(sheet), "s", draft.heads, "e")
        else:
            axes = (*[a for a in weights.axes if a != "t"], "e")
        draft.result = sheet.einsum(weights, v, axes)
        return
    axes = (*weights.axes[:-1], "e")
    if product.startswith("fused"):
        draft.result = sheet.contrib("FusedMatMul", axes, weights.name, v.name, alpha=1.0)
    elif product == "gemm":
        draft.result = sheet.make("Gemm", axes, weights.name, v.name)
    else:
        draft.result = sheet.make("MatMul", axes, weights.name, v.name)


def finish(draft: Draft) -> None:
    """The heads side by side again, and the projection behind them."""
    sheet = draft.sheet
    epilogue = sheet.form.epilogue
    if epilogue == "none":
        return
    if sheet.form.layout == "matrix":
        joined = draft.get("result")
    else:
        joined = tokens_first(draft)
        if epilogue == "einsum":
            draft.result = _project_by_einsum(sheet, joined)
            return
        wide = "".join(joined.axes[2:-1]) + "e"
        joined = sheet.reshape(joined, (joined.axes[0], "s", wide))
    if epilogue == "projected":
        weight = sheet.parameter("out_weight", (joined.axes[-1], "m"), 0.5)
        bias = sheet.parameter("out_bias", ("m",), 0.5)
        axes = (*joined.axes[:-1], "m")
        product = sheet.make("MatMul", axes, joined.name, weight.name)
        joined = sheet.make("Add", axes, product.name, bias.name)
    draft.result = joined


def tokens_first(draft: Draft) -> Tensor:
    """The result with its tokens before its heads."""
    sheet, result = draft.sheet, draft.get("result")
    b = batch(sheet)
    if sheet.form.layout == "merged":
        result = sheet.reshape(result, (b, draft.heads, "s", "e"))
    if sheet.form.layout == "rows":
        result = sheet.reshape(result, (b, "h", "g", "s", "e"))
    heads = [axis for axis in result.axes if axis not in (b, "s", "e")]
    return sheet.transpose(result, (b, "s", *heads, "e"))


def _project_by_einsum(sheet: Sheet, joined: Tensor) -> Tensor:
    heads = joined.axes[2:-1]
    weight = sheet.parameter("out_weight", (*heads, "e", "m"), 0.5)
    return sheet.einsum(joined, weight, (joined.axes[0], "s", "m"))
