"""Operators that read sizes, or make tensors out of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphwright.ir.const import Const
from graphwright.ir.dims import Dim, product
from graphwright.ir.graph import Contents
from graphwright.ir.operators.operands import known, shape_of, tensor
from graphwright.ir.ops import MAX_CONTENTS, Attrs, Inputs, NotTyped, Op, contents_of, register
from graphwright.ir.types import TensorType, Type

Array = np.ndarray[Any, np.dtype[Any]]


def _read(inputs: Inputs, attrs: Attrs) -> tuple[Dim, ...]:
    start, end = attrs.get("start", 0), attrs.get("end")
    first = start if isinstance(start, int) else 0
    return shape_of(inputs)[first : end if isinstance(end, int) else None]


def _shape(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    try:
        return (TensorType("i64", (len(_read(inputs, attrs)),)),)
    except NotTyped:
        return (TensorType("i64"),)


def _shape_contents(inputs: Inputs, attrs: Attrs) -> Contents | None:
    try:
        return _read(inputs, attrs)
    except NotTyped:
        return None


def _shape_numpy(x: Array, start: int = 0, end: int | None = None) -> Array:
    return np.array(x.shape[start:end], np.int64)


def _size(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    return (TensorType("i64", ()),)


def _size_contents(inputs: Inputs, attrs: Attrs) -> Contents | None:
    try:
        return product(shape_of(inputs))
    except NotTyped:
        return None


def _sizes(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    dims = attrs["dims"]
    return (TensorType("i64", (len(dims),) if isinstance(dims, tuple) else ()),)


def _sizes_contents(inputs: Inputs, attrs: Attrs) -> Contents | None:
    dims: Any = attrs["dims"]
    found: Contents = dims
    return found


def _fill(attrs: Attrs) -> Const:
    value = attrs["value"]
    if not isinstance(value, Const):
        raise TypeError("what ConstantOfShape fills with is no tensor")
    return value


def _filled(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    return (TensorType(_fill(attrs).type.dtype, known(contents_of(inputs[0]))),)


def _filled_contents(inputs: Inputs, attrs: Attrs) -> Contents | None:
    size = contents_of(inputs[0])
    if not isinstance(size, tuple) or len(size) > 1:
        return None
    count = size[0] if size else 1
    if not isinstance(count, int) or count > MAX_CONTENTS:
        return None
    number = _fill(attrs).load().reshape(-1)[0]
    if number.dtype.kind not in "iub":
        return None
    return (int(number),) * count if size else int(number)


def _filled_numpy(shape: Array, value: Const) -> Array:
    return np.full(tuple(shape.tolist()), value.load().reshape(-1)[0])


def _range(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    start, end, step = (contents_of(v) for v in inputs)
    if isinstance(start, tuple | None) or isinstance(end, tuple | None):
        raise NotTyped
    if isinstance(start, int) and isinstance(end, int) and isinstance(step, int) and step:
        return (TensorType(tensor(inputs).dtype, (len(range(start, end, step)),)),)
    length = end - start
    if step != 1 or isinstance(length, int) or not length.nonnegative:
        raise NotTyped
    return (TensorType(tensor(inputs).dtype, (length,)),)


def _range_numpy(start: Array, end: Array, step: Array) -> Array:
    return np.arange(start.item(), end.item(), step.item()).astype(start.dtype)


register(
    Op("Shape", _shape, _shape_numpy, _shape_contents, exact=True),
    Op("Size", _size, lambda x: np.array(x.size, np.int64), _size_contents, exact=True),
    Op("Sizes", _sizes, contents=_sizes_contents, own=True),
    Op("ConstantOfShape", _filled, _filled_numpy, _filled_contents, exact=True),
    Op("Range", _range, _range_numpy),
)
