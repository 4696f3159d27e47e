"""The scores: queries times keys, the scale, and the soft cap."""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto
from tests.attention_shapes.draft import Draft
from tests.attention_shapes.form import EINSUMS
from tests.attention_shapes.sheet import Sheet, Tensor

CAP = 1.5
CUSTOM = 0.3


def scale_of(scale: str, width: int) -> float:
    """The number that queries times keys are multiplied by, in all."""
    return {"none": 1.0, "custom": CUSTOM}.get(scale, 1 / math.sqrt(width))


def scale_operands(draft: Draft) -> None:
    """What of the scale queries and keys take."""
    sheet, left = draft.sheet, draft.scale_left
    match sheet.form.scale:
        case "on_q":
            draft.q = _times(sheet, draft.get("q"), left)
        case "on_k":
            draft.k = _times(sheet, draft.get("k"), left)
        case "both":
            draft.q = _times(sheet, draft.get("q"), math.sqrt(left))
            draft.k = _times(sheet, draft.get("k"), math.sqrt(left))
        case "run_time_both":
            root = _root_of_width(sheet, draft.get("q"))
            one = sheet.constant(1.0, sheet.float)
            part = sheet.node("Sqrt", sheet.node("Div", one, root))
            for name in "qk":
                x = draft.get(name)
                setattr(draft, name, sheet.make("Mul", x.axes, x.name, part))
        case "twice":
            draft.q = _times(sheet, draft.get("q"), 0.5)
            draft.scale_left = left / 0.5
            return
        case _:
            return
    draft.scale_left = 1.0


def _times(sheet: Sheet, x: Tensor, by: float) -> Tensor:
    return sheet.make("Mul", x.axes, x.name, sheet.number(by))


def _root_of_width(sheet: Sheet, q: Tensor) -> str:
    """The square root of the last size of `q`, computed when the model runs."""
    shape = sheet.node("Shape", q.name)
    bounds = [sheet.constant([n]) for n in (-1, np.iinfo(np.int64).max)]
    width = sheet.node("Slice", shape, *bounds)
    kind = TensorProto.FLOAT16 if sheet.form.kind == "f16" else TensorProto.FLOAT
    return sheet.node("Sqrt", sheet.node("Cast", width, to=kind))


def contract(draft: Draft) -> None:
    """Queries times keys."""
    sheet, q, k = draft.sheet, draft.get("q"), draft.get("k")
    product = sheet.form.product
    alpha = 1.0
    if sheet.form.scale == "alpha":
        alpha, draft.scale_left = draft.scale_left, 1.0
    if product in EINSUMS:
        draft.scores = _by_einsum(sheet, q, k, draft.heads)
        return
    axes = (*q.axes[:-1], "t")
    if product == "scores":
        turned = sheet.transpose(q, (*q.axes[:-2], q.axes[-1], q.axes[-2]))
        back = sheet.make("MatMul", (*q.axes[:-2], "t", q.axes[-2]), k.name, turned.name)
        draft.scores = sheet.transpose(back, axes)
    elif product == "fused":
        draft.scores = _fused(sheet, axes, q, k, alpha, trans_b=1)
    elif product == "gemm":
        more = {"alpha": alpha} if alpha != 1 else {}
        draft.scores = sheet.make("Gemm", axes, q.name, k.name, transB=1, **more)
    else:
        k = k if product == "direct" else _turned(sheet, k, product)
        if product == "fused_swap":
            draft.scores = _fused(sheet, axes, q, k, alpha, trans_b=0)
        else:
            draft.scores = sheet.make("MatMul", axes, q.name, k.name)


def _fused(
    sheet: Sheet, axes: tuple[str, ...], a: Tensor, b: Tensor, alpha: float, trans_b: int
) -> Tensor:
    return sheet.contrib("FusedMatMul", axes, a.name, b.name, alpha=alpha, transB=trans_b)


def _turned(sheet: Sheet, k: Tensor, product: str) -> Tensor:
    """Keys with their last two axes the other way round."""
    *front, t, d = k.axes
    if product == "between":
        flat = sheet.reshape(k, ("".join(front), t, d))
        turned = sheet.transpose(flat, (flat.axes[0], d, t))
        return sheet.reshape(turned, (*front, d, t))
    turned = sheet.transpose(k, (*front, d, t))
    if product == "double":
        turned = sheet.transpose(sheet.transpose(turned, k.axes), turned.axes)
    return turned


def _by_einsum(sheet: Sheet, q: Tensor, k: Tensor, heads: str) -> Tensor:
    last = "t"
    if sheet.form.product == "einsum_bqhk":
        b = q.axes[0]
        return sheet.einsum(q, k, (b, "s", heads, last))
    if sheet.form.layout == "bshd":
        return sheet.einsum(q, k, (q.axes[0], heads, "s", last))
    return sheet.einsum(q, k, (*q.axes[:-1], last))


def scale_scores(draft: Draft) -> None:
    """What of the scale is left for the scores."""
    sheet, scores, left = draft.sheet, draft.get("scores"), draft.scale_left
    if left == 1:
        return
    match sheet.form.scale:
        case "div":
            by = sheet.number(1 / left)
            draft.scores = sheet.make("Div", scores.axes, scores.name, by)
        case "run_time":
            root = _root_of_width(sheet, draft.get("q"))
            draft.scores = sheet.make("Div", scores.axes, scores.name, root)
        case "mul_left":
            draft.scores = sheet.make("Mul", scores.axes, sheet.number(left), scores.name)
        case _:
            draft.scores = _times(sheet, scores, left)
    draft.scale_left = 1.0


def cap_scores(draft: Draft) -> None:
    """Scores that stay below the cap."""
    if draft.sheet.form.cap == "none":
        return
    sheet, scores = draft.sheet, draft.get("scores")
    divided = sheet.make("Div", scores.axes, scores.name, sheet.number(CAP))
    bent = sheet.make("Tanh", scores.axes, divided.name)
    draft.scores = sheet.make("Mul", scores.axes, bent.name, sheet.number(CAP))
