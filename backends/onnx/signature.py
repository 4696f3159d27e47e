"""What a graph takes and gives, and what its file said of it, as ONNX's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

import onnx

from graphwright.backends.onnx.draft import Draft
from graphwright.backends.onnx.expand import is_later
from graphwright.backends.onnx.header import carry
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Value
from graphwright.ir.onnx_types import type_proto
from graphwright.ir.types import TensorType

if TYPE_CHECKING:
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

    Infos: TypeAlias = RepeatedCompositeFieldContainer[onnx.ValueInfoProto]

REBUILT = {
    *("node", "name", "input", "output", "initializer", "sparse_initializer"),
    *("value_info", "quantization_annotation"),
}


def write_inputs(graph: Graph, draft: Draft, captured: set[Value]) -> None:
    """Write what the graph takes, and the values its inputs have when they are left out."""
    source = graph.source
    infos = {i.name: i for i in source.input} if isinstance(source, onnx.GraphProto) else {}
    for value in graph.inputs:
        if value in captured:
            continue
        name = draft.scope.names[value]
        _add_info(draft.proto.input, name, infos.get(value.name), value)
        if value in graph.defaults:
            draft.initializer(graph.defaults[value], name)


def write_outputs(graph: Graph, names: list[str], draft: Draft) -> None:
    """Write what the graph gives, under `names`."""
    source = graph.source
    infos = list(source.output) if isinstance(source, onnx.GraphProto) else []
    inner = draft.outer is not None and len(infos) == len(names)  # whose names are ours
    by_name = {info.name: info for info in infos}
    for i, (value, name) in enumerate(zip(graph.outputs, names, strict=True)):
        if value is None:
            raise ModelError(f"the output '{name}' is given by nothing")
        if draft.scope.names.get(value) != name:
            _alias(value, name, draft)
        said = infos[i] if inner else by_name.get(name)
        if said is not None and not said.HasField("type") and _is_called(value, draft):
            said = None  # a reader would not know the type, which only the node's own name tells
        _add_info(draft.proto.output, name, said, value)


def _is_called(value: Value, draft: Draft) -> bool:
    """Whether a function gives `value`, in place of an operator that the opset lacks."""
    return value.producer is not None and is_later(value.producer, draft.model.opset)


def _add_info(infos: Infos, name: str, said: onnx.ValueInfoProto | None, value: Value) -> None:
    info = infos.add()
    if said is not None and not _is_another(said, value):
        info.CopyFrom(said)
    elif (type_ := type_proto(value.type)) is not None:
        info.type.CopyFrom(type_)
    info.name = name


def _is_another(said: onnx.ValueInfoProto, value: Value) -> bool:
    """Whether what the file said of a shape is no longer so, since a technique changed it."""
    shape = value.type.shape if isinstance(value.type, TensorType) else None
    dims = said.type.tensor_type.shape.dim
    pairs = zip(dims, shape or (), strict=False)
    return any(d.HasField("dim_value") and d.dim_value != n for d, n in pairs if isinstance(n, int))


def _alias(value: Value, name: str, draft: Draft) -> None:
    """Give a value that has another name, or none yet, under `name`."""
    if value.const is not None and draft.outer is not None and value not in draft.scope.names:
        draft.give_constant(value.const, name)
    elif value.const is None or draft.name(value) != name:
        draft.proto.node.add(op_type="Identity", input=[draft.name(value)], output=[name])


def carry_graph(graph: Graph, draft: Draft) -> None:
    """Carry on what the file said of the graph and of those of its values that are still there."""
    source, proto = graph.source, draft.proto
    if not isinstance(source, onnx.GraphProto):
        return
    carry(source, proto, REBUILT)
    if source.value_info:
        alive = {n for node in proto.node for n in node.output}
        alive -= {o.name for o in proto.output}
        proto.value_info.extend(v for v in source.value_info if v.name in alive)
    if source.quantization_annotation:
        _carry_annotations(source, draft)


def _carry_annotations(source: onnx.GraphProto, draft: Draft) -> None:
    """Carry on how tensors are quantized, with the weights that say so."""
    have = {n for node in draft.proto.node for n in node.output} | draft.named.keys()
    have |= {i.name for i in draft.proto.input}
    notes = [q for q in source.quantization_annotation if q.tensor_name in have]
    keep_weights(source, {e.value for q in notes for e in q.quant_parameter_tensor_names}, draft)
    draft.proto.quantization_annotation.extend(notes)


def keep_weights(source: onnx.GraphProto, names: Iterable[str], draft: Draft) -> None:
    """Write weights of the file that no node reads, for what else speaks of them."""
    wanted = set(names)
    for tensor in source.initializer:
        if tensor.name in wanted and tensor.name not in draft.scope.taken:
            draft.scope.taken.add(tensor.name)
            draft.proto.initializer.append(tensor)
