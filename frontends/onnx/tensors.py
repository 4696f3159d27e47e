"""ONNX's tensors as ours."""

from __future__ import annotations

import sys
from math import prod

import numpy as np
import onnx
from onnx import numpy_helper

from graphwright.frontends.onnx.external import Folder, external, take_in
from graphwright.frontends.onnx.types import tensor_type
from graphwright.ir.const import Array, Const, FileSlice, from_slice
from graphwright.ir.errors import ModelError
from graphwright.ir.types import BITS, NUMPY, TensorType

PLAIN = sys.byteorder == "little"  # raw data is, so it is the array as it stands


def const_of(proto: onnx.TensorProto, folder: Folder, where: FileSlice | None = None) -> Const:
    """A tensor as a constant; `where` says where its data was cut out of, if it was.

    Raises ModelError when its data is missing, short or outside the model's folder.
    """
    type_ = tensor_type(proto)
    if proto.data_location == onnx.TensorProto.EXTERNAL:
        where = external(proto, type_, folder)
        if not type_.nbytes:  # ONNX Runtime would read on to the end of the file
            take_in(proto, folder)
            where = None
    if where is not None:
        _check_length(proto, type_, where.length)
        return from_slice(type_, where, proto)
    if proto.HasField("raw_data"):
        _check_length(proto, type_, len(proto.raw_data))
        if type_.dtype == "str":
            raise ModelError(f"the weight '{proto.name}' holds strings, and no raw data can")
    else:
        _check_count(proto, type_)
    return Const(type_, lambda: _array(proto, type_), payload=proto)


def _check_length(proto: onnx.TensorProto, type_: TensorType, length: int) -> None:
    if length != type_.nbytes:
        raise ModelError(f"the weight '{proto.name}' is {type_} and its data has {length} bytes")


FIELDS = {"f32": "float_data", "c64": "float_data", "f64": "double_data", "c128": "double_data"}
FIELDS |= {"i64": "int64_data", "u32": "uint64_data", "u64": "uint64_data", "str": "string_data"}
"""Where elements stand that are not raw data; all the others are in `int32_data`."""


def _check_count(proto: onnx.TensorProto, type_: TensorType) -> None:
    dtype = type_.dtype
    count = len(getattr(proto, FIELDS.get(dtype, "int32_data")))
    wanted = prod(proto.dims)
    if dtype in BITS:
        wanted = type_.nbytes or 0
    elif dtype in ("c64", "c128"):
        wanted *= 2
    if count != wanted:
        raise ModelError(f"the weight '{proto.name}' is {type_} and its data has {count} elements")


def _array(proto: onnx.TensorProto, type_: TensorType) -> Array:
    if PLAIN and type_.dtype not in BITS and proto.HasField("raw_data"):
        return np.frombuffer(proto.raw_data, NUMPY[type_.dtype]).reshape(tuple(proto.dims))
    try:
        return numpy_helper.to_array(proto)
    except (ValueError, TypeError, OverflowError) as error:
        raise ModelError(f"the weight '{proto.name}' cannot be read: {error}") from None


def sparse_const(proto: onnx.SparseTensorProto, folder: Folder) -> Const:
    """A sparse tensor as a constant that is dense when it is loaded, and written as it came.

    Raises ModelError when it is none.
    """
    for part in (proto.values, proto.indices):
        take_in(part, folder)
    values, indices = const_of(proto.values, folder), const_of(proto.indices, folder)
    dims, count, at = tuple(proto.dims), values.type.shape, indices.type.shape
    fits = count is not None and len(count) == 1 and at in (count, (*count, len(dims)))
    if not fits or indices.type.dtype != "i64" or (dims and min(dims) < 0):
        raise ModelError(
            f"the sparse weight '{proto.values.name}' has values {values.type} "
            f"at indices {indices.type}, which do not fit"
        )
    type_ = TensorType(values.type.dtype, dims)
    return Const(type_, lambda: _dense(proto, values.load(), indices.load()), payload=proto)


def _dense(proto: onnx.SparseTensorProto, data: Array, at: Array) -> Array:
    limits = np.array(proto.dims) if at.ndim == 2 else prod(proto.dims)
    if ((at < 0) | (at >= limits)).any():
        raise ModelError(f"the sparse weight '{proto.values.name}' has an index outside of it")
    dense = np.zeros(tuple(proto.dims), data.dtype)
    if at.ndim == 2:
        dense[tuple(at.T)] = data
    else:
        dense.reshape(-1)[at] = data
    return dense
