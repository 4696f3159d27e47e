"""Nodes of an older opset in the form of a newer one, where the table has no row for them.

Most changes of an operator only add types and attributes with defaults, so that a node goes as it
came. The others are here one by one: `onnx.version_converter` gives an Upsample, a Resize or a
GroupNormalization another meaning, and a Clip or a Pad of doubles the wrong types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import onnx.defs
from onnx.defs import OpSchema

from graphwright.backends.onnx.forms import Form
from graphwright.backends.onnx.header import STANDARD
from graphwright.ir.const import from_array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, Node, Value
from graphwright.ir.ops import constant
from graphwright.ir.types import TensorType

Inputs = tuple[Value | None, ...]


def converted(node: Node, form: Form, own: int, target: int) -> Form:
    """A node of opset `own` in the form of `target`. Raises ModelError where that has none."""
    old, new = _schema(form.op, own), _schema(form.op, target)
    if form.domain not in STANDARD or old is None or new is None:
        return form  # not ONNX's, or unknown to the installed onnx: it goes as it came
    if old.since_version == new.since_version:
        return form
    adapter = ADAPTERS.get(form.op)
    found = form if adapter is None else adapter(node, form, own, target)
    if found is None or (adapter is None and not _is_the_same(form, old, new)):
        where = f" ('{node.name}')" if node.name else ""
        raise ModelError(
            f"the operator {form.op}{where} means something else in opset {target} than in {own}, "
            "and cannot be converted"
        )
    return found


@cache
def _schema(op: str, opset: int) -> OpSchema | None:
    try:
        return onnx.defs.get_schema(op, opset)
    except onnx.defs.SchemaError:
        return None


def _is_the_same(form: Form, old: OpSchema, new: OpSchema) -> bool:
    """Whether all that has changed is that more is allowed."""
    return (
        not new.deprecated
        and _extends(old.inputs, new.inputs)
        and _extends(old.outputs, new.outputs)
        and all(_is_same_attribute(name, old, new, form.attrs) for name in old.attributes)
        and not any(a.required for n, a in new.attributes.items() if n not in old.attributes)
    )


def _extends(
    old: Iterable[OpSchema.FormalParameter], new: Iterable[OpSchema.FormalParameter]
) -> bool:
    """Whether all that is added is optional, or became so."""
    optional = OpSchema.FormalParameterOption.Optional
    before, after = [p.option for p in old], [p.option for p in new]
    kept = all(a == b or b == optional for a, b in zip(before, after, strict=False))
    return kept and len(after) >= len(before) and set(after[len(before) :]) <= {optional}


def _is_same_attribute(name: str, old: OpSchema, new: OpSchema, attrs: dict[str, Attr]) -> bool:
    before, after = old.attributes[name], new.attributes.get(name)
    if after is None:
        return name not in attrs
    return bool(before.type == after.type and before.default_value == after.default_value)


def _dtype(node: Node) -> str | None:
    x = node.inputs[0]
    return x.type.dtype if x is not None and isinstance(x.type, TensorType) else None


def _clip(node: Node, form: Form, own: int, target: int) -> Form | None:
    if own >= 11 or target < 11:
        return form
    dtype, attrs = _dtype(node), dict(form.attrs)
    bounds = [attrs.pop("min", None), attrs.pop("max", None)]
    if attrs or (dtype is None and bounds != [None, None]):
        return None
    inputs = (node.inputs[0], *(None if b is None else constant(b, dtype or "") for b in bounds))
    return form._replace(inputs=inputs, attrs={})


def _pad(node: Node, form: Form, own: int, target: int) -> Form | None:
    if own >= 11 or target < 11:
        return form
    dtype, attrs = _dtype(node), dict(form.attrs)
    pads, value = attrs.pop("pads", None), attrs.pop("value", 0.0)
    if not isinstance(pads, tuple) or dtype is None or not isinstance(value, float):
        return None
    inputs: Inputs = (node.inputs[0], constant(pads, "i64"))
    return form._replace(inputs=(*inputs, constant(value, dtype)) if value else inputs, attrs=attrs)


def _dropout(node: Node, form: Form, own: int, target: int) -> Form | None:
    mask = len(node.outputs) > 1 and bool(node.outputs[1].uses)
    if mask and own < 10 <= target:
        return None  # the mask's type is another one
    if own >= 12 or target < 12:
        return form
    ratio = form.attrs.get("ratio", 0.5)
    if not isinstance(ratio, float):
        return None
    return form._replace(inputs=(node.inputs[0], constant(ratio, "f32")), attrs={})


def _top_k(node: Node, form: Form, own: int, target: int) -> Form | None:
    if own >= 10 or target < 10:
        return form
    attrs = dict(form.attrs)
    k = attrs.pop("k", None)
    return form._replace(inputs=(node.inputs[0], constant([k], "i64")), attrs=attrs) if k else None


def _upsample(node: Node, form: Form, own: int, target: int) -> Form | None:
    attrs, inputs = dict(form.attrs), node.inputs
    if own < 9 <= target:
        inputs = (node.inputs[0], constant(attrs.pop("scales", ()), "f32"))
    form = form._replace(inputs=inputs, attrs=attrs)
    if target < 10:
        return form
    form = form._replace(op="Resize")
    return form if target < 11 else _asymmetric(form)


def _resize(node: Node, form: Form, own: int, target: int) -> Form | None:
    if own >= 11 or target < 11:
        said = form.attrs.get("coordinate_transformation_mode")
        return None if said == "tf_half_pixel_for_nn" and own < 13 <= target else form
    mode, scales = form.attrs.get("mode", "nearest"), form.inputs[1]
    const = None if scales is None else scales.const
    if mode == "nearest" and (const is None or bool((np.asarray(const.load()) < 1).any())):
        return None  # which neighbour is taken was left open
    return _asymmetric(form)


def _asymmetric(form: Form) -> Form:
    """A Resize as all were that could not say otherwise."""
    mode = form.attrs.get("mode", "nearest")
    attrs: dict[str, Attr] = {"mode": mode, "coordinate_transformation_mode": "asymmetric"}
    if mode == "nearest":
        attrs["nearest_mode"] = "floor"
    roi = constant(np.zeros(0, np.float32), "f32")
    return form._replace(inputs=(form.inputs[0], roi, *form.inputs[1:]), attrs=attrs)


def _batch_normalization(node: Node, form: Form, own: int, target: int) -> Form | None:
    attrs = dict(form.attrs)
    spatial = attrs.pop("spatial", 1) if own < 9 <= target else 1
    trains = own < 14 <= target and any(v.uses for v in node.outputs[1:])
    return None if spatial != 1 or trains else form._replace(attrs=attrs)


def _group_normalization(node: Node, form: Form, own: int, target: int) -> Form | None:
    """Scale and bias of each group become those of each channel."""
    if own >= 21 or target < 21:
        return form
    x, groups = node.inputs[0], form.attrs.get("num_groups")
    shape = x.type.shape if x is not None and isinstance(x.type, TensorType) else None
    if shape is None or not isinstance(shape[1], int) or not isinstance(groups, int):
        return None
    inputs = [x]
    for value in node.inputs[1:]:
        if value is None or value.const is None:
            return None
        const = from_array(np.repeat(value.const.load(), shape[1] // groups))
        inputs.append(Value(const.type, const=const))
    return form._replace(inputs=tuple(inputs))


def _scatter(node: Node, form: Form, own: int, target: int) -> Form | None:
    return form._replace(op="ScatterElements") if own < 11 <= target else form


def _roi_align(node: Node, form: Form, own: int, target: int) -> Form | None:
    if own < 16 <= target:
        said = {"coordinate_transformation_mode": "output_half_pixel"}
        return form._replace(attrs={**form.attrs, **said})
    return form


def _dft(node: Node, form: Form, own: int, target: int) -> Form | None:
    if own >= 20 or target < 20:
        return form
    attrs = dict(form.attrs)
    axis = attrs.pop("axis", 1)
    if not isinstance(axis, int):
        return None
    inputs = (*node.inputs, *[None] * (2 - len(node.inputs)), constant(axis, "i64"))
    return form._replace(inputs=inputs, attrs=attrs)


def _grid_sample(node: Node, form: Form, own: int, target: int) -> Form | None:
    if own >= 20 or target < 20:
        return form
    mode = form.attrs.get("mode", "bilinear")
    named: dict[object, Attr] = {"bilinear": "linear", "bicubic": "cubic", "nearest": "nearest"}
    return form._replace(attrs={**form.attrs, "mode": named[mode]}) if mode in named else None


def _split(node: Node, form: Form, own: int, target: int) -> Form | None:
    """A Split into equal parts says from 18 on how many there are."""
    if any(v is not None for v in form.inputs[1:]) or "num_outputs" in form.attrs:
        return form
    if "split" in form.attrs:
        return None if own < 13 <= target else form
    if target < 18:
        return form
    return form._replace(attrs={**form.attrs, "num_outputs": len(node.outputs)})


ADAPTERS: dict[str, Callable[[Node, Form, int, int], Form | None]] = {
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "DFT": _dft,
    "Dropout": _dropout,
    "GridSample": _grid_sample,
    "GroupNormalization": _group_normalization,
    "Pad": _pad,
    "Resize": _resize,
    "RoiAlign": _roi_align,
    "Scatter": _scatter,
    "Split": _split,
    "TopK": _top_k,
    "Upsample": _upsample,
}
"""Operators whose changes are more than what is allowed; None where a node cannot be converted."""
