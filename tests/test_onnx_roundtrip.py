"""Whatever the graph of an ONNX file is like, it is read and written again and means the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from tests.onnx_building import (
    BOOL,
    F32,
    I64,
    body,
    info,
    model,
    node,
    returned,
    unranked,
    weight,
)

X = np.array([[-1.0, 2.0, 3.0]], np.float32)
IN, OUT, COND = info("x", "B", 3), info("y", "B", 3), info("c", dtype=BOOL)
Feed = Mapping[str, Any]
Built = tuple[onnx.ModelProto, Feed | None]
MODELS: dict[str, Callable[[], Built]] = {}


def built(make: Callable[[], Built]) -> Callable[[], Built]:
    MODELS[make.__name__] = make
    return make


def choice(then: onnx.GraphProto, other: onnx.GraphProto, output: str = "y") -> onnx.NodeProto:
    return node("If", ["c"], [output], then_branch=then, else_branch=other)


@built
def branches_that_capture() -> Built:
    then = body([node("Add", ["t", "w"], ["r"]), node("Mul", ["r", "x"], ["s"])], [unranked("s")])
    other = body([node("Sub", ["t", "large"], ["r"])], [unranked("r")])
    weights = [weight("w", [1, 2, 3]), weight("large", np.arange(3000).reshape(1000, 3))]
    made = model([node("Neg", ["x"], ["t"]), choice(then, other)], [COND, IN], [OUT], weights)
    return made, {"c": np.array(False), "x": X}


@built
def branches_in_branches() -> Built:
    inner = choice(
        body([node("Add", ["x", "u"], ["deep"])], [unranked("deep")]),
        body([node("Mul", ["u", "w"], ["deep"])], [unranked("deep")]),
        "chosen",
    )
    then = body([node("Exp", ["t"], ["u"]), inner], [unranked("chosen")])
    other = body([node("Identity", ["x"], ["same"])], [unranked("same")])
    nodes = [node("Neg", ["x"], ["t"]), choice(then, other)]
    made = model(nodes, [COND, IN], [OUT], [weight("w", np.ones((1200, 3)))])
    return made, {"c": np.array(True), "x": X}


@built
def branches_that_give_constants_and_captures() -> Built:
    constant = node("Constant", [], ["k"], value=weight("k", X))
    then = body([constant], [unranked("k")])
    other = body([], [unranked("t")])
    made = model([node("Neg", ["x"], ["t"]), choice(then, other)], [COND, IN], [OUT])
    return made, {"c": np.array(True), "x": X}


@built
def a_branch_that_gives_its_weight() -> Built:
    then = body([], [unranked("k")], weights=[weight("k", X)])
    other = body([], [unranked("k")], weights=[weight("k", np.zeros((2000, 3)))])
    return model([choice(then, other)], [COND], [OUT]), {"c": np.array(True)}


@built
def a_branch_that_gives_one_value_twice() -> Built:
    then = body([node("Neg", ["x"], ["a"])], [unranked("a"), unranked("a")])
    other = body([node("Abs", ["x"], ["a"])], [unranked("a"), unranked("x")])
    chosen = node("If", ["c"], ["y", "z"], then_branch=then, else_branch=other)
    made = model([chosen], [COND, IN], [OUT, info("z", "B", 3)])
    return made, {"c": np.array(False), "x": X}


@built
def names_that_hide_others() -> Built:
    """The branch has an `h` of its own, and the If's output is called like what it is made of."""
    then = body([node("Exp", ["x"], ["h"]), node("Neg", ["h"], ["y"])], [unranked("y")])
    other = body([node("Abs", ["x"], ["y"])], [unranked("y")])
    nodes = [node("Neg", ["x"], ["h"]), choice(then, other), node("Add", ["h", "y"], ["z"])]
    made = model(nodes, [COND, IN], [info("z", "B", 3)])
    return made, {"c": np.array(True), "x": X}


def _loop(step: onnx.GraphProto, carried: list[str], outputs: list[str]) -> onnx.NodeProto:
    return node("Loop", ["n", "", *carried], outputs, body=step)


@built
def a_loop_that_captures_and_scans() -> Built:
    step = body(
        [
            node("Identity", ["go"], ["on"]),
            node("Add", ["acc", "w"], ["more"]),
            node("Mul", ["more", "x"], ["seen"]),
        ],
        [info("on", dtype=BOOL), unranked("more"), unranked("seen")],
        [info("i", dtype=I64), info("go", dtype=BOOL), unranked("acc")],
    )
    outputs = [OUT, unranked("all")]
    made = model(
        [_loop(step, ["x"], ["y", "all"])],
        [info("n", dtype=I64), IN],
        outputs,
        [weight("w", [1, 1, 1])],
    )
    return made, {"n": np.array(3), "x": X}


