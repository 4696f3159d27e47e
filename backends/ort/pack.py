"""A graph as what ONNX Runtime takes: a small message, and weights that stay in their files."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from graphwright.backends.onnx import to_proto
from graphwright.backends.onnx.tensors import tensor_of
from graphwright.ir.const import Const, FileSlice
from graphwright.ir.graph import Graph
from graphwright.ir.types import TensorType


@dataclass(frozen=True)
class Packed:
    """A model that can be sent to another process: no weight in it is copied."""

    model: bytes
    weights: tuple[tuple[str, TensorType, FileSlice], ...]


def pack(graph: Graph) -> Packed:
    """The graph, ready to be run."""
    proto, weights = to_proto(graph)
    placed = []
    for name, const in weights:
        where = const.where
        assert where is not None
        placed.append(
            (name, const.type, FileSlice(where.path.absolute(), where.offset, where.length))
        )
        proto.graph.initializer.append(_placeholder(name, const))
    return Packed(proto.SerializeToString(deterministic=True), tuple(placed))


def _placeholder(name: str, const: Const) -> onnx.TensorProto:
    tensor = onnx.TensorProto()
    tensor.CopyFrom(tensor_of(const, name))
    tensor.ClearField("external_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="given-when-run")
    return tensor
