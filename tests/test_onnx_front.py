"""What is made of an ONNX file: sizes, types, constants, captures, and inputs of fixed shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from tests.onnx_building import F32, body, info, model, node, on_ort, same, unranked, weight, whole

from graphwright.backends.onnx import save
from graphwright.frontends.onnx import from_proto, load
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.ir.types import TensorType

IN, OUT = info("x", "B", 3), info("y", "B", 3)


def shape(graph: Graph, name: str) -> str:
    for _, each in graph.walk():
        for value in each.outputs:
            if value.name == name:
                assert isinstance(value.type, TensorType)
                return str(value.type)
    raise AssertionError(name)


def test_equal_names_of_sizes_are_equal_only_among_inputs() -> None:
    nodes = [node("Foo", ["x"], ["t"], domain="a.b"), node("Add", ["x", "w"], ["y"])]
    proto = model(nodes, [IN, info("w", "B", 3)], [OUT, info("t", "B", 3)], domains=["a.b"])
    graph = from_proto(proto)
    x, w = graph.inputs
    assert x.type == w.type
    assert shape(graph, "y") == "f32[B, 3]"
    assert shape(graph, "t").startswith("f32[_"), "what the file says of it is a hint"


def test_sizes_made_up_are_no_sizes_of_the_model() -> None:
    nodes = [node("Foo", ["x"], ["t"], domain="a.b"), node("Neg", ["t"], ["y"])]
    proto = model(
        nodes, [info("x", "_0", "_2")], [info("t", "q", "r"), unranked("y")], domains=["a.b"]
    )
    graph = from_proto(proto)
    assert shape(graph, "t") == "f32[_1, _3]"


def test_constants_are_values_and_no_nodes() -> None:
    nodes = [
        node("Constant", [], ["k"], value=weight("", [1, 2, 3])),
        node("Add", ["x", "k"], ["y"]),
    ]
    (add,) = from_proto(model(nodes, [IN], [OUT])).nodes()
    assert add.inputs[1] is not None
    assert add.inputs[1].const is not None
    assert add.inputs[1].const.load().tolist() == [1, 2, 3]


def test_axes_are_attributes_and_defaults_are_written_out() -> None:
    nodes = [
        node("ReduceSum", ["x", "axes"], ["s"]),
        node("Gather", ["x", "at"], ["g"]),
        node("Unsqueeze", ["s", "axes"], ["u"]),
    ]
    weights = [weight("axes", [-1], np.int64), weight("at", 0, np.int64)]
    graph = from_proto(model(nodes, [IN], [unranked("u"), unranked("g")], weights))
    found = {n.op: dict(n.attrs) for n in graph.nodes()}
    assert found == {
        "ReduceSum": {"axes": (-1,), "keepdims": 1},
        "Gather": {"axis": 0},
        "Unsqueeze": {"axes": (-1,)},
    }
    assert all(len(n.inputs) == 1 for n in graph.nodes() if n.op != "Gather")


def test_what_has_no_normal_form_has_its_opset() -> None:
    nodes = [node("ReduceSum", ["x", "axes"], ["y"]), node("Softmax", ["x"], ["z"], axis=0)]
    inputs = [IN, info("axes", 1, dtype=7)]
    proto = model(nodes, inputs, [unranked("y"), unranked("z")], opset=13)
    assert [n.op for n in from_proto(proto).nodes()] == ["ReduceSum@13", "Softmax"]
    old = model([nodes[1]], [info("x", 2, 3)], [unranked("z")], opset=11)
    assert [n.op for n in from_proto(old).nodes()] == ["Softmax@11"]


def test_what_nothing_reads_goes_unless_it_is_unknown_or_chance() -> None:
    nodes = [
        node("Neg", ["x"], ["y"]),
        node("Exp", ["x"], ["unread"]),
        node("Foo", ["x"], ["also"], domain="a.b"),
        node("RandomNormalLike", ["x"], ["dice"]),
    ]
    graph = from_proto(model(nodes, [IN], [OUT], domains=["a.b"]))
    assert [n.op for n in graph.nodes()] == ["Neg", "a.b::Foo", "RandomNormalLike"]
    assert len(graph.inputs[0].uses) == 3


def test_small_constants_are_copied_into_bodies_and_the_rest_is_captured() -> None:
    inner = node(
        "If",
        ["c"],
        ["r"],
        then_branch=body([node("Add", ["x", "large"], ["a"])], [unranked("a")]),
        else_branch=body([node("Add", ["t", "small"], ["a"])], [unranked("a")]),
    )
    then = body([inner], [unranked("r")])
    other = body([node("Abs", ["x"], ["r"])], [unranked("r")])
    nodes = [
        node("Neg", ["x"], ["t"]),
        node("If", ["c"], ["y"], then_branch=then, else_branch=other),
    ]
    weights = [weight("large", np.ones((1000, 3))), weight("small", [1, 2, 3])]
    graph = from_proto(model(nodes, [info("c", dtype=9), IN], [OUT], weights))
    choice = graph.nodes()[-1]
    captured = [v.name for v in choice.captures]
    assert sorted(captured) == ["c", "large", "t", "x"]
    for inside in choice.bodies.values():
        assert [v.name for v in inside.inputs] == captured


def test_weights_that_are_inputs_are_constants_when_frozen(tmp_path: Path) -> None:
    proto = model(
        [node("Add", ["x", "w"], ["y"])], [IN, info("w", 3)], [OUT], [weight("w", [1, 2, 3])]
    )
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    assert [v.name for v in load(path).defaults] == ["w"]
    frozen = load(path, freeze=True)
    assert [v.name for v in frozen.inputs] == ["x"]
    assert not frozen.defaults
    x = np.ones((1, 3), np.float32)
    assert same(on_ort(whole(frozen), {"x": x}), on_ort(proto, {"x": x}))


def test_an_old_file_may_be_frozen(tmp_path: Path) -> None:
    weights = [weight("w", [1, 2, 3]), weight("l", np.ones((2000, 3)))]
    nodes = [
        node("Add", ["x", "w"], ["t"]),
        node("ReduceMean", ["l"], ["r"], axes=[0]),
        node("Mul", ["t", "r"], ["y"]),
    ]
    inputs = [IN, info("w", 3), info("l", 2000, 3)]
    path, out = tmp_path / "m.onnx", tmp_path / "out.onnx"
    onnx.save(model(nodes, inputs, [OUT], weights, opset=8, ir=3), path)
    save(load(path, freeze=True), out)
    again = onnx.load(out)
    onnx.checker.check_model(again)
    assert not again.graph.initializer, "which an old file would want as inputs too"
    x = np.ones((1, 3), np.float32)
    assert same(on_ort(again, {"x": x}), on_ort(onnx.load(path), {"x": x}))


def fixed(shapes: Mapping[str, Sequence[int]], folder: Path) -> Graph:
    nodes = [node("MatMul", ["a", "b"], ["t"]), node("Relu", ["t"], ["y"])]
    inputs = [info("a", "B", "S", 4), info("b", "B", 4, "T"), unranked("free")]
    proto = model(nodes, inputs, [info("y", "B", "S", "T")])
    proto.graph.value_info.append(info("t", "B", "S", "T"))
    path = folder / "m.onnx"
    onnx.save(proto, path)
    return load(path, shapes=shapes)


def test_shapes_of_inputs_are_fixed_and_stay_so(tmp_path: Path) -> None:
    graph = fixed({"a": (2, 5, 4), "free": (7,)}, tmp_path)
    assert [str(v.type) for v in graph.inputs] == ["f32[2, 5, 4]", "f32[2, 4, T]", "f32[7]"]
    assert shape(graph, "y") == "f32[2, 5, T]"
    out = tmp_path / "out.onnx"
    save(graph, out)
    again = onnx.load(out).graph
    assert again.input[0] == info("a", 2, 5, 4)
    dims = again.input[1].type.tensor_type.shape.dim
    assert [d.dim_value or d.dim_param for d in dims] == [2, 4, "T"]
    dims = again.output[0].type.tensor_type.shape.dim
    assert [d.dim_value or d.dim_param for d in dims] == [2, 5, "T"]


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({"q": (1,)}, "there is no input 'q'.*'a', 'b', 'free'"),
        ({"a": (1, 2)}, "'a' cannot have the shape 1x2: it has 3 axes"),
        ({"a": (1, 2, 3)}, "a 3 stands where the model has 4"),
        ({"a": (1, 2, 4), "b": (2, 4, 1)}, "the size 'B' is 1 elsewhere"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    shapes: Mapping[str, Sequence[int]], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=said):
        fixed(shapes, tmp_path)


def test_only_tensors_have_shapes_to_fix(tmp_path: Path) -> None:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(F32, None))
    proto = model(
        [node("ConcatFromSequence", ["s"], ["y"], axis=0)],
        [helper.make_value_info("s", kind)],
        [unranked("y")],
    )
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    with pytest.raises(ModelError, match="'s' is no tensor"):
        load(path, shapes={"s": (1,)})


def test_nodes_in_reverse_are_sorted_at_once() -> None:
    """In time that grows with their number, not with its square."""
    count = 20_000
    names = ["x", *(f"v{i}" for i in range(count - 1)), "y"]
    nodes = [node("Neg", [a], [b]) for a, b in pairwise(names)]
    graph = from_proto(model(nodes[::-1], [IN], [OUT]))
    assert len(graph.nodes()) == count
    assert graph.nodes()[0].inputs[0] is graph.inputs[0]
