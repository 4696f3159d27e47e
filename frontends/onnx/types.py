"""ONNX's types as ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import onnx

from graphwright.ir.dims import Dim
from graphwright.ir.errors import ModelError
from graphwright.ir.onnx_types import NUMBERS
from graphwright.ir.types import (
    UNKNOWN,
    OpaqueType,
    OptionalType,
    SequenceType,
    TensorType,
    Type,
)

DTYPES: dict[int, str] = {number: name for name, number in NUMBERS.items()}
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
    dtype, dims = DTYPES.get(proto.data_type), tuple(proto.dims[:])
    if dtype is None or (dims and min(dims) < 0):
        raise ModelError(f"the weight '{proto.name}' has no type or shape that ONNX knows")
    return _shared(dtype, dims)


@lru_cache(maxsize=1 << 12)
def _shared(dtype: str, dims: tuple[int, ...]) -> TensorType:
    """The type of many weights, as one."""
    return TensorType(dtype, dims)
