"""Gives a mask or a bias the shape in which it meets the scores."""

from __future__ import annotations

from tests.attention_shapes.draft import Draft
from tests.attention_shapes.sheet import Axes, Sheet, Tensor


def met(sheet: Sheet, axes: Axes, heads: str) -> Axes:
    """The axes of scores with batch, windows, heads and queries apart."""
    apart: list[str] = []
    for axis in axes:
        if axis == "bw":
            apart += ["b", "w"]
        elif axis.startswith("b") and len(axis) > 1:
            apart += _heads_of(axis)
        elif axis == "gs":
            apart += ["g", "s"]
        else:
            apart.append(axis)
    return tuple(apart)


def _heads_of(axis: str) -> list[str]:
    rest = axis[1:]
    return ["b", "w", rest[1:]] if rest.startswith("w") else ["b", rest]


def fitted(draft: Draft, tensor: Tensor) -> Tensor:
    """A tensor in the axes of the scores, those that it does not depend on of size 1."""
    sheet, axes = draft.sheet, draft.get("scores").axes
    apart = met(sheet, axes, draft.heads)
    wide = _spread(sheet, tensor, apart)
    if apart == axes or all(axis in axes or axis == "1" for axis in wide.axes):
        return wide if apart == axes else _squeezed(sheet, wide, axes)
    full = tuple(apart)
    many = sheet.make("Expand", full, wide.name, sheet.shape(full))
    return sheet.reshape(many, axes)


def _squeezed(sheet: Sheet, wide: Tensor, axes: Axes) -> Tensor:
    want = tuple(axis if axis in wide.axes else "1" for axis in axes)
    return sheet.reshape(wide, want)


def _spread(sheet: Sheet, tensor: Tensor, apart: Axes) -> Tensor:
    """The axes of a tensor cut and ordered as those of the scores, and 1 where it has none."""
    held = [axis for axis in tensor.axes if axis != "1"]
    cut = [each for axis in held for each in ([axis] if axis in apart else list(axis))]
    cut = [each for each in cut if each in apart]  # of others there is only one
    want = tuple(axis if axis in cut else "1" for axis in apart)
    present = tuple(axis for axis in want if axis != "1")
    if present == tuple(cut):
        if tensor.axes == want or _lacks_only_leading_ones(tensor.axes, want):
            return tensor
        return sheet.reshape(tensor, want)
    turned = sheet.transpose(sheet.reshape(tensor, tuple(cut)), present)
    return sheet.reshape(turned, want)


def _lacks_only_leading_ones(have: Axes, want: Axes) -> bool:
    missing = len(want) - len(have)
    return missing > 0 and have == want[missing:] and set(want[:missing]) == {"1"}
