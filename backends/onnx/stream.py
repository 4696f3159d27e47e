"""A model written to its file piece by piece: the message, and large weights copied in chunks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

import onnx

from graphwright.backends.onnx.header import BARE_WEIGHTS_SINCE
from graphwright.ir.const import FileSlice
from graphwright.ir.errors import ModelError
from graphwright.ir.wire import framed

MODEL_GRAPH, GRAPH_NODE, GRAPH_INITIALIZER = 7, 1, 5
NODE_ATTRIBUTE, ATTRIBUTE_TENSOR, RAW_DATA = 5, 5, 9
CHUNK = 1 << 24

Data: TypeAlias = FileSlice | bytes


class Placed(NamedTuple):
    """A weight as its model's file has it: its description, and its data where that follows."""

    header: onnx.TensorProto
    data: Data | None = None


def length_of(data: Data | None) -> int:
    """The number of bytes."""
    return 0 if data is None else data.length if isinstance(data, FileSlice) else len(data)


def copy(data: Data | None, file: BinaryIO) -> None:
    """Write data, read from its file chunk by chunk. Raises ModelError when that has changed."""
    if not isinstance(data, FileSlice):
        file.write(data or b"")
        return
    data.check()
    with data.path.open("rb") as source:
        source.seek(data.offset)
        left = data.length
        while left:
            chunk = source.read(min(left, CHUNK))
            if not chunk:
                raise ModelError(f"{data.path} became shorter while it was read")
            left -= len(chunk)
            file.write(chunk)


def write_model(path: Path, proto: onnx.ModelProto, weights: Sequence[Placed]) -> None:
    """Write a model and the weights that are not in its message, which is emptied."""
    old = proto.ir_version < BARE_WEIGHTS_SINCE
    inputs = {i.name for i in proto.graph.input} if old else set()
    nodes = [w for w in weights if old and w.header.name not in inputs]
    graph = proto.graph.SerializeToString(deterministic=True)
    proto.ClearField("graph")
    # Nodes that give constants come before those that read them.
    parts = [(_constant(w), w.data) for w in nodes]
    parts.append((graph, None))
    parts += [(_initializer(w), w.data) for w in weights if not old or w.header.name in inputs]
    with path.open("wb") as file:
        file.write(proto.SerializeToString(deterministic=True))
        file.write(framed(MODEL_GRAPH, sum(len(head) + length_of(data) for head, data in parts)))
        for head, data in parts:
            file.write(head)
            copy(data, file)


def _wrapped(number: int, head: bytes, data: Data | None) -> bytes:
    """The field `number` that holds `head` and `data`, but for the data."""
    return framed(number, len(head) + length_of(data)) + head


def _tensor(weight: Placed) -> bytes:
    head: bytes = weight.header.SerializeToString(deterministic=True)
    return head if weight.data is None else head + framed(RAW_DATA, length_of(weight.data))


def _initializer(weight: Placed) -> bytes:
    return _wrapped(GRAPH_INITIALIZER, _tensor(weight), weight.data)


def _constant(weight: Placed) -> bytes:
    attr = onnx.AttributeProto(name="value", type=onnx.AttributeProto.TENSOR)
    node = onnx.NodeProto(op_type="Constant", output=[weight.header.name])
    found = _wrapped(ATTRIBUTE_TENSOR, _tensor(weight), weight.data)
    found = _wrapped(NODE_ATTRIBUTE, attr.SerializeToString() + found, weight.data)
    return _wrapped(GRAPH_NODE, node.SerializeToString() + found, weight.data)
