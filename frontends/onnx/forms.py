"""ONNX's operators in the one form that rules speak of.

An operator of the table may be written in several ways: axes as an attribute or an input, a default
left out, an older meaning. Here each becomes the newest form, with what is static as attributes and
every default written out. What cannot be brought to it stays as it came, under the name `Op@opset`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from graphwright.frontends.onnx.types import DTYPES
from graphwright.ir.const import from_array
from graphwright.ir.graph import AttrRef, Carried, Value
from graphwright.ir.ops import OPS, constant, contents_of
from graphwright.ir.types import TensorType

Attrs: TypeAlias = dict[str, Any]
Inputs: TypeAlias = "list[Value | None]"
Form: TypeAlias = Callable[[int, Inputs, Attrs, int], "tuple[Inputs, Attrs] | None"]


UNREAD = (AttrRef, Carried)


def normal(
    op: str, opset: int, inputs: Inputs, attrs: Attrs, outputs: int
) -> tuple[str, Inputs, Attrs]:
    """The name, inputs and attributes of a standard operator in its normal form."""
    row = OPS.get(op)
    if row is None or row.own:
        is_plain = row is None and op.isidentifier() and op != "return"
        return (op if is_plain else f"{op}@{opset}"), inputs, attrs
    form = FORMS.get(op)
    if form is None:
        return (op if not attrs else f"{op}@{opset}"), inputs, attrs
    if attrs and any(isinstance(a, UNREAD) for a in attrs.values()):
        return f"{op}@{opset}", inputs, attrs
    found = form(opset, inputs, attrs, outputs)
    return (f"{op}@{opset}", inputs, attrs) if found is None else (op, *found)


def _defaults(**given: Any) -> Form:
    def form(opset: int, inputs: Inputs, attrs: Attrs, outputs: int) -> tuple[Inputs, Attrs] | None:
        return (inputs, {**given, **attrs}) if attrs.keys() <= given.keys() else None

    return form


def _optional(*names: str) -> Form:
    known = frozenset(names)

    def form(opset: int, inputs: Inputs, attrs: Attrs, outputs: int) -> tuple[Inputs, Attrs] | None:
        return (inputs, attrs) if attrs.keys() <= known else None

    return form


def _static(value: Value | None) -> tuple[int, ...] | None:
    """The numbers that a constant list holds."""
    if value is None or value.const is None:
        return None
    found = contents_of(value)
    if isinstance(found, int):
        return (found,)
    return tuple(n for n in found if isinstance(n, int)) if isinstance(found, tuple) else None


def _rank(value: Value | None) -> int | None:
    return value.type.rank if value is not None and isinstance(value.type, TensorType) else None


def _reduction(since: int) -> Form:
    """Axes are an input from opset `since` on."""

    def form(opset: int, inputs: Inputs, attrs: Attrs, outputs: int) -> tuple[Inputs, Attrs] | None:
        axes = attrs.get("axes")
        if opset >= since and len(inputs) > 1 and inputs[1] is not None:
            axes = _static(inputs[1])
            if axes is None:
                return None
        if not axes and attrs.get("noop_with_empty_axes"):
            return None
        found: Attrs = {"keepdims": attrs.get("keepdims", 1)}
        return inputs[:1], ({"axes": tuple(axes), **found} if axes else found)

    return form


def _squeezing(
    opset: int, inputs: Inputs, attrs: Attrs, outputs: int
) -> tuple[Inputs, Attrs] | None:
    axes = attrs.get("axes")
    if opset >= 13 and len(inputs) > 1 and inputs[1] is not None:
        axes = _static(inputs[1])
        if axes is None:
            return None
    return inputs[:1], ({} if axes is None else {"axes": tuple(axes)})


def _unsqueezing(
    opset: int, inputs: Inputs, attrs: Attrs, outputs: int
) -> tuple[Inputs, Attrs] | None:
    found = _squeezing(opset, inputs, attrs, outputs)
    return found if found is not None and found[1].get("axes") else None


def _softmax(opset: int, inputs: Inputs, attrs: Attrs, outputs: int) -> tuple[Inputs, Attrs] | None:
    if opset >= 13:
        return inputs, {"axis": attrs.get("axis", -1)}
    axis, rank = attrs.get("axis", 1), _rank(inputs[0])
    # Before opset 13 all axes from `axis` on were one; on the last axis that is the same.
    return (inputs, {"axis": -1}) if rank is not None and axis in (-1, rank - 1) else None


def _transpose(
    opset: int, inputs: Inputs, attrs: Attrs, outputs: int
) -> tuple[Inputs, Attrs] | None:
    rank = _rank(inputs[0])
    if "perm" in attrs:
        return inputs, {"perm": tuple(attrs["perm"])}
    return None if not rank else (inputs, {"perm": tuple(reversed(range(rank)))})


def _split(opset: int, inputs: Inputs, attrs: Attrs, outputs: int) -> tuple[Inputs, Attrs] | None:
    axis, sizes = attrs.get("axis", 0), attrs.get("split")
    if opset >= 13 and len(inputs) > 1 and inputs[1] is not None:
        sizes = _static(inputs[1])
        if sizes is None:
            return None
    if sizes is None:
        kind = inputs[0].type if inputs[0] is not None else None
        if not isinstance(kind, TensorType) or kind.shape is None:
            return None
        if not -len(kind.shape) <= axis < len(kind.shape):
            return None
        size = kind.shape[axis]
        if not isinstance(size, int):
            return None
        each = -(-size // outputs)
        sizes = (*(each,) * (outputs - 1), size - each * (outputs - 1))
        if sizes[-1] < 0:
            return None
    return inputs[:1], {"axis": axis, "split": tuple(sizes)}


def _slice(opset: int, inputs: Inputs, attrs: Attrs, outputs: int) -> tuple[Inputs, Attrs] | None:
    if opset >= 10:
        return (inputs, attrs) if not attrs else None
    parts = [attrs.get("starts"), attrs.get("ends"), attrs.get("axes")]
    if parts[0] is None or parts[1] is None:
        return None
    parts[2] = parts[2] or tuple(range(len(parts[0])))
    return [inputs[0], *(constant(p, "i64") for p in parts)], {}


def _cast(opset: int, inputs: Inputs, attrs: Attrs, outputs: int) -> tuple[Inputs, Attrs] | None:
    dtype = DTYPES.get(attrs.get("to", 0))
    if dtype is None or not attrs.keys() <= {"to", "saturate", "round_mode"}:
        return None
    return inputs, {**attrs, "to": dtype}


def _filling(opset: int, inputs: Inputs, attrs: Attrs, outputs: int) -> tuple[Inputs, Attrs] | None:
    return inputs, {"value": attrs.get("value", from_array(np.zeros(1, np.float32)))}


FORMS: dict[str, Form] = {
    **{
        f"Reduce{name}": _reduction(13 if name == "Sum" else 18)
        for name in (
            "Sum",
            "Mean",
            "Max",
            "Min",
            "Prod",
            "L1",
            "L2",
            "SumSquare",
            "LogSum",
            "LogSumExp",
        )
    },
    "Squeeze": _squeezing,
    "Unsqueeze": _unsqueezing,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Transpose": _transpose,
    "Split": _split,
    "Slice": _slice,
    "Cast": _cast,
    "ConstantOfShape": _filling,
    "Concat": _optional("axis"),
    "Reshape": _optional("allowzero"),
    "Shape": _optional("start", "end"),
    "Pad": _optional("mode"),
    "GatherND": _optional("batch_dims"),
    "ScatterND": _optional("reduction"),
    "ScatterElements": _optional("axis", "reduction"),
    "Gather": _defaults(axis=0),
    "GatherElements": _defaults(axis=0),
    "Gemm": _defaults(alpha=1.0, beta=1.0, transA=0, transB=0),
    "LayerNormalization": _defaults(axis=-1, epsilon=float(np.float32(1e-5)), stash_type=1),
    "RMSNormalization": _defaults(axis=-1, epsilon=float(np.float32(1e-5)), stash_type=1),
    "Gelu": _defaults(approximate="none"),
    "Swish": _defaults(alpha=1.0),
    "Trilu": _defaults(upper=1),
    "CumSum": _defaults(exclusive=0, reverse=0),
}
