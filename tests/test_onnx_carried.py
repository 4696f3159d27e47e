"""What an ONNX file holds beside its graph comes back: element types, functions, notes."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.onnx_building import (
    F32,
    I64,
    body,
    function,
    info,
    model,
    node,
    on_ort,
    returned,
    same,
    unranked,
    weight,
    whole,
)

from graphwright.frontends.onnx import from_proto, load
from graphwright.ir.errors import ModelError

X = np.array([[-1.0, 2.0, 3.0]], np.float32)
IN, OUT = info("x", "B", 3), info("y", "B", 3)
NUMBERS = [1, 0, -1, 1, 0, 1, 1]


def arrays() -> dict[str, np.ndarray]:
    found = {
        name: np.abs(NUMBERS).astype(dtype)
        if np.dtype(dtype).kind == "u"
        else np.array(NUMBERS, dtype)
        for name, dtype in {
            "f16": np.float16,
            "f64": np.float64,
            "i8": np.int8,
            "u16": np.uint16,
            "u64": np.uint64,
            "bool": np.bool_,
            "c64": np.complex64,
            "c128": np.complex128,
        }.items()
    }
    for name in ["bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"]:
        found[name] = np.array(NUMBERS).astype(getattr(ml_dtypes, name))
    for name in ["float8_e8m0fnu", "float4_e2m1fn", "int4", "uint4", "int2", "uint2"]:
        found[name] = np.abs(NUMBERS).astype(np.float32).astype(getattr(ml_dtypes, name))
    found["str"] = np.array(["", "a", "ß", "\n", "0", "x" * 100, "b"], object)
    return found


@pytest.mark.parametrize("name", arrays())
def test_weights_of_every_element_type_come_back(name: str, tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(arrays()[name], "w")
    outputs = [onnx.ValueInfoProto(name="w"), unranked("y", tensor.data_type)]
    outputs[0].CopyFrom(unranked("w", tensor.data_type))
    proto = model([node("Identity", ["w"], ["y"])], [], outputs, [tensor], opset=26, ir=13)
    graph = returned(proto, tmp_path, None)
    assert whole(graph).graph.initializer[0] == tensor
    const = graph.outputs[0].const
    assert const is not None
    assert same(const.load(), arrays()[name])


@pytest.mark.parametrize("name", arrays())
def test_elements_in_their_own_fields_are_the_same(name: str, tmp_path: Path) -> None:
    array = arrays()[name]
    raw = numpy_helper.from_array(array, "w")
    if name == "str":
        return
    typed = helper.make_tensor("w", raw.data_type, array.shape, array)
    proto = model(
        [node("Identity", ["w"], ["y"])],
        [],
        [unranked("y", raw.data_type)],
        [typed],
        opset=26,
        ir=13,
    )
    graph = returned(proto, tmp_path, None)
    const = graph.result.inputs[0].producer.inputs[0].const
    assert same(const.load(), array)


@pytest.mark.parametrize("flat", [True, False])
def test_sparse_weights_come_back(flat: bool, tmp_path: Path) -> None:
    indices = [1, 5] if flat else [[0, 1], [1, 2]]
    sparse = helper.make_sparse_tensor(
        weight("w", [2.0, 3.0]), weight("", indices, np.int64), [2, 3]
    )
    proto = model([node("Add", ["x", "w"], ["y"])], [info("x", 2, 3)], [info("y", 2, 3)])
    proto.graph.sparse_initializer.append(sparse)
    x = np.ones((2, 3), np.float32)
    graph = returned(proto, tmp_path, {"x": x})
    assert list(whole(graph).graph.sparse_initializer) == [sparse]
    dense = np.array([[0, 2, 0], [0, 0, 3]], np.float32)
    if flat:
        dense = np.array([[0, 2, 0], [0, 0, 3]], np.float32)
    assert np.array_equal(on_ort(whole(graph), {"x": x})[0], x + dense)


CONSTANTS = {
    "value": weight("", [[1, 2]]),
    "value_float": 1.5,
    "value_floats": [1.5, 2.5],
    "value_int": -3,
    "value_ints": [1, 2],
    "value_string": "aß",
    "value_strings": ["a", ""],
    "sparse_value": helper.make_sparse_tensor(weight("s", [2.0]), weight("", [1], np.int64), [3]),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_of_every_kind_are_constants(name: str, tmp_path: Path) -> None:
    kind = TensorProto.STRING if "string" in name else I64 if "int" in name else F32
    made = node("Constant", [], ["k"], **{name: CONSTANTS[name]})
    proto = model([made, node("Identity", ["k"], ["y"])], [], [unranked("y", kind)])
    graph = returned(proto, tmp_path, {} if name != "sparse_value" else None)
    (only,) = graph.nodes()
    assert only.inputs[0].const is not None


@pytest.mark.parametrize("name", ["value_string", "value_strings"])
def test_bytes_that_are_no_text_come_back_as_they_are(name: str, tmp_path: Path) -> None:
    held = b"a\xff" if name == "value_string" else [b"a\xff", b"b"]
    made = node("Constant", [], ["k"], **{name: held})
    proto = model([made, node("Identity", ["k"], ["y"])], [], [unranked("y", TensorProto.STRING)])
    (tensor,) = whole(returned(proto, tmp_path, None)).graph.initializer
    assert list(tensor.string_data) == ([held] if isinstance(held, bytes) else held)


# Functions


def referring(op: str, attr: str, to: str, kind: int) -> onnx.NodeProto:
    made = node(op, ["a"], ["b"])
    made.attribute.add(name=attr, ref_attr_name=to, type=kind)
    return made


def functions() -> onnx.ModelProto:
    slope = function(
        "Slope",
        [referring("LeakyRelu", "alpha", "slope", onnx.AttributeProto.FLOAT)],
        attribute_protos=[helper.make_attribute("slope", 0.25)],
    )
    twice = function(
        "Twice",
        [
            node("Slope", ["a"], ["t"], domain="my", slope=0.5),
            node("Slope", ["t"], ["u"], domain="my"),
            node("Constant", [], ["k"], value=weight("", 3.0)),
            node("Mul", ["u", "k"], ["b"]),
        ],
        outputs="b t",
    )
    one = function("Pick", [node("Neg", ["a"], ["b"])], overload="one")
    two = function("Pick", [node("Abs", ["a"], ["b"])], overload="two")
    nodes = [
        node("Twice", ["x"], ["u", "also"], "first", domain="my"),
        node("Pick", ["u"], ["v"], domain="my"),
        node("Pick", ["v"], ["w"], domain="my"),
        node("Twice", ["w"], ["y", ""], domain="my"),
    ]
    nodes[1].overload, nodes[2].overload = "one", "two"
    outputs = [OUT, info("also", "B", 3)]
    return model(nodes, [IN], outputs, ir=10, functions=[twice, slope, one, two], domains=["my"])


def test_functions_come_back(tmp_path: Path) -> None:
    proto = functions()
    graph = returned(proto, tmp_path, {"x": X})
    assert list(whole(graph).functions) == list(proto.functions)
    assert sorted(graph.functions) == ["my::Pick:one", "my::Pick:two", "my::Slope", "my::Twice"]


def test_functions_are_put_in_place(tmp_path: Path) -> None:
    proto = functions()
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    graph = load(path, inline=True)
    again = whole(graph)
    assert not again.functions
    assert not graph.functions
    assert {n.domain for n in again.graph.node} == {""}
    assert same(on_ort(proto, {"x": X}), on_ort(again, {"x": X}))
    assert "first/LeakyRelu" in str(again) or "first/Slope" in str(again)


def test_a_function_with_bodies_is_put_in_place(tmp_path: Path) -> None:
    then = body([node("Add", ["a", "k"], ["r"])], [unranked("r")], weights=[weight("k", 1.0)])
    other = body([node("Sub", ["a", "t"], ["r"])], [unranked("r")])
    made = function(
        "Choose",
        [
            node("Neg", ["a"], ["t"]),
            node("If", ["c"], ["b"], then_branch=then, else_branch=other),
        ],
        inputs="c a",
    )
    calls = [
        node("Choose", ["c", "x"], ["r"], domain="my"),
        node("Choose", ["c", "r"], ["y"], domain="my"),
    ]
    cond = info("c", dtype=TensorProto.BOOL)
    proto = model(calls, [cond, IN], [OUT], ir=10, functions=[made], domains=["my"])
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    for c in (True, False):
        feed = {"c": np.array(c), "x": X}
        assert same(on_ort(proto, feed), on_ort(whole(load(path, inline=True)), feed))


def test_a_function_of_another_opset_stays_a_function(tmp_path: Path) -> None:
    old = function("Soft", [node("Softmax", ["a"], ["b"])], opset=11)
    proto = model(
        [node("Soft", ["x"], ["y"], domain="my")],
        [IN],
        [OUT],
        ir=10,
        functions=[old],
        domains=["my"],
    )
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    assert [n.op for n in load(path, inline=True).nodes()] == ["my::Soft"]


@pytest.mark.parametrize(
    ("functions", "said"),
    [
        ([function("F", [node("F", ["a"], ["b"], domain="my")])], "'F' calls itself"),
        ([function("F", [node("Neg", ["a"], ["b"])])] * 2, "two functions 'F'"),
        ([function("F", [node("Neg", ["q"], ["b"])])], "'q'"),
        ([function("F", [node("Neg", ["a"], ["c"])])], "does not give its output 'b'"),
    ],
)
def test_functions_that_cannot_be_called_are_refused(
    functions: list[onnx.FunctionProto], said: str
) -> None:
    calls = [node("F", ["x"], ["y"], domain="my")]
    proto = model(calls, [IN], [OUT], ir=10, functions=functions, domains=["my"])
    with pytest.raises(ModelError, match=said):
        from_proto(proto)
