"""Our types as ONNX's; the front end, which asks ONNX's inference, and the back end share it."""

from __future__ import annotations

import onnx

from graphwright.ir.dims import Sym
from graphwright.ir.types import OptionalType, SequenceType, TensorType, Type

NUMBERS: dict[str, int] = {
    "f32": 1, "u8": 2, "i8": 3, "u16": 4, "i16": 5, "i32": 6, "i64": 7, "str": 8, "bool": 9,
    "f16": 10, "f64": 11, "u32": 12, "u64": 13, "c64": 14, "c128": 15, "bf16": 16,
    "f8e4m3fn": 17, "f8e4m3fnuz": 18, "f8e5m2": 19, "f8e5m2fnuz": 20, "u4": 21, "i4": 22,
    "f4e2m1": 23, "f8e8m0": 24, "u2": 25, "i2": 26,
}  # fmt: skip
"""ONNX's number of each element type."""


def type_proto(type_: Type) -> onnx.TypeProto | None:
    """Our type as ONNX's; None where nothing is known."""
    proto = onnx.TypeProto()
    match type_:
        case TensorType(dtype, shape):
            proto.tensor_type.elem_type = NUMBERS[dtype]
            if shape is not None:
                proto.tensor_type.shape.SetInParent()
                for dim in shape:
                    if isinstance(dim, Sym):
                        proto.tensor_type.shape.dim.add().dim_param = str(dim)
                    else:
                        proto.tensor_type.shape.dim.add().dim_value = dim
        case SequenceType(element) | OptionalType(element):
            inner = type_proto(element)
            if inner is None:
                return None
            outer = proto.sequence_type if isinstance(type_, SequenceType) else proto.optional_type
            outer.elem_type.CopyFrom(inner)
        case _:
            return None
    return proto
