"""What tests of the ONNX reader and writer build models with, and hold them to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.node_cases import on_ort, on_reference, same

from graphwright.backends.onnx import save, to_proto
from graphwright.backends.onnx.tensors import tensor_of
from graphwright.frontends.onnx import from_proto, load
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.ir.problems import problems

F32, I64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
node = helper.make_node


def info(name: str, *dims: object, dtype: int = F32) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, list(dims))


def unranked(name: str, dtype: int = F32) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, None)


def weight(name: str, value: object, dtype: object = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value, dtype), name)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Sequence[onnx.TensorProto] = (),
    opset: int = 17,
    ir: int = 8,
    functions: Sequence[onnx.FunctionProto] = (),
    domains: Sequence[str] = (),
    **more: Any,
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights, **more)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=ir, functions=list(functions), producer_name="test"
    )


def body(
    nodes: Sequence[onnx.NodeProto],
    outputs: Sequence[onnx.ValueInfoProto],
    inputs: Sequence[onnx.ValueInfoProto] = (),
    weights: Sequence[onnx.TensorProto] = (),
) -> onnx.GraphProto:
    return helper.make_graph(nodes, "body", inputs, outputs, weights)


def function(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    inputs: str = "a",
    outputs: str = "b",
    opset: int = 17,
    **more: Any,
) -> onnx.FunctionProto:
    """A function of the domain `my`."""
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("my", 1)]
    return helper.make_function("my", name, inputs.split(), outputs.split(), nodes, opsets, **more)


def whole(graph: Graph, opset: int | None = None) -> onnx.ModelProto:
    """The graph as one message, with its weights."""
    proto, weights = to_proto(graph, opset)
    proto.graph.initializer.extend(tensor_of(const, name) for name, const in weights)
    return proto


def ops(graph: onnx.GraphProto) -> list[str]:
    return [n.op_type for n in graph.node]


def is_valid(proto: onnx.ModelProto) -> bool:
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError:
        return False
    return True


def judge_of(proto: onnx.ModelProto, feed: Mapping[str, Any]) -> Callable[..., Sequence[Any]]:
    """What runs a model: ONNX Runtime, or onnx.reference where that cannot."""
    try:
        on_ort(proto, feed)
    except ModelError:
        return on_reference
    return on_ort


def returned(proto: onnx.ModelProto, folder: Path, feed: Mapping[str, Any] | None) -> Graph:
    """The graph of a model, after it has been held to what any model's round trip must keep."""
    graph = from_proto(proto)
    twice = len({o.name for o in proto.graph.output}) < len(proto.graph.output)
    assert list(problems(graph)) == [] or twice
    path = folder / "once.onnx"
    save(graph, path)
    again = onnx.load(path)
    assert is_valid(again) or not is_valid(proto)
    assert list(again.graph.input) == list(proto.graph.input)
    assert list(again.graph.output) == list(proto.graph.output)
    assert again.ir_version == proto.ir_version
    assert list(again.opset_import) == list(proto.opset_import)
    if feed is not None:
        run = judge_of(proto, feed)
        assert same(run(proto, feed), run(again, feed))
    saved_twice_is_the_same(path)
    return graph


def saved_twice_is_the_same(path: Path) -> None:
    """A file that we wrote is read and written to the same bytes."""
    once = path.read_bytes()
    twice = path.with_name("twice.onnx")
    graph = load(path)
    save(graph, twice)
    assert twice.read_bytes() == once
    save(graph, twice)
    assert twice.read_bytes() == once
