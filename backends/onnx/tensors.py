"""Our constants as ONNX's."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache

import numpy as np
import onnx
from onnx import numpy_helper

from graphwright.backends.onnx.header import carry
from graphwright.ir.const import Array, Const
from graphwright.ir.graph import Value
from graphwright.ir.onnx_types import NUMBERS
from graphwright.ir.types import BITS, TensorType


def tensor_of(const: Const, name: str) -> onnx.TensorProto:
    """A constant as a tensor; without its data when that lies in a file."""
    payload = const.payload
    if isinstance(payload, onnx.TensorProto):
        if payload.name == name:
            return payload
        tensor = onnx.TensorProto()
        tensor.CopyFrom(payload)
    elif const.where is None and const.type.dtype == "str":
        tensor = numpy_helper.from_array(const.load())
    else:
        tensor = _described(const.type)
        if const.where is None:
            tensor.raw_data = raw_bytes(const.load(), const.type.dtype)
    tensor.name = name
    return tensor


DATA = {
    *("raw_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data"),
    *("string_data", "external_data", "data_location"),
}


def header_of(const: Const, name: str) -> onnx.TensorProto:
    """The tensor of a constant without its data, and without any word on where that lies."""
    if isinstance(const.payload, onnx.TensorProto):
        tensor = onnx.TensorProto()
        carry(const.payload, tensor, DATA)
    else:
        tensor = _described(const.type)
    tensor.name = name
    return tensor


def _described(type_: TensorType) -> onnx.TensorProto:
    dims = [d for d in type_.shape or () if isinstance(d, int)]
    return onnx.TensorProto(data_type=NUMBERS[type_.dtype], dims=dims)


def raw_bytes(array: Array, dtype: str) -> bytes:
    """The elements as files hold them: little-endian, and packed when they have few bits."""
    if dtype in BITS:
        return bytes(numpy_helper.from_array(array).raw_data)
    if sys.byteorder == "big":
        array = array.astype(array.dtype.newbyteorder("<"))
    return array.tobytes()


def list_of(numbers: Iterable[int]) -> Value:
    """A constant list of numbers, as cheap as can be: models are full of them."""
    type_, array, payload = _list(tuple(numbers))
    return Value(type_, const=Const(type_, lambda: array, payload=payload))


@cache
def _list(numbers: tuple[int, ...]) -> tuple[TensorType, Array, onnx.TensorProto]:
    array = np.array(numbers, np.int64)
    type_ = TensorType("i64", array.shape)
    payload = _described(type_)
    payload.raw_data = raw_bytes(array, "i64")
    return type_, array, payload
