"""ONNX's attributes as ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

from graphwright.frontends.onnx.external import take_in, tensors_in
from graphwright.frontends.onnx.scope import Reader
from graphwright.frontends.onnx.tensors import const_of, sparse_const
from graphwright.frontends.onnx.text import NOT_TEXT
from graphwright.ir.const import Const, from_array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, AttrRef, Carried

BODIES = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


def read_attributes(proto: onnx.NodeProto, reader: Reader) -> tuple[dict[str, Attr], bool]:
    """The attributes of a node, and whether there are bodies besides."""
    found: dict[str, Attr] = {}
    bodied = False
    given = proto.attribute[:]  # a list is faster to go through
    for attr in given:
        kind, name = attr.type, attr.name
        if type(name) is not str:
            raise ModelError(NOT_TEXT)
        read = ATTRIBUTES.get(kind)
        if reader.refers and attr.ref_attr_name:
            found[name] = AttrRef(attr.ref_attr_name, kind)
        elif read is not None:
            value = read(attr)
            found[name] = _carried(attr) if value == () else value
        elif kind in BODIES:
            bodied = True
        elif kind == onnx.AttributeProto.TENSOR:
            take_in(attr.t, reader.folder)
            found[name] = const_of(attr.t, reader.folder)
        else:
            for tensor in tensors_in(attr):
                take_in(tensor, reader.folder)
            found[name] = _carried(attr)
    if len(found) + bodied < len(given):
        _refuse_twins(proto)
    return found, bodied


def _refuse_twins(proto: onnx.NodeProto) -> None:
    names = [attr.name for attr in proto.attribute]
    for name in names:
        if names.count(name) > 1:
            said = proto.name or f"{proto.op_type} of {', '.join(proto.output)}"
            raise ModelError(f"the node '{said}' has the attribute '{name}' twice")


def _carried(attr: onnx.AttributeProto) -> Carried:
    """An attribute as it came, where it is of a kind that rules do not speak of."""
    return Carried("attribute", attr.SerializeToString())


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


ATTRIBUTES: dict[int, Callable[[onnx.AttributeProto], Attr]] = {
    onnx.AttributeProto.FLOAT: lambda a: a.f,
    onnx.AttributeProto.INT: lambda a: a.i,
    onnx.AttributeProto.STRING: lambda a: _text(a.s),
    onnx.AttributeProto.FLOATS: lambda a: tuple(a.floats),
    onnx.AttributeProto.INTS: lambda a: tuple(a.ints),
    onnx.AttributeProto.STRINGS: lambda a: tuple([_text(s) for s in a.strings]),
}


def constant_in(attr: onnx.AttributeProto, reader: Reader) -> Const:
    """What the node Constant holds, by its only attribute."""
    name = attr.name
    if name == "value":
        return const_of(attr.t, reader.folder)
    if name == "sparse_value":
        return sparse_const(attr.sparse_tensor, reader.folder)
    if name in ("value_string", "value_strings"):
        return const_of(_strings(attr), reader.folder)
    elements = CONSTANTS.get(name)
    if elements is None:
        raise ModelError(f"a Constant has the attribute '{name}', which ONNX does not know")
    return from_array(elements(attr))


def _strings(attr: onnx.AttributeProto) -> onnx.TensorProto:
    """Strings as the bytes they are, since not all that files hold is text."""
    one = attr.name == "value_string"
    held = [attr.s] if one else list(attr.strings)
    dims = [] if one else [len(held)]
    return onnx.TensorProto(data_type=onnx.TensorProto.STRING, dims=dims, string_data=held)


CONSTANTS: dict[str, Callable[[onnx.AttributeProto], np.ndarray[Any, np.dtype[Any]]]] = {
    "value_float": lambda a: np.array(a.f, np.float32),
    "value_floats": lambda a: np.array(a.floats, np.float32),
    "value_int": lambda a: np.array(a.i, np.int64),
    "value_ints": lambda a: np.array(a.ints, np.int64),
}
