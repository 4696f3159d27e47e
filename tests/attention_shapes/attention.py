"""A form written as a model, stage by stage; a near miss puts another stage in place of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from tests.attention_shapes.draft import Draft
from tests.attention_shapes.form import Form
from tests.attention_shapes.heads import split_heads
from tests.attention_shapes.layouts import arrange, join_cache, share_keys
from tests.attention_shapes.masks import modify
from tests.attention_shapes.scores import (
    cap_scores,
    contract,
    scale_of,
    scale_operands,
    scale_scores,
)
from tests.attention_shapes.sheet import Axes, Sheet, Size
from tests.attention_shapes.weights import after_softmax, apply_values, finish, normalize

Stage = Callable[[Draft], None]

STAGES: dict[str, Stage] = {
    "heads": split_heads,
    "cache": join_cache,
    "groups": share_keys,
    "layout": arrange,
    "operands": scale_operands,
    "contract": contract,
    "scale": scale_scores,
    "cap": cap_scores,
    "masks": modify,
    "softmax": normalize,
    "weights": after_softmax,
    "values": apply_values,
    "finish": finish,
}
HEADS = {"one": "h", "tile_heads": "gh", "concat": "gh", "multi_query": "g"}


@dataclass(frozen=True)
class Written:
    """A model, and what its inputs and parameters are."""

    form: Form
    model: onnx.ModelProto
    sizes: Mapping[str, Size]
    given: Mapping[str, Axes]
    drawn: Mapping[str, np.ndarray]
    result: Axes
    heads: str


def sizes_of(form: Form, alike: int | None = None) -> dict[str, Size]:
    """How long each letter is: all different, or `alike`, and names where they are symbolic."""
    one_head = form.layout == "matrix"
    sizes: dict[str, Size] = {"b": 5, "w": 2, "h": 3, "g": 2, "s": 7, "d": 4, "m": 10, "n": 3}
    sizes |= {"p": 6, "e": 4 if form.width == "same" else 8}
    if alike is not None:
        sizes |= dict.fromkeys("bhsdep", alike)
    if one_head:
        sizes |= {"b": 1, "h": 1}
    if form.groups == "multi_query":
        sizes |= {"h": 1, "g": 3}
    if form.sizes in ("batch", "all"):
        sizes["b"] = "B"
    if form.sizes == "all":
        sizes |= {"s": "S", "p": "P"}
    symbolic = form.sizes == "all"
    sizes["u"] = sizes["s"]
    sizes["t"] = {"self": sizes["s"], "cross": "T" if symbolic else alike or 11}.get(
        form.length, "P + S" if symbolic else int(sizes["p"]) + int(sizes["s"])
    )
    heads, width, wide = (int(sizes[x]) for x in "hde")
    queries = heads * (1 if form.groups == "one" else int(sizes["g"]))
    sizes["c"] = queries * width + heads * (width + wide)
    return sizes


def write(
    form: Form, instead: Mapping[str, Stage] | None = None, alike: int | None = None
) -> Written:
    """The form as a model, with other stages in place of some, and all sizes `alike` or none."""
    sheet = Sheet(form, sizes_of(form, alike))
    draft = Draft(sheet, HEADS.get(form.groups, "hg"))
    draft.scale_left = scale_of(form.scale, int(sheet.sizes["d"]))
    for name, stage in STAGES.items():
        (instead or {}).get(name, stage)(draft)
    result = draft.get("result")
    model = sheet.model(result, draft.also)
    return Written(form, model, sheet.sizes, sheet.given, sheet.drawn, result.axes, draft.heads)
