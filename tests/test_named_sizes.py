"""Sizes that a file names by a formula of other sizes."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.onnx_building import info, model, node, ops, whole

import graphwright as gw
from graphwright.backends.onnx.reference import evaluate64
from graphwright.frontends.onnx import from_proto
from graphwright.frontends.onnx.load import load
from graphwright.ir.errors import ModelError
from graphwright.ir.ops import apply
from graphwright.verification.data import read_data
from graphwright.verification.feeds import make_feeds


def cached(total: str) -> onnx.ModelProto:
    """New keys behind old ones, and a mask over all."""
    nodes = [
        node("Concat", ["past", "new"], ["keys"], axis=1),
        node("Add", ["keys", "mask"], ["sum"]),
        node("Shape", ["mask"], ["shape"]),
        node("Reshape", ["sum", "shape"], ["y"]),
    ]
    inputs = [info("past", "B", "P"), info("new", "B", "S"), info("mask", "B", total)]
    return model(nodes, inputs, [info("y", "B", total)])


def said(proto: onnx.ModelProto) -> str:
    """What the mask's length is read as."""
    return str(from_proto(proto).inputs[2].type)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("P + S", "P+S"),
        ("S+P", "P+S"),
        ("P + 1", "P+1"),
        ("2*P*S + S", "2*P*S+S"),
        ("B", "B"),
        ("P + Q", "P + Q"),  # nothing tells what Q is
        ("P - S", "P - S"),
        ("(P + S)", "(P + S)"),
        ("P +", "P +"),
        ("2 * 3", "2 * 3"),
        ("*".join("P" * 9), "*".join("P" * 9)),
    ],
)
def test_sums_and_products_of_other_sizes_are_read(name: str, size: str) -> None:
    assert said(cached(name)) == f"f32[B, {size}]"


def test_a_formula_of_a_name_that_only_formulas_have_is_a_name() -> None:
    proto = model([node("Abs", ["x"], ["y"])], [info("x", "W * 2", 3)], [info("y", "W * 2", 3)])
    graph = from_proto(proto)
    assert str(graph.inputs[0].type) == "f32[W * 2, 3]"


def test_the_file_gets_its_own_words_back() -> None:
    proto = cached("P + S")
    done = gw.optimize(from_proto(proto), verify=False).graph
    written = whole(done)
    assert list(written.graph.input) == list(proto.graph.input)
    assert list(written.graph.output) == list(proto.graph.output)


def test_inputs_are_made_to_agree() -> None:
    graph = from_proto(cached("P + S"))
    for feed in make_feeds(graph):
        assert feed["mask"].shape[1] == feed["past"].shape[1] + feed["new"].shape[1]
        evaluate64(graph, [feed])


def test_what_an_input_has_is_read_and_not_computed() -> None:
    graph = from_proto(cached("P + S"))
    y = graph.outputs[0]
    assert y is not None
    keys = graph.inputs[2].type.shape[1]  # type: ignore[union-attr]  # it is a tensor
    wide = apply("Expand", y, apply("Sizes", dims=(1, keys)).outputs[0])
    graph.replace(y, wide.outputs[0], keep=(wide,))
    made = whole(graph).graph
    assert [n.input[0] for n in made.node if n.op_type == "Shape"] == ["mask", "mask"]


def test_what_is_known_to_be_long_enough_needs_no_reshape() -> None:
    done = gw.optimize(from_proto(cached("P + S"))).graph
    assert ops(whole(done).graph) == ["Concat", "Add"]


def test_data_is_held_to_formulas() -> None:
    graph = from_proto(cached("P + S"))
    data = {"past": np.zeros((4, 3)), "new": np.zeros((4, 2)), "mask": np.zeros((4, 5))}
    assert len(read_data(data, graph)) == 1
    with pytest.raises(ModelError, match=r"P\+S is 6 in 'mask' and should be 5"):
        read_data({**data, "mask": np.zeros((4, 6))}, graph)


def test_fixed_sizes_fix_what_is_made_of_them(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(cached("P + S"), path)
    graph = load(path, shapes={"past": (2, 3), "new": (2, 4)})
    assert str(graph.inputs[2].type) == "f32[2, 7]"
    graph = load(path, shapes={"past": (2, 3)})
    assert str(graph.inputs[2].type) == "f32[2, P + S]"
