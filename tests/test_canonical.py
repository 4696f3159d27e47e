"""What the canonical rules do at the edges that their examples do not show."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from graphwright.driver import input_sizes
from graphwright.frontends.onnx import from_proto
from graphwright.ir.const import Array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node
from graphwright.ir.parse import parse
from graphwright.ir.text import show
from graphwright.passes.pipelines import DEFAULT
from graphwright.passes.rewrite import rewrite
from graphwright.passes.rule import Budget, NoMatch, Rule, rules
from graphwright.runtime import Runtime

CANONICAL = next(group for group in DEFAULT if group.name == "canonical")


def no_runtime(node: Node) -> Array:
    raise ModelError(f"{node.op} is not run here")


def graph_of(body: str, given: str = "x: f32[B, 8]") -> Graph:
    *lines, last = body.split("; ")
    return parse("\n    ".join([f"def example({given}):", *lines, f"return {last}"]))


def canonical(graph: Graph, budget: Budget | None = None) -> Graph:
    budget = budget or Budget(no_runtime)
    budget.sizes = input_sizes(graph)
    rewrite(graph, CANONICAL, budget)
    return graph


def operators(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes()]


def model_of(
    nodes: list[onnx.NodeProto], opset: int = 17, stored: list[onnx.TensorProto] | None = None
) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "model", [x], [y], stored or [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize("opset", [7, 10, 12, 13, 22])
def test_dropout_goes_in_every_opset(opset: int) -> None:
    given = {"ratio": 0.3} if opset < 12 else {}
    model = model_of([helper.make_node("Dropout", ["x"], ["y"], **given)], opset)
    assert operators(canonical(from_proto(model))) == []


@pytest.mark.parametrize(("training", "left"), [(False, []), (True, ["Dropout"])])
def test_dropout_goes_unless_it_trains(training: bool, left: list[str]) -> None:
    stored = [
        numpy_helper.from_array(np.array(0.3, np.float32), "ratio"),
        numpy_helper.from_array(np.array(training), "training"),
    ]
    node = helper.make_node("Dropout", ["x", "ratio", "training"], ["y"])
    assert operators(canonical(from_proto(model_of([node], 13, stored)))) == left


@pytest.mark.parametrize(
    ("body", "given"),
    [
        ("Cast(Cast(x, to='f16'), to='f32')", "x: f32[B]"),
        ("Cast(Cast(x, to='i32'), to='f32')", "x: f32[B]"),
        ("Cast(Cast(x, to='f32'), to='i64')", "x: i64[B]"),
        ("Cast(Cast(x, to='bool'), to='i64')", "x: i64[B]"),
        ("Cast(Cast(x, to='f16'), to='bf16')", "x: bf16[B]"),
    ],
)
def test_casts_that_lose_something_stay(body: str, given: str) -> None:
    assert operators(canonical(graph_of(body, given))) == ["Cast", "Cast"]


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f64"])
def test_constants_of_every_float_are_folded(dtype: str) -> None:
    graph = canonical(graph_of(f"x * ({dtype}([1.5]) + {dtype}([0.1]))", f"x: {dtype}[B]"))
    (node,) = graph.nodes()
    kind = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f64": np.float64}[dtype]
    value = node.inputs[1]
    assert value is not None
    assert value.const is not None
    assert value.const.load().tolist() == [kind(1.5) + kind(0.1)]


def test_what_numpy_may_round_otherwise_is_computed_by_the_runtime() -> None:
    asked = []

    def evaluate(node: Node) -> Array:
        asked.append(node.op)
        return np.array([2.0], np.float32)

    graph = canonical(graph_of("x * Exp(f32([0.5]))"), Budget(evaluate))
    assert asked == ["Exp"]
    assert operators(graph) == ["Mul"]


@pytest.mark.parametrize("dtype", ["f8e4m3fn", "f8e5m2"])
def test_eight_bits_are_left_to_the_runtime(dtype: str) -> None:
    runtime = Runtime(isolated=False)
    body = f"x * Cast(Cast(f32([0.3]), to='{dtype}'), to='f32')"
    graph = canonical(graph_of(body), Budget(runtime.compute))
    assert operators(graph) == ["Mul"]
    kind = {"f8e4m3fn": ml_dtypes.float8_e4m3fn, "f8e5m2": ml_dtypes.float8_e5m2}[dtype]
    value = graph.nodes()[0].inputs[1]
    assert value is not None
    assert value.const is not None
    assert value.const.load().tolist() == [float(kind(0.3))]


def refusal(body: str, op: str, given: str = "x: f32[B, 8]", budget: Budget | None = None) -> str:
    """What fold-constants says to the node."""
    rule = rules()["fold-constants"]
    assert isinstance(rule, Rule)
    graph = graph_of(body, given)
    (node,) = [n for n in graph.nodes() if n.op == op]
    with pytest.raises(NoMatch) as caught:
        rule.at(node.outputs[0], budget or Budget(no_runtime))
    return str(caught.value)


def test_what_cannot_be_computed_says_why() -> None:
    assert refusal("x * Exp(f32([0.5]))", "Exp") == "it cannot be computed: Exp is not run here"
    assert "divided by zero" in refusal("i64(1) / i64([0, 1])", "Div")
    assert "larger than 1 MiB" in refusal("Expand(f32(1.0), i64([300000]))", "Expand")


def test_quantized_weights_stay_quantized() -> None:
    body = "y: f32[8] = DequantizeLinear(i8([1, 2, 3, 4, 5, 6, 7, 8]), f32(0.1), i8(0)); x * y"
    assert operators(canonical(graph_of(body))) == ["DequantizeLinear", "Mul"]


def test_chance_is_not_folded() -> None:
    body = "r: f32[8] = RandomUniformLike(f32([1, 2, 3, 4, 5, 6, 7, 8])); x * r"
    assert "RandomUniformLike" in operators(canonical(graph_of(body)))


def tied(also: bool) -> Graph:
    """A weight of 256 KiB, read as it is or not, and transposed."""
    stored = [numpy_helper.from_array(np.ones((8, 8192), np.float32), "w")]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["h", "t"], ["y"]),
    ]
    if not also:
        nodes = [helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0])]
        nodes += [helper.make_node("Flatten", ["t"], ["y"])]
    return from_proto(model_of(nodes, 17, stored))


def test_a_weight_that_is_read_twice_is_not_stored_twice() -> None:
    assert operators(canonical(tied(also=True))) == ["MatMul", "Transpose", "MatMul"]
    assert operators(canonical(tied(also=False))) == []


def test_the_file_grows_by_no_more_than_it_may() -> None:
    lines = "; ".join(f"t{i} = Expand(f32({i}.5), i64([4096]))" for i in range(10))
    total = " + ".join(f"x * t{i}" for i in range(10))
    budget = Budget(no_runtime)
    graph = canonical(graph_of(f"{lines}; {total}", "x: f32[4096]"), budget)
    assert budget.spare >= 0
    assert 0 < operators(graph).count("Expand") < 10


def test_all_results_of_a_split_are_folded() -> None:
    body = "a, b = Split(f32([1, 2, 3, 4]), split=(2, 2), axis=0); x * a + b"
    graph = canonical(graph_of(body, "x: f32[B, 2]"))
    assert operators(graph) == ["Mul", "Add"]
    assert "f32([3.0, 4.0])" in show(graph)


def test_sizes_that_no_input_has_stay_computed() -> None:
    body = "n: i64[2, N] = NonZero(x); Shape(n)"
    assert operators(canonical(graph_of(body))) == ["NonZero", "Shape"]
    body = "n: i64[2, N] = NonZero(x); s = Shape(n); Gather(s, i64([0]), axis=0)"
    assert operators(canonical(graph_of(body))) == []


def test_the_part_of_shape_arithmetic_that_is_known_goes() -> None:
    body = (
        "n: i64[2, N] = NonZero(x); b = Gather(Shape(x), i64([0]), axis=0); "
        "c = Gather(Shape(n), i64([1]), axis=0); Concat(b * 2, c, axis=0)"
    )
    text = show(canonical(graph_of(body)))
    assert "Sizes(dims=(2*B,))" in text
    assert "Shape(n)" in text


def test_equal_nodes_merge_however_they_are_written() -> None:
    body = "Softmax(x + y, axis=1) * Softmax(y + x, axis=-1)"
    graph = canonical(graph_of(body, "x: f32[B, 8], y: f32[B, 8]"))
    assert operators(graph) == ["Add", "Softmax", "Mul"]


@pytest.mark.parametrize(
    "body",
    [
        "a: f32[B, 8] = call('foo::Bar', x); b: f32[B, 8] = call('foo::Bar', x); a * b",
        "a: f32[B, 8] = RandomUniformLike(x); b: f32[B, 8] = RandomUniformLike(x); a * b",
        "Softmax(x, axis=0) * Softmax(x, axis=1)",
        "(x - 1.0) * (1.0 - x)",
        "Cast(Cast(x, to='f16'), to='f32') * Cast(Cast(x, to='bf16'), to='f32')",
    ],
)
def test_what_differs_or_may_does_not_merge(body: str) -> None:
    graph = graph_of(body)
    before = operators(graph)
    assert operators(canonical(graph)) == before


def test_views_of_unknown_sizes_meet_where_one_is_left_open() -> None:
    body = "n: i64[2, N] = NonZero(x); Unsqueeze(Reshape(n, i64([-1])), axes=(0,))"
    graph = canonical(graph_of(body))
    assert operators(graph) == ["NonZero", "Reshape"]
