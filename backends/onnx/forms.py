"""The table's operators as each opset writes them.

The reverse of the front end's normal form: axes as an attribute or as an input, by the opset.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import onnx.defs

from graphwright.backends.onnx.tensors import list_of
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, Node, Value
from graphwright.ir.onnx_types import NUMBERS
from graphwright.ir.ops import OPS, contents_of
from graphwright.ir.types import TensorType


class Form(NamedTuple):
    """A node as ONNX writes it."""

    op: str
    domain: str
    inputs: tuple[Value | None, ...]
    attrs: dict[str, Attr]


AXES_INPUT = {"Squeeze": 13, "Unsqueeze": 13, "ReduceSum": 13}
REDUCTIONS = frozenset({op for op in OPS if op.startswith("Reduce")})


def domain_of(node: Node) -> tuple[str, str]:
    """The domain and the operator of a node that is not of the table."""
    source = node.source
    if isinstance(source, onnx.NodeProto):
        return source.domain, source.op_type
    domain, _, op = node.op.rpartition("::")
    return domain, op.partition("@")[0].partition(":")[0]


def written(node: Node, opset: int) -> Form:
    """A node of the table, or one that is written as it came, in the form of `opset`.

    Raises ModelError where that opset has no such form.
    """
    if node.op not in OPS or "::" in node.op:
        domain, op = domain_of(node)
        return Form(op, domain, node.inputs, dict(node.attrs))
    since = first_opset(node.op)
    if opset < since:
        raise ModelError(f"{node.op} needs opset {since}, and the model is in {opset}")
    attrs = dict(node.attrs)
    form = FORMS.get(node.op)
    inputs = node.inputs if form is None else form(node, attrs, opset)
    if opset < 11:
        _count_from_front(node, attrs)
    return Form(node.op, "", inputs, attrs)


@cache
def reshaped(opset: int) -> frozenset[str]:
    """Operators whose normal form reads other inputs than files of `opset` write, or may."""
    found = {op for op in REDUCTIONS | AXES_INPUT.keys() if opset >= AXES_INPUT.get(op, 18)}
    return frozenset(
        {"Sizes", "Slice" if opset < 10 else "", "Split" if opset >= 13 else ""} | found
    )


@cache
def first_opset(op: str) -> int:
    """The first opset that has an operator of ONNX's."""
    found: int = onnx.defs.get_schema(op).since_version
    while True:
        try:
            found = onnx.defs.get_schema(op, found - 1).since_version
        except onnx.defs.SchemaError:
            return found


Inputs = tuple[Value | None, ...]


def _list(attr: Attr) -> Value:
    assert isinstance(attr, tuple)
    return list_of(n for n in attr if isinstance(n, int))


def _axes(node: Node, attrs: dict[str, Attr], opset: int) -> Inputs:
    if opset < AXES_INPUT.get(node.op, 18) or "axes" not in attrs:
        return node.inputs
    return (node.inputs[0], _list(attrs.pop("axes")))


def _split(node: Node, attrs: dict[str, Attr], opset: int) -> Inputs:
    if opset < 13:
        return node.inputs
    return (node.inputs[0], _list(attrs.pop("split")))


def _slice(node: Node, attrs: dict[str, Attr], opset: int) -> Inputs:
    if opset >= 10:
        return node.inputs
    for name, value in zip(("starts", "ends", "axes", "steps"), node.inputs[1:], strict=False):
        found = contents_of(value)
        if value is not None and not isinstance(found, tuple):
            raise ModelError(f"Slice with {name} that are computed needs opset 10")
        if name == "steps" and isinstance(found, tuple) and any(n != 1 for n in found):
            raise ModelError("Slice with steps needs opset 10")
        if name != "steps" and isinstance(found, tuple):
            attrs[name] = found
    return node.inputs[:1]


def _cast(node: Node, attrs: dict[str, Attr], opset: int) -> Inputs:
    attrs["to"] = NUMBERS[str(attrs["to"])]
    return node.inputs


def _shape(node: Node, attrs: dict[str, Attr], opset: int) -> Inputs:
    if opset < 15 and attrs:
        raise ModelError("Shape of some axes only needs opset 15")
    return node.inputs


def _reshape(node: Node, attrs: dict[str, Attr], opset: int) -> Inputs:
    if opset < 14 and not attrs.pop("allowzero", 0):
        return node.inputs
    if opset < 14:
        raise ModelError("Reshape to a size of 0 needs opset 14")
    return node.inputs


FORMS: dict[str, Callable[[Node, dict[str, Attr], int], Inputs]] = {
    **dict.fromkeys([*REDUCTIONS, *AXES_INPUT], _axes),
    "Split": _split,
    "Slice": _slice,
    "Cast": _cast,
    "Shape": _shape,
    "Reshape": _reshape,
}


def _count_from_front(node: Node, attrs: dict[str, Attr]) -> None:
    """Make axes numbers from 0 on, which they had to be before opset 11."""
    of = node.outputs[0] if node.op == "Unsqueeze" else node.inputs[0]
    rank = of.type.rank if of is not None and isinstance(of.type, TensorType) else None
    if rank is None:
        return
    for name in attrs.keys() & {"axis", "axes"}:
        given = attrs[name]
        if isinstance(given, int):
            attrs[name] = given % rank if rank else given
        elif isinstance(given, tuple):
            attrs[name] = tuple(a + rank if isinstance(a, int) and a < 0 else a for a in given)


def attrs_key(node: Node) -> str:
    """Attributes as text, the same for the same attributes."""
    return ",".join(f"{k}={node.attrs[k]!r}" for k in sorted(node.attrs))
