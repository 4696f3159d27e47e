"""What a file says of its graph beside what it computes is carried on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from tests.onnx_building import body, info, model, node, returned, unranked, weight, whole

from graphwright.frontends.onnx import from_proto, load

X = np.array([[-1.0, 2.0, 3.0]], np.float32)
IN, OUT = info("x", "B", 3), info("y", "B", 3)


def noted() -> onnx.ModelProto:
    """A model with a note wherever there can be one."""
    then = body([node("Neg", ["t"], ["r"], "inner", doc_string="in")], [unranked("r")])
    other = body([node("Abs", ["t"], ["r"])], [unranked("r")])
    nodes = [
        node("Gather", ["x", "at"], ["t"], "first", doc_string="the first", axis=1),
        node("If", ["c"], ["y"], "choice", then_branch=then, else_branch=other),
    ]
    inputs = [info("c", dtype=onnx.TensorProto.BOOL), IN]
    made = model(nodes, inputs, [OUT], [weight("at", [2, 1, 0], np.int64)], ir=11)
    made.doc_string, made.domain, made.model_version = "a model", "somewhere", 7
    made.producer_version = "1"
    graph = made.graph
    graph.doc_string = "a graph"
    graph.node[0].attribute[0].doc_string = "an axis"
    graph.initializer[0].doc_string = "an order"
    graph.value_info.append(info("t", "B", 3))
    graph.value_info[0].doc_string = "a value"
    graph.input[1].doc_string = "an input"
    inner = graph.node[1].attribute[0].g.node[0]
    noted = [made, graph, *graph.node, graph.initializer[0], *graph.value_info, *graph.input]
    for each in (*noted, inner, graph.node[1].attribute[0].g):
        each.metadata_props.add(key="said", value=type(each).__name__)
    return made


def test_notes_come_back_everywhere(tmp_path: Path) -> None:
    proto = noted()
    again = whole(returned(proto, tmp_path, {"c": np.array(True), "x": X}))
    assert again == proto


def test_a_node_that_reads_something_else_keeps_its_notes() -> None:
    graph = from_proto(noted())
    gather = graph.nodes()[0]
    gather.set_input(0, graph.nodes()[1].outputs[0].producer.captures[0].producer.inputs[0])
    index = gather.inputs[1]
    index.name = "another"
    again = whole(graph).graph.node[0]
    proto = noted().graph.node[0]
    assert list(again.input) == ["x", "another"]
    proto.input[1] = "another"
    assert again == proto


def test_placement_on_devices_comes_back(tmp_path: Path) -> None:
    proto = model([node("Neg", ["x"], ["y"])], [IN], [OUT], ir=11)
    proto.configuration.add(name="pair", num_devices=2, device=["a", "b"])
    placed = proto.graph.node[0].device_configurations.add(configuration_id="pair")
    placed.sharding_spec.add(tensor_name="y", device=[0, 1])
    assert whole(returned(proto, tmp_path, None)) == proto


@pytest.mark.parametrize("count", [3, 3000])
def test_annotations_keep_the_weights_they_speak_of(count: int, tmp_path: Path) -> None:
    proto = model(
        [node("Neg", ["x"], ["t"]), node("Abs", ["t"], ["y"]), node("Exp", ["x"], ["gone"])],
        [IN],
        [OUT],
        [weight("scale", np.ones(count)), weight("zero", 0, np.int8), weight("unread", [1.0])],
    )
    for name in ("t", "gone"):
        note = proto.graph.quantization_annotation.add(tensor_name=name)
        for key, value in (("SCALE_TENSOR", "scale"), ("ZERO_POINT_TENSOR", "zero")):
            note.quant_parameter_tensor_names.add(key=key, value=value)
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    returned(proto, tmp_path, {"x": X})
    again = whole(load(path)).graph
    assert [q.tensor_name for q in again.quantization_annotation] == ["t"]
    assert {t.name for t in again.initializer} == {"scale", "zero"}


def test_training_keeps_the_weights_it_speaks_of(tmp_path: Path) -> None:
    proto = model(
        [node("Add", ["x", "w"], ["y"])],
        [IN],
        [OUT],
        [weight("w", [1, 2, 3]), weight("momentum", np.ones(3000))],
    )
    training = proto.training_info.add()
    training.algorithm.CopyFrom(
        body([node("Add", ["w", "momentum"], ["new"])], [info("new", 3000)])
    )
    training.update_binding.add(key="w", value="new")
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    again = whole(load(path))
    assert list(again.training_info) == [training]
    assert {t.name for t in again.graph.initializer} == {"w", "momentum"}


UNKNOWN = b"\xfa\x3f\x03abc"  # field 1023, which no message of ONNX's has


def test_what_onnx_does_not_know_comes_back(tmp_path: Path) -> None:
    proto = model([node("Neg", ["x"], ["y"])], [IN], [OUT])
    for message in (proto, proto.graph, proto.graph.node[0], proto.graph.input[0]):
        message.MergeFromString(UNKNOWN)
    again = whole(returned(proto, tmp_path, {"x": X}))
    for message in (again, again.graph, again.graph.node[0], again.graph.input[0]):
        assert UNKNOWN in message.SerializeToString()
    assert again == proto


def test_a_type_as_an_attribute_comes_back(tmp_path: Path) -> None:
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(1, [2]))
    made = node("Optional", [], ["o"], type=kind.optional_type.elem_type)
    outputs = [helper.make_value_info("o", kind)]
    proto = model([made], [], outputs)
    assert whole(returned(proto, tmp_path, None)) == proto