@built
def a_loop_that_passes_its_condition_through() -> Built:
    step = body(
        [node("Add", ["acc", "acc"], ["more"])],
        [info("go", dtype=BOOL), info("more", "B", 3)],
        [info("i", dtype=I64), info("go", dtype=BOOL), info("acc", "B", 3)],
    )
    made = model([_loop(step, ["x"], ["y"])], [info("n", dtype=I64), IN], [OUT])
    return made, {"n": np.array(2), "x": X}


@built
def a_loop_that_leaves_all_out() -> Built:
    """Where a Loop of fewer inputs would be none."""
    step = body(
        [node("Identity", ["go"], ["on"]), node("Exp", ["x"], ["seen"])],
        [info("on", dtype=BOOL), unranked("seen")],
        [info("i", dtype=I64), info("go", dtype=BOOL)],
    )
    return model([node("Loop", ["", ""], ["y"], body=step)], [IN], [unranked("y")]), None


@built
def a_loop_in_a_branch() -> Built:
    step = body(
        [node("Add", ["acc", "t"], ["more"]), node("Identity", ["go"], ["on"])],
        [info("on", dtype=BOOL), unranked("more")],
        [info("i", dtype=I64), info("go", dtype=BOOL), unranked("acc")],
    )
    then = body([_loop(step, ["x"], ["done"])], [unranked("done")])
    other = body([node("Abs", ["t"], ["done"])], [unranked("done")])
    nodes = [node("Neg", ["x"], ["t"]), choice(then, other)]
    made = model(nodes, [COND, info("n", dtype=I64), IN], [OUT])
    return made, {"c": np.array(True), "n": np.array(4), "x": X}


@built
def a_scan() -> Built:
    step = body(
        [node("Add", ["sum", "row"], ["next"]), node("Mul", ["row", "w"], ["out"])],
        [info("next", 3), info("out", 3)],
        [info("sum", 3), info("row", 3)],
    )
    scan = node("Scan", ["zero", "x"], ["last", "y"], body=step, num_scan_inputs=1)
    weights = [weight("zero", [0, 0, 0]), weight("w", [1, 2, 3])]
    return model([scan], [IN], [info("last", 3), OUT], weights), {"x": X}


@built
def sequences_and_optionals() -> Built:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(F32, ["B", 3]))
    maybe = helper.make_optional_type_proto(kind)
    nodes = [
        node("SequenceConstruct", ["x", "x"], ["s"]),
        node("SequenceAt", ["s", "one"], ["y"]),
        node("Optional", ["s"], ["o"]),
        node("OptionalHasElement", ["o"], ["has"]),
    ]
    outputs = [OUT, helper.make_value_info("s", kind), info("has", dtype=BOOL)]
    made = model(nodes, [IN], outputs, [weight("one", 1, np.int64)], opset=18)
    made.graph.value_info.append(helper.make_value_info("o", maybe))
    return made, {"x": X}


@built
def a_sequence_as_input() -> Built:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(F32, None))
    nodes = [node("ConcatFromSequence", ["s"], ["y"], axis=0)]
    return model(nodes, [helper.make_value_info("s", kind)], [unranked("y")]), {"s": [X, X]}


