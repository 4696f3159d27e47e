"""A graph as what ONNX Runtime takes: a small message, and weights that stay in their files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import onnx

from graphwright.backends.onnx import to_proto
from graphwright.backends.onnx.header import BARE_WEIGHTS_SINCE
from graphwright.backends.onnx.tensors import header_of, tensor_of
from graphwright.ir.const import Const
from graphwright.ir.graph import Graph


@dataclass(frozen=True)
class Packed:
    """A model that can be sent to another process: no weight that lies in a file is copied.

    `folder` is where the places of its external data are counted from.
    """

    model: bytes
    folder: str = ""


def pack(graph: Graph) -> Packed:
    """The graph, ready to be run."""
    proto, weights = to_proto(graph)
    proto.ir_version = max(proto.ir_version, BARE_WEIGHTS_SINCE)
    folder = Path.cwd().anchor
    for name, const in weights:
        proto.graph.initializer.append(_tensor(name, const, folder))
    return Packed(proto.SerializeToString(deterministic=True), folder)


def _tensor(name: str, const: Const, folder: str) -> onnx.TensorProto:
    if const.where is None:
        return tensor_of(const, name)
    const.where.check()
    # ONNX Runtime maps these bytes, also those that lie in the middle of a model's file.
    tensor = header_of(const, name)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    path = Path(os.path.realpath(const.where.path)).relative_to(folder).as_posix()
    for key, value in (
        ("location", path),
        ("offset", const.where.offset),
        ("length", const.where.length),
    ):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
