"""ONNX's tensors and types as ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from graphwright.ir.const import Array, Const, FileSlice, from_slice
from graphwright.ir.dims import Dim
from graphwright.ir.errors import ModelError
from graphwright.ir.types import (
    BITS,
    NUMPY,
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

PLAIN = sys.byteorder == "little"  # raw data is, so it is the array as it stands

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


def const_of(proto: onnx.TensorProto, folder: Path, where: FileSlice | None = None) -> Const:
    """A tensor as a constant; `where` says where its data was cut out of, if it was.

    Raises ModelError when its data is missing, short or outside the model's folder.
    """
    dtype, dims = DTYPES.get(proto.data_type), tuple(proto.dims)
    if dtype is None or (dims and min(dims) < 0):
        raise ModelError(f"the weight '{proto.name}' has no type or shape that ONNX knows")
    type_ = TensorType(dtype, dims)
    if proto.data_location == onnx.TensorProto.EXTERNAL:
        where = external(proto, type_, folder)
    if where is not None:
        _check_length(proto, type_, where.length)
        return from_slice(type_, where, proto)
    if proto.HasField("raw_data"):
        _check_length(proto, type_, len(proto.raw_data))
    return Const(type_, lambda: _array(proto, type_), payload=proto)


def _check_length(proto: onnx.TensorProto, type_: TensorType, length: int) -> None:
    if length != type_.nbytes:
        raise ModelError(f"the weight '{proto.name}' is {type_} and its data has {length} bytes")


def _array(proto: onnx.TensorProto, type_: TensorType) -> Array:
    if PLAIN and type_.dtype not in BITS and proto.HasField("raw_data"):
        return np.frombuffer(proto.raw_data, NUMPY[type_.dtype]).reshape(proto.dims)
    try:
        return numpy_helper.to_array(proto)
    except (ValueError, TypeError, OverflowError) as error:
        raise ModelError(f"the weight '{proto.name}' cannot be read: {error}") from None


def external(proto: onnx.TensorProto, type_: TensorType, folder: Path) -> FileSlice:
    """Where the data of a tensor in another file lies."""
    about = {entry.key: entry.value for entry in proto.external_data}
    location = about.get("location", "")
    path = folder / location
    inside = os.path.realpath(folder)
    if not location or os.path.isabs(location) or "\0" in location:
        raise ModelError(
            f"the weight '{proto.name}' lies in '{location}', which is no relative path"
        )
    if os.path.commonpath([inside, os.path.realpath(path)]) != inside:
        raise ModelError(
            f"the weight '{proto.name}' lies in '{location}', outside the model's folder"
        )
    try:
        size = path.stat().st_size
        offset = int(about.get("offset", "0"))
        whole = type_.nbytes if "offset" in about else size
        length = int(about.get("length", whole or 0))
    except OSError:
        raise ModelError(
            f"the weight '{proto.name}' lies in '{location}', which is missing"
        ) from None
    except ValueError:
        raise ModelError(
            f"the weight '{proto.name}' has an offset or length that is no number"
        ) from None
    if offset < 0 or length < 0 or offset + length > size:
        raise ModelError(
            f"the weight '{proto.name}' lies at bytes {offset} to {offset + length} "
            f"of '{location}', which has {size}"
        )
    return FileSlice(path, offset, length)


def sparse_const(proto: onnx.SparseTensorProto, folder: Path) -> Const:
    """A sparse tensor as a constant that is dense when it is loaded, and written as it came."""
    values, indices = const_of(proto.values, folder), const_of(proto.indices, folder)
    type_ = TensorType(values.type.dtype, tuple(proto.dims))

    def read() -> Array:
        at, data = indices.load(), values.load()
        dense = np.zeros(tuple(proto.dims), data.dtype)
        if at.ndim == 2:
            dense[tuple(at.T)] = data
        else:
            dense.reshape(-1)[at] = data
        return dense

    return Const(type_, read, payload=proto)