@built
def maps() -> Built:
    keys = node("DictVectorizer", ["m"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a", "b"])
    kind = onnx.TypeProto()
    kind.map_type.key_type = onnx.TensorProto.STRING
    kind.map_type.value_type.tensor_type.elem_type = F32
    made = model(
        [keys], [helper.make_value_info("m", kind)], [unranked("y")], domains=["ai.onnx.ml"]
    )
    return made, {"m": {"b": 2.0, "a": 1.0}}


@built
def inputs_and_outputs_left_out() -> Built:
    nodes = [
        node("Clip", ["x", "", "top"], ["t"]),
        node("Dropout", ["t"], ["u", ""]),
        node("LSTM", ["z", "w", "r"], ["", "y"], hidden_size=2),
    ]
    weights = [
        weight("top", 1.0),
        weight("w", np.full((1, 8, 3), 0.1)),
        weight("r", np.full((1, 8, 2), 0.2)),
    ]
    nodes.insert(2, node("Unsqueeze", ["u", "axis"], ["z"]))
    weights.append(weight("axis", [0], np.int64))
    return model(nodes, [IN], [unranked("y"), unranked("u")], weights), {"x": X}


@built
def outputs_that_no_node_gives() -> Built:
    outputs = [info("x", "B", 3), info("w", 3), info("l", 2000), OUT]
    weights = [weight("w", [1, 2, 3]), weight("l", np.arange(2000))]
    return model([node("Add", ["x", "w"], ["y"])], [IN], outputs, weights), {"x": X}


@built
def an_output_given_twice() -> Built:
    return model([node("Neg", ["x"], ["y"])], [IN], [OUT, OUT]), {"x": X}


@built
def no_nodes_at_all() -> Built:
    return model([], [IN], [info("w", 3)], [weight("w", [1, 2, 3])]), {"x": X}


@built
def a_weight_that_is_an_input_too() -> Built:
    made = model(
        [node("Add", ["x", "w"], ["t"]), node("Mul", ["t", "v"], ["y"])],
        [IN, info("w", 3)],
        [OUT],
        [weight("w", [1, 2, 3]), weight("v", [4, 5, 6])],
    )
    return made, {"x": X}


@built
def an_old_file_whose_weights_are_all_inputs() -> Built:
    nodes = [
        node("Add", ["x", "w"], ["t"]),
        node("Constant", [], ["two"], value=weight("two", 2.0)),
        node("Constant", [], ["many"], value=weight("many", np.ones((1500, 3)))),
        node("Mul", ["t", "two"], ["u"]),
        node("Mul", ["u", "many"], ["y"]),
    ]
    made = model(nodes, [IN, info("w", 3)], [OUT], [weight("w", [1, 2, 3])], opset=8, ir=3)
    return made, {"x": X}


@built
def nodes_in_disorder() -> Built:
    nodes = [
        node("Add", ["u", "t"], ["y"]),
        node("Exp", ["t"], ["u"]),
        node("Neg", ["x"], ["t"]),
    ]
    return model(nodes, [IN], [OUT]), None


@built
def names_in_any_script() -> Built:
    nodes = [node("Neg", ["eingäng/0"], ["中間"], "ноль:1"), node("Exp", ["中間"], ["y out"])]
    made = model(nodes, [info("eingäng/0", "größe", 3)], [info("y out", "größe", 3)])
    return made, {"eingäng/0": X}


@built
def sizes_called_like_formulas_and_ours() -> Built:
    nodes = [node("Concat", ["a", "b"], ["t"], axis=0), node("Exp", ["t"], ["y"])]
    made = model(nodes, [info("a", "2*B", 3), info("b", "_0", 3)], [info("y", "_1", 3)])
    return made, {"a": X, "b": X}


@built
def axes_without_elements() -> Built:
    nodes = [node("Concat", ["x", "none"], ["y"], axis=0)]
    return model(nodes, [IN], [OUT], [weight("none", np.zeros((0, 3)))]), {"x": X}


@built
def types_said_wrongly() -> Built:
    made = model([node("Exp", ["x"], ["t"]), node("Neg", ["t"], ["y"])], [IN], [OUT])
    made.graph.value_info.extend([info("t", "B", 3), info("gone", 7, 7)])
    return made, {"x": X}


@built
def operators_of_nobody() -> Built:
    inside = body([node("Foo", ["x"], ["r"], domain="a.b")], [unranked("r")])
    nodes = [
        node("Foo", ["x", "", "w"], ["t", "", "unread"], "n", domain="a.b", alpha=1.5, g=inside),
        node("Foo:Bar", ["t"], ["y"], domain="a::b", many=[b"\xff", b"a"], none=b""),
        node("Foo", ["t"], [], domain="a.b"),
    ]
    return model(nodes, [IN], [OUT], [weight("w", [1])], domains=["a.b", "a::b"]), None


@built
def operators_newer_than_onnx() -> Built:
    nodes = [node("Frobnicate", ["x"], ["t"], depth=3), node("Relu", ["t"], ["y"])]
    return model(nodes, [IN], [OUT], opset=onnx.defs.onnx_opset_version() + 3, ir=99), None


@built
def contrib_operators() -> Built:
    nodes = [node("Gelu", ["x"], ["t"], domain="com.microsoft"), node("Neg", ["t"], ["y"])]
    return model(nodes, [IN], [OUT], domains=["com.microsoft"]), {"x": X}


@pytest.mark.parametrize("name", MODELS)
def test_it_comes_back(name: str, tmp_path: Path) -> None:
    proto, feed = MODELS[name]()
    returned(proto, tmp_path, feed)
