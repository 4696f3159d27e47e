"""The types of operators that our table has no row for, from ONNX's own inference."""

from __future__ import annotations

from collections import Counter
from functools import cache

import onnx
import onnx.defs
import onnx.shape_inference

from graphwright.frontends.onnx.types import Namer, type_of
from graphwright.ir.dims import Dim, Sym
from graphwright.ir.graph import Value
from graphwright.ir.onnx_types import type_proto
from graphwright.ir.types import TensorType, Type

SMALL = 256


@cache
def schema(op: str, domain: str, opset: int) -> onnx.defs.OpSchema | None:
    """The schema of an operator, where the installed onnx has one."""
    try:
        return onnx.defs.get_schema(op, opset, domain)
    except onnx.defs.SchemaError:
        return None


def inferred(
    proto: onnx.NodeProto, inputs: list[Value | None], opsets: dict[str, int], namer: Namer
) -> dict[str, Type]:
    """What ONNX says of the types of a node's outputs, by their names; nothing where it can't."""
    row = schema(proto.op_type, proto.domain, opsets.get(proto.domain, 1))
    if row is None or any(a.type == onnx.AttributeProto.GRAPH for a in proto.attribute):
        return {}
    types, data = {}, {}
    for name, value in zip(proto.input, inputs, strict=True):
        given = None if value is None else type_proto(value.type)
        if given is None:
            if name:
                return {}  # ONNX infers nothing from a type that is not known, as in a function
            continue
        types[name] = given
        if (
            value is not None
            and value.const is not None
            and (value.const.type.nbytes or 0) <= SMALL
        ):
            payload = value.const.payload
            if isinstance(payload, onnx.TensorProto):
                data[name] = payload
    try:
        found = onnx.shape_inference.infer_node_outputs(
            row,
            proto,
            types,
            data,
            opset_imports=[onnx.helper.make_opsetid(d, v) for d, v in opsets.items()],
        )
    except (
        onnx.shape_inference.InferenceError,
        onnx.checker.ValidationError,
        RuntimeError,
        ValueError,
    ):
        return {}
    symbols = {d for v in inputs if v is not None for d in _symbols(v.type)}
    alike = Counter(map(str, symbols))
    kept = {str(d): d for d in symbols if alike[str(d)] == 1}

    # A size that ONNX passes on keeps its name; any other name it makes up.
    def known(name: str, axis: int) -> Dim:
        return kept[name] if name in kept else namer(name, axis)

    return {name: type_of(proto_, known) for name, proto_ in found.items()}


def _symbols(type_: Type) -> list[Sym]:
    shape = type_.shape if isinstance(type_, TensorType) else None
    return [d for d in shape or () if isinstance(d, Sym)]
