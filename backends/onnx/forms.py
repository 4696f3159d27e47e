"""The table's operators as each opset writes them.

The reverse of the front end's normal form: axes as an attribute or as an input, by the opset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from graphwright.backends.onnx.tensors import NUMBERS
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, Node, Value
from graphwright.ir.ops import constant, contents_of
from graphwright.ir.types import TensorType

Form: TypeAlias = "tuple[str, str, tuple[Value | None, ...], dict[str, Attr]]"

SINCE = {"LayerNormalization": 17, "RMSNormalization": 23, "Gelu": 20, "Swish": 24}
"""Operators that rules make, and the first opset that has each."""

AXES_INPUT = {"Squeeze": 13, "Unsqueeze": 13, "ReduceSum": 13}
RESHAPED = frozenset({"Squeeze", "Unsqueeze", "Split", "Slice"})


def is_flattened(node: Node, opset: int) -> bool:
    """Whether `opset` would run a Softmax over all axes from its own to the last.

    As they did before 13; on the last axis that is the same.
    """
    if node.op not in ("Softmax", "LogSoftmax") or opset >= 13:
        return False
    axis, rank = node.attrs["axis"], _rank(node)
    return axis != -1 and (rank is None or axis != rank - 1)


def _rank(node: Node) -> int | None:
    value = node.inputs[0] if node.inputs else None
    return value.type.rank if value is not None and isinstance(value.type, TensorType) else None


def keeps_inputs(op: str) -> bool:
    """Whether the normal form has the very inputs that files write."""
    return op not in RESHAPED and not op.startswith("Reduce")


def written(node: Node, opset: int) -> Form:
    """Operator type, domain, inputs and attributes of a node in `opset`."""
    op, inputs, attrs = node.op, node.inputs, dict(node.attrs)
    if "::" in op:
        domain, _, op = op.partition("::")
        return op.partition(":")[0], domain, inputs, attrs
    if "@" in op:
        op, _, given = op.partition("@")
        return op, "", inputs, attrs
    if opset < 11:
        attrs.update(_from_the_front(node))
    if op in AXES_INPUT or op.startswith("Reduce"):
        return _with_axes(op, inputs, attrs, opset)
    if op == "Split":
        return _split(inputs, attrs, opset, len(node.outputs))
    if op == "Slice" and opset < 10:
        return _old_slice(inputs)
    if op == "Cast":
        attrs["to"] = NUMBERS[str(attrs["to"])]
    return op, "", inputs, attrs


def _from_the_front(node: Node) -> dict[str, Attr]:
    """Axes counted from the front, as they had to be before opset 11."""
    rank, axis, axes = _rank(node), node.attrs.get("axis"), node.attrs.get("axes")
    if rank is None:
        return {}
    if isinstance(axis, int):
        return {"axis": axis % rank if rank else axis}
    if not isinstance(axes, tuple):
        return {}
    rank += len(axes) if node.op == "Unsqueeze" else 0
    return {"axes": tuple(a % rank for a in axes if isinstance(a, int))}


def _with_axes(
    op: str, inputs: tuple[Value | None, ...], attrs: dict[str, Attr], opset: int
) -> Form:
    if opset >= AXES_INPUT.get(op, 18):
        axes = attrs.pop("axes", None)
        if axes is not None:
            inputs = (inputs[0], constant(axes, "i64"))
    return op, "", inputs, attrs


def _split(
    inputs: tuple[Value | None, ...], attrs: dict[str, Attr], opset: int, outputs: int
) -> Form:
    if opset >= 13:
        inputs = (inputs[0], constant(attrs.pop("split"), "i64"))
    return "Split", "", inputs, attrs


def _old_slice(inputs: tuple[Value | None, ...]) -> Form:
    names = ("starts", "ends", "axes", "steps")
    attrs: dict[str, Attr] = {}
    for name, value in zip(names, inputs[1:], strict=False):
        found = contents_of(value)
        if value is not None and not isinstance(found, tuple):
            raise ModelError(f"Slice with {name} that are computed needs opset 10")
        if isinstance(found, tuple) and (name != "steps" or any(n != 1 for n in found)):
            attrs[name] = found
    return "Slice", "", inputs[:1], attrs


def attrs_key(attrs: Mapping[str, Attr]) -> str:
    """Attributes as text, the same for the same attributes."""
    return ",".join(f"{k}={attrs[k]}" for k in sorted(attrs))
