from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from graphwright.backends.onnx.meanings import MEANINGS
from graphwright.backends.onnx.reference import evaluate64
from graphwright.backends.onnx.sizes import read_sizes
from graphwright.backends.ort import pack
from graphwright.backends.ort.session import evaluate
from graphwright.frontends.onnx import from_proto
from graphwright.ir.dims import sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Value
from graphwright.ir.ops import apply, return_node
from graphwright.ir.types import TensorType

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 4, 7, 6))
AT = np.array([[[0, 1], [3, 2]], [[1, 1], [2, 0]]], np.int64)

APPLICATIONS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Flatten", [X], {"axis": 2}),
    ("Flatten", [X], {"axis": -1}),
    ("Flatten", [X], {}),
    ("GatherElements", [X, RNG.integers(0, 7, (2, 4, 3, 6))], {"axis": 2}),
    ("GatherElements", [X, RNG.integers(-6, 6, (2, 4, 7, 2))], {"axis": 3}),
    ("GatherND", [X[0], AT], {}),
    ("GatherND", [X, AT], {"batch_dims": 1}),
    ("ScatterND", [X[0], AT, RNG.normal(size=(2, 2, 6))], {}),
    ("ScatterND", [X[0], AT, RNG.normal(size=(2, 2, 6))], {"reduction": "add"}),
    ("Clip", [X, np.array(-0.5), np.array(0.25)], {}),
    ("Clip", [X, np.array(-0.5)], {}),
    ("Mod", [AT, np.array(2)], {}),
    ("Mod", [-AT, np.array(3)], {}),
    ("Mod", [X, np.array(0.3)], {"fmod": 1}),
    ("Conv", [X, RNG.normal(size=(3, 4, 3, 2)), RNG.normal(size=3)], {"pads": (1, 0, 2, 1)}),
    ("Conv", [X, RNG.normal(size=(6, 2, 3, 3))], {"group": 2, "strides": (2, 1)}),
    ("Conv", [X, RNG.normal(size=(4, 1, 2, 2))], {"group": 4, "dilations": (2, 3)}),
    ("Conv", [X, RNG.normal(size=(2, 4, 3, 2))], {"auto_pad": "SAME_UPPER", "strides": (2, 2)}),
    ("Conv", [X[..., 0], RNG.normal(size=(2, 4, 3))], {}),
]


