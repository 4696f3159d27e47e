"""Arrays of element types that NumPy lacks, to and from ONNX Runtime's values."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import onnxruntime as ort

from graphwright.backends.onnx.tensors import raw_bytes
from graphwright.ir.const import Array, unpacked
from graphwright.ir.onnx_types import NUMBERS
from graphwright.ir.types import BITS, NAMES, NUMPY, TensorType

ORT_NAMES = {
    "bf16": "bfloat16",
    "f8e4m3fn": "float8e4m3fn",
    "f8e4m3fnuz": "float8e4m3fnuz",
    "f8e5m2": "float8e5m2",
    "f8e5m2fnuz": "float8e5m2fnuz",
    "f8e8m0": "float8e8m0",
    "f4e2m1": "float4e2m1",
    "i4": "int4",
    "u4": "uint4",
    "i2": "int2",
    "u2": "uint2",
}
FOREIGN = {f"tensor({said})": name for name, said in ORT_NAMES.items()}


def is_foreign(type_: str) -> bool:
    """Whether ONNX Runtime takes or gives no NumPy arrays of a type, as it calls it."""
    return type_ in FOREIGN


def value_of(array: Any) -> ort.OrtValue:
    """An array as a value of ONNX Runtime's."""
    array = np.asarray(array)
    name = NAMES[array.dtype]
    if name not in ORT_NAMES:
        return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array).reshape(array.shape))
    value = ort.OrtValue.ortvalue_from_shape_and_type(list(array.shape), NUMBERS[name], "cpu")
    data = raw_bytes(array, name)
    ctypes.memmove(value.data_ptr(), data, len(data))
    return value


def array_of(value: ort.OrtValue) -> Any:
    """What a value holds, as an array where it is a tensor."""
    name = FOREIGN.get(value.data_type())
    if name is None or not value.has_value():
        return value.numpy() if value.has_value() else None
    type_ = TensorType(name, tuple(value.shape()))
    data = np.frombuffer(ctypes.string_at(value.data_ptr(), type_.nbytes or 0), np.uint8)
    return _elements(data, type_)


def _elements(data: np.ndarray[Any, np.dtype[np.uint8]], type_: TensorType) -> Array:
    if type_.dtype in BITS:
        return unpacked(data, type_)
    shape = tuple(d for d in type_.shape or () if isinstance(d, int))
    return data.view(NUMPY[type_.dtype]).reshape(shape)
