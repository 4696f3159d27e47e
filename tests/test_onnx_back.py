"""How graphs are written: names, computed sizes, constants, and the same bytes each time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.onnx_building import (
    body,
    function,
    info,
    model,
    node,
    on_ort,
    ops,
    returned,
    same,
    unranked,
    weight,
    whole,
)

from graphwright.backends.onnx import save
from graphwright.backends.ort.pack import pack
from graphwright.backends.ort.session import evaluate
from graphwright.frontends.onnx import from_proto, load
from graphwright.ir.dims import Dim, joint, least, sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Header, Value
from graphwright.ir.ops import apply, constant, return_node
from graphwright.ir.provenance import Origin
from graphwright.ir.types import TensorType

IN, OUT = info("x", "B", 3), info("y", "B", 3)
X = np.array([[-1.0, 2.0, 3.0]], np.float32)
B, S = sym("B"), sym("S")


def graph_of(result: Value, *inputs: Value, opset: int = 17, ir: int = 8) -> Graph:
    return Graph("g", inputs, return_node([result], ["y"]), header=Header(ir, {"": opset}))


def test_constants_without_names_are_written_once() -> None:
    x = Value(TensorType("f32", (B, 3)), name="x")
    first = apply("Add", x, 2.0).outputs[0]
    second = apply("Mul", first, 2.0).outputs[0]
    third = apply("Mul", second, constant(2.0, "f64")).outputs[0]
    proto = whole(graph_of(apply("Sub", third, 3.0).outputs[0], x))
    assert [t.name for t in proto.graph.initializer] == ["const_1", "const_2", "const_3"]
    assert [list(n.input) for n in proto.graph.node] == [
        ["x", "const_1"],
        ["Add_1", "const_1"],
        ["Mul_1", "const_2"],
        ["Mul_2", "const_3"],
    ]


def test_fresh_names_are_none_that_the_model_has_anywhere() -> None:
    then = body([node("Abs", ["x"], ["Add_1"])], [unranked("Add_1")])
    other = body([node("Exp", ["x"], ["const_1"])], [unranked("const_1")])
    choice = node("If", ["c"], ["y"], then_branch=then, else_branch=other)
    graph = from_proto(model([choice], [info("c", dtype=9), IN], [OUT]))
    y = graph.outputs[0]
    assert y is not None
    add = apply("Add", y, 2.0)
    graph.replace(y, apply("Neg", add.outputs[0]).outputs[0], keep=(add,))
    proto = whole(graph)
    onnx.checker.check_model(proto)
    assert [(n.op_type, *n.input, *n.output) for n in proto.graph.node] == [
        ("If", "c", "y_1"),
        ("Add", "y_1", "const_2", "Add_2"),
        ("Neg", "Add_2", "y"),
    ]


def sized(dims: Dim | tuple[Dim, ...], opset: int) -> Graph:
    """A graph that gives `dims`, by the sizes of its input."""
    x = Value(TensorType("f32", (B, S, 4)), name="x")
    w = Value(TensorType("f32", (sym("T"),)), name="w")
    sizes = apply("Sizes", dims=dims).outputs[0]
    result = apply("Identity", sizes).outputs[0]
    return graph_of(result, x, w, opset=opset, ir=10)


@pytest.mark.parametrize("opset", [10, 14, 15, 21])
@pytest.mark.parametrize(
    ("dims", "expected"),
    [
        (B, 2),
        ((B, S), [2, 5]),
        ((1, 2), [1, 2]),
        ((), []),
        ((B * S, 4, S + 1, 3 * B - 1), [10, 4, 6, 5]),
        (((S + 1) // 2, S // 2 * 2), [3, 4]),
        ((least(S, 3), least(S, 7)), [3, 5]),
        ((joint(S, sym("T")), joint(B, sym("T"))), [5, 2]),
    ],
)
def test_sizes_are_computed_from_the_inputs(
    dims: Dim | tuple[Dim, ...], expected: object, opset: int
) -> None:
    feed = {"x": np.zeros((2, 5, 4), np.float32), "w": np.zeros(1, np.float32)}
    ((found,),) = evaluate(pack(sized(dims, opset)), [feed])
    assert found.tolist() == expected
    assert found.dtype == np.int64


def test_sizes_asked_for_twice_are_computed_once() -> None:
    x = Value(TensorType("f32", (B, S)), name="x")
    sizes = [apply("Sizes", dims=(B * S,)).outputs[0] for _ in range(2)]
    both = apply("Concat", *sizes, axis=0).outputs[0]
    assert ops(whole(graph_of(both, x)).graph) == ["Shape", "Shape", "Mul", "Concat"]


def test_a_size_that_no_input_has_is_refused() -> None:
    with pytest.raises(ModelError, match="no input has the size 'Q'"):
        whole(sized((sym("Q"),), 17))


@pytest.mark.parametrize(
    ("dims", "numbers"),
    [((B, 8), [0, 8]), ((B * 2, 4), [-1, 4]), ((2, 4), [2, 4]), ((B, B * 4, 1), None)],
)
def test_a_shape_is_told_in_numbers_where_they_tell_enough(
    dims: tuple[Dim, ...], numbers: list[int] | None
) -> None:
    x = Value(TensorType("f32", (B, 2, 4)), name="x")
    shape = apply("Sizes", dims=dims).outputs[0]
    proto = whole(graph_of(apply("Reshape", x, shape).outputs[0], x)).graph
    if numbers is None:
        assert "Shape" in ops(proto)
    else:
        assert ops(proto) == ["Reshape"]
        assert onnx.numpy_helper.to_array(proto.initializer[0]).tolist() == numbers


def test_sizes_are_computed_in_bodies_too() -> None:
    """Where an input of the body has the name that an input of the model has."""
    step = body(
        [node("Neg", ["x"], ["r"]), node("Identity", ["go"], ["on"])],
        [info("on", dtype=9), unranked("r")],
        [info("i", dtype=7), info("go", dtype=9), unranked("x")],
    )
    loop = node("Loop", ["n", "", "x"], ["y"], body=step)
    graph = from_proto(model([loop], [info("n", dtype=7), IN], [OUT]))
    inside = graph.nodes()[0].bodies["body"]
    neg = inside.result.inputs[1].producer
    shape = apply("Sizes", dims=(B,)).outputs[0]
    size = apply("Cast", apply("Reshape", shape, constant([], "i64")).outputs[0], to="f32")
    neg_input = apply("Add", neg.inputs[0], size.outputs[0]).outputs[0]
    neg.set_input(0, neg_input)
    proto = whole(graph)
    onnx.checker.check_model(proto)
    (found,) = on_ort(proto, {"n": np.array(1), "x": np.ones((2, 3), np.float32)})
    assert found.tolist() == [[-3] * 3] * 2


def test_a_new_node_says_what_it_was_made_of_and_is_read_so() -> None:
    x = Value(TensorType("f32", (B, 3)), name="x")
    origin = Origin(("a", "b"), ("fuse-gelu",))
    result = apply("Exp", x, origin=origin).outputs[0]
    proto = whole(graph_of(result, x))
    said = {p.key: p.value for p in proto.graph.node[0].metadata_props}
    assert said == {
        "graphwright.sources": '["a", "b"]',
        "graphwright.rules": '["fuse-gelu"]',
    }
    assert from_proto(proto).nodes()[0].origin == origin


def test_functions_we_wrote_are_shared_with_those_we_write() -> None:
    def gelu(graph: Graph) -> Graph:
        y = graph.outputs[0]
        assert y is not None
        y.name = ""
        result = apply("Gelu", y, approximate="none").outputs[0]
        graph.result.set_input(0, result)
        return graph

    x = Value(TensorType("f32", (B, 3)), name="x")
    once = whole(gelu(graph_of(apply("Neg", x).outputs[0], x)))
    assert [f.name for f in once.functions] == ["Gelu"]
    twice = whole(gelu(from_proto(once)))
    assert [f.name for f in twice.functions] == ["Gelu"]
    assert [(o.domain, o.version) for o in twice.opset_import] == [("", 17), ("graphwright", 1)]
    mine = function("Gelu", [node("Neg", ["a"], ["b"])])
    mine.domain = "graphwright"
    proto = model(
        [node("Gelu", ["x"], ["y"], domain="graphwright")],
        [IN],
        [OUT],
        functions=[mine],
        domains=["graphwright"],
    )
    other = whole(gelu(from_proto(proto)))
    assert [f.name for f in other.functions] == ["Gelu", "Gelu_2"]
    (found,) = on_ort(other, {"x": X})
    (expected,) = on_ort(whole(gelu(graph_of(apply("Neg", x).outputs[0], x))), {"x": X})
    assert same(found, expected)


def test_newer_operators_in_bodies_call_functions_too() -> None:
    then = body([node("Neg", ["x"], ["r"])], [unranked("r")])
    other = body([node("Abs", ["x"], ["r"])], [unranked("r")])
    choice = node("If", ["c"], ["y"], then_branch=then, else_branch=other)
    graph = from_proto(model([choice], [info("c", dtype=9), IN], [OUT]))
    for inside in graph.nodes()[0].bodies.values():
        given = inside.outputs[0]
        assert given is not None
        inside.result.set_input(0, apply("Gelu", given, approximate="none").outputs[0])
    old, new = whole(graph), whole(graph, 20)
    assert [f.name for f in old.functions] == ["Gelu"]
    assert not new.functions
    for c in (True, False):
        feed = {"c": np.array(c), "x": X}
        (a,), (b,) = on_ort(old, feed), on_ort(new, feed)
        assert np.allclose(a, b, atol=1e-6)


SAVES = """
import sys
from graphwright.backends.onnx import save
from graphwright.frontends.onnx import load
import graphwright as gw
graph = gw.optimize(load(sys.argv[1]), verify=False).graph
save(graph, sys.argv[2])
"""


def test_every_process_writes_the_same_bytes(tmp_path: Path) -> None:
    from tests.test_onnx_opset import written_out_transformer

    path = tmp_path / "m.onnx"
    onnx.save(written_out_transformer(13, 8), path)
    found = set()
    for seed in ("0", "1", "77"):
        out = tmp_path / f"{seed}.onnx"
        subprocess.run(
            [sys.executable, "-c", SAVES, str(path), str(out)],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        found.add(out.read_bytes())
    assert len(found) == 1


def test_weights_that_two_values_hold_are_written_once(tmp_path: Path) -> None:
    weights = [weight("w", np.ones((2000, 3)))]
    nodes = [
        node("ReduceMean", ["w"], ["r"], axes=[0]),
        node("Add", ["x", "r"], ["y"]),
    ]
    graph = from_proto(model(nodes, [IN], [OUT], weights))
    w = graph.nodes()[0].inputs[0]
    again = Value(w.type, const=w.const, name="another")
    more = apply("ReduceMax", again, axes=(0,), keepdims=0).outputs[0]
    y = graph.outputs[0]
    graph.result.set_input(0, apply("Add", y, more).outputs[0])
    path = tmp_path / "m.onnx"
    save(graph, path)
    assert path.stat().st_size < 26_000
    returned(onnx.load(path), tmp_path, {"x": X})


def test_a_saved_model_is_no_larger_than_what_it_was_made_of(tmp_path: Path) -> None:
    proto = model([node("Add", ["x", "w"], ["y"])], [IN], [OUT], [weight("w", [1, 2, 3])])
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    out = tmp_path / "out.onnx"
    save(load(path), out)
    assert out.stat().st_size <= path.stat().st_size


def test_every_part_of_a_split_has_a_name() -> None:
    x = Value(TensorType("f32", (B, 3)), name="x")
    parts = apply("Split", x, axis=1, split=(1, 2), count=2).outputs
    ((found,),) = evaluate(pack(graph_of(parts[1], x)), [{"x": X}])  # it crashed without
    assert found.tolist() == [[2.0, 3.0]]