@pytest.mark.parametrize(("op", "given", "attrs"), APPLICATIONS)
def test_a_meaning_is_the_one_that_onnx_gives(op: str, given: Any, attrs: Any) -> None:
    names = [f"x{i}" for i in range(len(given))]
    kinds = [helper.np_dtype_to_tensor_dtype(x.dtype) for x in given]
    inputs = [
        helper.make_tensor_value_info(n, k, x.shape)
        for n, k, x in zip(names, kinds, given, strict=True)
    ]
    node = helper.make_node(op, names, ["y"], **attrs)
    graph = helper.make_graph([node], "g", inputs, [helper.make_empty_tensor_value_info("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    want = ReferenceEvaluator(model).run(None, dict(zip(names, given, strict=True)))
    assert isinstance(want, list)
    np.testing.assert_allclose(MEANINGS[op](*given, **attrs), want[0], rtol=1e-12, atol=1e-12)


def model_of(text: str) -> Graph:
    return from_proto(onnx.parser.parse_model(text))


def test_floats_are_wide_wherever_they_come_from() -> None:
    graph = model_of(
        """<ir_version: 8, opset_import: ["": 17]>
        g (float16[N] x) => (float[N] y, float16[N] z)
        <float16[1] w = {11878}, float[1] three = {3.0}>
        { s = Add(x, w)  wide = Cast<to=1>(s)  y = Div(wide, three)  z = Exp(s) }"""
    )
    x = np.array([0.3, 1.7, 20.0], np.float16)
    y, z = evaluate64(graph, [{"x": x}])[0]
    exact = x.astype(np.float64) + np.float64(np.float16(0.1))  # whose bits are 11878
    assert y.dtype == z.dtype == np.float64
    np.testing.assert_array_equal(y, exact / 3)
    np.testing.assert_array_equal(z, np.exp(exact))  # beyond what float16 holds


def test_operators_without_a_row_are_computed_by_onnx() -> None:
    graph = model_of(
        """<ir_version: 8, opset_import: ["": 17]>
        g (float[N, 4] x) => (float[N, 2] y, int64[N, 2] i)
        <int64[1] k = {2}>
        { y, i = TopK<axis=1>(x, k) }"""
    )
    x = np.array([[1, 9, 3, 4], [8, 2, 7, 1]], np.float32)
    y, i = evaluate64(graph, [{"x": x}, {"x": -x}])[0]
    assert (y.tolist(), i.tolist()) == ([[9, 4], [8, 7]], [[1, 3], [0, 2]])


def test_an_operator_keeps_the_meaning_of_its_opset() -> None:
    graph = model_of(
        """<ir_version: 8, opset_import: ["": 11]>
        g (float[2, 3, 4] x) => (float[2, 3, 4] y) { y = Softmax<axis=1>(x) }"""
    )
    x = RNG.normal(size=(2, 3, 4)).astype(np.float32)
    (y,) = evaluate64(graph, [{"x": x}])[0]
    np.testing.assert_allclose(y.sum((1, 2)), 1.0)  # all axes from 1 on were one


@pytest.mark.parametrize("fill", [-np.inf, np.finfo(np.float32).min, -1e30])
def test_rows_that_an_attention_sees_nothing_of_are_what_the_runtime_gives(fill: float) -> None:
    graph = model_of(
        """<ir_version: 10, opset_import: ["": 23]>
        g (float[1, 2, 3, 4] x, float[3, 3] m) => (float[1, 2, 3, 4] y)
        { y = Attention(x, x, x, m) }"""
    )
    mask = np.zeros((3, 3), np.float32)
    mask[1] = fill
    feed = {"x": RNG.normal(size=(1, 2, 3, 4)).astype(np.float32), "m": mask}
    (want,), (found,) = evaluate(pack(graph), [feed])[0], evaluate64(graph, [feed])[0]
    np.testing.assert_allclose(found, want, atol=1e-6)
    assert (want[0, 0, 1] == 0).all() == (fill < -1e38)


def test_functions_of_the_model_are_computed() -> None:
    graph = model_of(
        """<ir_version: 8, opset_import: ["": 17, "mine": 1]>
        g (float[N] x) => (float[N] y) { h = mine.grown<by=2.0>(x)  y = mine.grown<by=5.0>(h) }
        <domain: "mine", opset_import: ["": 17]>
        grown <by> (x) => (y) { b = Constant<value_float: float = @by>()  y = Mul(x, b) }"""
    )
    (y,) = evaluate64(graph, [{"x": np.array([1.0, 3.0], np.float32)}])[0]
    assert y.tolist() == [10.0, 30.0]


def test_sizes_are_read_off_the_inputs() -> None:
    batch, length = sym("B"), sym("S")
    x = Value(TensorType("f32", (batch * length, 2)), name="x")
    mark = Value(TensorType("bool", (batch,)), name="sizes")
    dims = apply("Sizes", dims=(batch, length, 2)).outputs[0]
    y = apply("Reshape", x, dims).outputs[0]
    graph = Graph("g", (x, mark), return_node([y], ["y"]))
    feed = {"x": np.ones((15, 2), np.float32), "sizes": np.ones(3, bool)}
    assert evaluate64(graph, [feed])[0][0].shape == (3, 5, 2)


def test_sizes_are_read_off_sums_and_contents() -> None:
    shape = Value(TensorType("i64", (2,)), name="shape", contents=(sym("B"), 7))
    x = Value(TensorType("f32", (2 * sym("S") + 1,)), name="x")
    graph = Graph("g", (shape, x), return_node([x], ["x"]))
    feed = {"shape": np.array([3, 7]), "x": np.ones(9)}
    assert read_sizes(graph, feed) == {"B": 3, "S": 4}


def test_a_default_stands_in_for_an_input_that_is_not_given() -> None:
    graph = model_of(
        """<ir_version: 8, opset_import: ["": 17]>
        g (float[2] x, float[2] w = {1.0, 2.0}) => (float[2] y) { y = Add(x, w) }"""
    )
    x = np.zeros(2, np.float32)
    assert evaluate64(graph, [{"x": x}])[0][0].tolist() == [1.0, 2.0]
    assert evaluate64(graph, [{"x": x, "w": x}])[0][0].tolist() == [0.0, 0.0]


def branching() -> Graph:
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    body = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "body", [], [value])
    node = helper.make_node("If", ["c"], ["y"], name="choose", then_branch=body, else_branch=body)
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
    ]
    return from_proto(helper.make_model(helper.make_graph([node], "g", inputs, [value])))


def test_what_has_no_float64_answer_is_refused_with_a_sentence() -> None:
    x = np.zeros(2, np.float32)
    with pytest.raises(ModelError, match=r"the node 'choose' \(If\) has bodies"):
        evaluate64(branching(), [{"x": x, "c": np.array(True)}])
    with pytest.raises(ModelError, match="the input 'c' is not given"):
        evaluate64(branching(), [{"x": x}])
    for line, why in {
        "y = com.microsoft.Unheard(x)": "what it computes is not known",
        "y = RandomNormalLike(x)": "is random",
        "w = Constant<value_floats: floats = [1.0, 2.0, 3.0]>()  y = Add(x, w)": "cannot be",
    }.items():
        graph = model_of(
            '<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]>'
            f"g (float[N] x) => (float[M] y) {{ {line} }}"
        )
        with pytest.raises(ModelError, match=why):
            evaluate64(graph, [{"x": x}])
