"""ONNX's types as ours."""

from __future__ import annotations

from collections.abc import Callable

import onnx

from graphwright.ir.dims import Dim
from graphwright.ir.errors import ModelError
from graphwright.ir.types import (
    UNKNOWN,
    OpaqueType,
    OptionalType,
    SequenceType,
    TensorType,
    Type,
)

DTYPES: dict[int, str] = {
    1: "f32", 2: "u8", 3: "i8", 4: "u16", 5: "i16", 6: "i32", 7: "i64", 8: "str", 9: "bool",
    10: "f16", 11: "f64", 12: "u32", 13: "u64", 14: "c64", 15: "c128", 16: "bf16",
    17: "f8e4m3fn", 18: "f8e4m3fnuz", 19: "f8e5m2", 20: "f8e5m2fnuz", 21: "u4", 22: "i4",
    23: "f4e2m1", 24: "f8e8m0", 25: "u2", 26: "i2",
}  # fmt: skip
"""Our name of each of ONNX's element types."""

Namer = Callable[[str, int], Dim]
"""What size an axis has whose size is not a number, from its name (or "") and its axis."""


def type_of(proto: onnx.TypeProto, namer: Namer) -> Type:
    """ONNX's type as ours."""
    kind = proto.WhichOneof("value")
    if kind == "tensor_type":
        tensor = proto.tensor_type
        dtype = DTYPES.get(tensor.elem_type)
        if dtype is None:
            return UNKNOWN
        if not tensor.HasField("shape"):
            return TensorType(dtype)
        dims: list[Dim] = []
        for axis, dim in enumerate(tensor.shape.dim):
            size = dim.dim_value if dim.HasField("dim_value") else -1
            dims.append(size if size >= 0 else namer(dim.dim_param, axis))
        return TensorType(dtype, tuple(dims))
    if kind == "sequence_type":
        return SequenceType(type_of(proto.sequence_type.elem_type, namer))
    if kind == "optional_type":
        return OptionalType(type_of(proto.optional_type.elem_type, namer))
    return UNKNOWN if kind is None else OpaqueType(kind.removesuffix("_type"))


def tensor_type(proto: onnx.TensorProto) -> TensorType:
    """The type of a tensor. Raises ModelError for one that ONNX does not know."""
    dtype, dims = DTYPES.get(proto.data_type), tuple(proto.dims)
    if dtype is None or (dims and min(dims) < 0):
        raise ModelError(f"the weight '{proto.name}' has no type or shape that ONNX knows")
    return TensorType(dtype, dims)
