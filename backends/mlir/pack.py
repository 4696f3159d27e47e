"""A graph as what torch-mlir's importer takes: an ONNX message of operators, all sizes numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import onnx
import onnx.shape_inference

from graphwright.backends.onnx.expand import expansion, is_later
from graphwright.backends.onnx.header import BARE_WEIGHTS_SINCE, DEFAULT, STANDARD
from graphwright.backends.onnx.tensors import header_of, raw_bytes
from graphwright.backends.onnx.write import to_proto
from graphwright.ir.const import Array, Const, FileSlice, from_array, from_slice
from graphwright.ir.errors import ModelError
from graphwright.ir.fixed import with_shapes
from graphwright.ir.graph import Graph
from graphwright.ir.onnx_types import type_proto
from graphwright.ir.provenance import origin_in
from graphwright.ir.types import TensorType

Shapes = Mapping[str, tuple[int, ...]]
LOWERED = 22
"""The newest opset whose operators torch-mlir lowers, all but those of which it says so."""

Weight = tuple[str, TensorType, "FileSlice | Array"]


@dataclass(frozen=True)
class Packed:
    """A model that can be sent to another process: no weight that lies in a file is copied."""

    model: bytes
    weights: tuple[Weight, ...] = ()


def pack(graph: Graph, shapes: Shapes) -> Packed:
    """The graph for inputs of `shapes`; functions and operators of ours are written out in place.

    Inputs that are given no shape keep what they hold by default. Raises ModelError for shapes that
    do not fit and for operators that are not ONNX's.
    """
    header = graph.header or DEFAULT
    version = max(header.ir_version, BARE_WEIGHTS_SINCE)
    fixed = with_shapes(graph, shapes)
    fixed.header = replace(header, ir_version=version, calls=False)
    fixed.defaults = {v: const for v, const in fixed.defaults.items() if v.name not in shapes}
    _write_out(fixed)
    proto, weights = to_proto(fixed)
    for name in _foreign(proto.graph):
        raise ModelError(f"torch-mlir has no operator {name}")
    proto.graph.name = "main"
    for node in proto.graph.node:
        node.name = node.name or _told(node)
    for info in proto.graph.output:
        if any(dim.HasField("dim_param") for dim in info.type.tensor_type.shape.dim):
            info.type.tensor_type.ClearField("shape")  # inference may know it
    places = ((name, c.type, c.where if c.where is not None else c.load()) for name, c in weights)
    return Packed(proto.SerializeToString(deterministic=True), tuple(places))


def _write_out(graph: Graph) -> None:
    """Write out in place what torch-mlir does not lower, or lowers to something else."""
    for part in graph.parts():
        for node in part.nodes():
            # Its Gelu by tanh has 0.79772 for the square root of 2 / pi, and is 5e-5 off.
            if is_later(node, LOWERED) or node.attrs.get("approximate") == "tanh":
                fresh, result = expansion(node)
                for inside, given in zip(fresh, node.inputs, strict=True):
                    if inside is not None and given is not None:
                        part.replace(inside, given)
                part.replace(node.outputs[0], result)


def _foreign(graph: onnx.GraphProto) -> list[str]:
    """The operators that are not ONNX's own; torch-mlir would take them for those of that name."""
    found = []
    for node in graph.node:
        if node.domain not in STANDARD:
            found.append(f"{node.domain}::{node.op_type}")
        for attr in node.attribute:
            if attr.HasField("g"):
                found += _foreign(attr.g)
    return found


def _told(node: onnx.NodeProto) -> str:
    """Where a node that a rule made comes from, in the place of a name."""
    origin = origin_in({each.key: each.value for each in node.metadata_props})
    return "" if origin is None else ", ".join(origin.sources)


def constant_of(weight: Weight) -> Const:
    """The constant that a packed weight is."""
    _, type_, data = weight
    return from_slice(type_, data) if isinstance(data, FileSlice) else from_array(data)


def typed(packed: Packed) -> onnx.ModelProto:
    """The model with the types of all that is in it; its large weights are its last inputs."""
    proto = onnx.ModelProto.FromString(packed.model)
    for name, type_, _ in packed.weights:
        info = proto.graph.input.add(name=name)
        said = type_proto(type_)
        if said is not None:
            info.type.CopyFrom(said)
    return onnx.shape_inference.infer_shapes(proto, data_prop=True)


def with_literals(packed: Packed) -> onnx.ModelProto:
    """What `typed` gives, with the weights in it rather than as inputs."""
    proto = typed(packed)
    del proto.graph.input[len(proto.graph.input) - len(packed.weights) :]
    for weight in packed.weights:
        name, type_, _ = weight
        const = constant_of(weight)
        tensor = header_of(const, name)
        tensor.raw_data = raw_bytes(const.load(), type_.dtype)
        proto.graph.initializer.append(tensor)
    return proto
