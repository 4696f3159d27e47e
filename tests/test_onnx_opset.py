"""A newer opset than the model's own: the same function, in the operators that the opset has."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.node_cases import CHANCE, NOBODY, OLD, ORT, REFERENCE, cases, on_ort
from tests.onnx_building import (
    body,
    function,
    info,
    is_valid,
    model,
    node,
    ops,
    same,
    unranked,
    weight,
    whole,
)
from tests.test_node_tests import distance

import graphwright as gw
from graphwright.frontends.onnx import from_proto
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Header, Value
from graphwright.ir.ops import apply, return_node
from graphwright.ir.types import TensorType

X = np.array([[-1.0, 2.0, 3.0]], np.float32)
IN, OUT = info("x", "B", 3), info("y", "B", 3)


@pytest.fixture(autouse=True)
def _overflow() -> Iterator[None]:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize(("target", "least"), [(13, 60), (18, 500), (21, 750), (24, 1000)])
def test_node_tests_compute_the_same_in_newer_opsets(target: int, least: int) -> None:
    found: Counter[str] = Counter()
    wrong = {}
    for case in cases():
        own = max((o.version for o in case.model.opset_import if not o.domain), default=target)
        if own >= target or case.judge in (OLD, CHANCE, NOBODY):
            continue
        try:
            newer = whole(from_proto(case.model), target)
        except ModelError as error:
            found["refused" if "means something else in opset" in str(error) else str(error)] += 1
            continue
        if not is_valid(newer) and is_valid(case.model):
            wrong[case.name] = "not valid"
            continue
        found[case.judge] += 1
        if case.judge == ORT:
            after = on_ort(newer, case.feed)
            far = [distance(a, b) for a, b in zip(case.expected, after, strict=True)]
            if max(far, default=0.0) > 1e-6:
                wrong[case.name] = f"{max(far):.2g} apart"
    print(target, dict(found))
    assert not wrong, wrong
    assert found[ORT] >= least, found
    assert found["refused"] <= 1, found
    assert not found.keys() - {ORT, REFERENCE, "refused"}, found


def written_out_transformer(opset: int, ir: int) -> onnx.ModelProto:
    """A block as an exporter of that time spelled it."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []

    def w(name: str, *shape: int) -> str:
        weights.append(weight(name, rng.normal(size=shape) / 3))
        return name

    def c(name: str, value: object, dtype: type = np.float32) -> str:
        nodes.append(node("Constant", [], [name], value=weight(name, value, dtype)))
        return name

    def op(kind: str, *inputs: str, to: str, **attrs: object) -> str:
        nodes.append(node(kind, inputs, [to], **attrs))
        return to

    def mean(x: str, to: str) -> str:
        if opset < 18:
            return op("ReduceMean", x, to=to, axes=[-1] if opset >= 11 else [2])
        return op("ReduceMean", x, c(f"{to}_axes", [-1], np.int64), to=to)

    q = op("MatMul", "x", w("wq", 8, 8), to="q")
    k = op("MatMul", "x", w("wk", 8, 8), to="k")
    scores = op("MatMul", q, op("Transpose", k, to="kt", perm=[0, 2, 1]), to="scores")
    scaled = op("Div", scores, c("root", np.sqrt(8)), to="scaled")
    seen = op("Softmax", scaled, to="seen", axis=2)
    attended = op("Add", op("MatMul", seen, "x", to="mixed"), "x", to="attended")
    centred = op("Sub", attended, mean(attended, "mean"), to="centred")
    variance = mean(op("Mul", centred, centred, to="squared"), "variance")
    deviation = op("Sqrt", op("Add", variance, c("eps", 1e-5), to="shifted"), to="deviation")
    normal = op("Div", centred, deviation, to="normal")
    scaled = op("Mul", normal, w("gamma", 8), to="scaled2")
    h = op("Add", scaled, w("beta", 8), to="h")
    up = op("Add", op("MatMul", h, w("up", 8, 16), to="up0"), w("upb", 16), to="up1")
    erf = op("Erf", op("Div", up, c("sqrt2", np.sqrt(2)), to="inner"), to="erf")
    half = op(
        "Mul",
        op("Mul", up, op("Add", erf, c("one", 1.0), to="e1"), to="u"),
        c("half", 0.5),
        to="gelu",
    )
    down = op("MatMul", half, w("down", 16, 8), to="down0")
    axes = [0]
    flat = op("Reshape", down, c("list", [0, -1], np.int64), to="flat")
    if opset < 13:
        squeezed = op("Unsqueeze", flat, to="squeezed", axes=axes)
    else:
        squeezed = op("Unsqueeze", flat, c("axes", axes, np.int64), to="squeezed")
    op("Identity", squeezed, to="y")
    return model(
        nodes, [info("x", "B", 5, 8)], [info("y", 1, "B", 40)], weights, opset=opset, ir=ir
    )


FEED = {"x": np.random.default_rng(1).normal(size=(2, 5, 8)).astype(np.float32)}
PAIRS = [(9, 4), (11, 6), (12, 7), (13, 7), (17, 8), (18, 8)]


@pytest.mark.parametrize(("opset", "ir"), PAIRS)
@pytest.mark.parametrize("target", [13, 17, 20, 21, 23])
def test_a_transformer_computes_the_same_in_newer_opsets(opset: int, ir: int, target: int) -> None:
    proto = written_out_transformer(opset, ir)
    graph = from_proto(proto)
    if target < opset:
        with pytest.raises(ModelError, match="cannot be lowered"):
            whole(graph, target)
        return
    newer = whole(graph, target)
    onnx.checker.check_model(newer, full_check=True)
    assert {o.domain: o.version for o in newer.opset_import} == {"": target}
    assert newer.ir_version >= ir
    assert same(on_ort(proto, FEED), on_ort(newer, FEED))


@pytest.mark.parametrize(("opset", "ir"), PAIRS)
def test_what_is_fused_is_native_where_the_opset_has_it(opset: int, ir: int) -> None:
    proto = written_out_transformer(opset, ir)
    graph = gw.optimize(from_proto(proto), verify=False).graph
    before = on_ort(proto, FEED)
    for target in (opset, 17, 20):
        if target < opset:
            continue
        after = whole(graph, target)
        onnx.checker.check_model(after)
        assert max(map(distance, before, on_ort(after, FEED))) < 1e-5
        names = ops(after.graph)
        if target == opset:
            assert after.ir_version == ir
        if target >= 17:
            assert names.count("LayerNormalization") == 1
        if target >= 20:
            assert names.count("Gelu") == 1
            assert not after.functions
        elif ir >= 8:
            assert [f.name for f in after.functions if f.name == "Gelu"] == ["Gelu"]


def test_functions_and_bodies_become_newer_too() -> None:
    soft = function(
        "Soft",
        [node("ReduceSum", ["a"], ["s"], axes=[1]), node("Div", ["a", "s"], ["b"])],
        opset=12,
    )
    then = body([node("Squeeze", ["u"], ["r"], axes=[0])], [unranked("r")])
    other = body([node("ReduceSum", ["u"], ["r"], axes=[0], keepdims=0)], [unranked("r")])
    nodes = [
        node("Soft", ["x"], ["t"], domain="my"),
        node("Unsqueeze", ["t"], ["u"], axes=[0]),
        node("If", ["c"], ["y"], then_branch=then, else_branch=other),
    ]
    proto = model(
        nodes, [info("c", dtype=9), IN], [OUT], opset=12, ir=8, functions=[soft], domains=["my"]
    )
    newer = whole(from_proto(proto), 20)
    assert {o.version for o in newer.functions[0].opset_import if not o.domain} == {20}
    assert newer.ir_version == 9
    onnx.checker.check_model(newer)
    for c in (True, False):
        feed = {"c": np.array(c), "x": X}
        assert same(on_ort(proto, feed), on_ort(newer, feed))


def unary(op: str, opset: int, shape: tuple[object, ...], **attrs: object) -> onnx.ModelProto:
    return model(
        [node(op, ["x"], ["y"], **attrs)], [info("x", *shape)], [unranked("y")], opset=opset
    )


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_old_softmaxes_ran_over_all_axes_from_theirs_on(op: str, axis: int | None) -> None:
    attrs = {} if axis is None else {"axis": axis}
    proto = unary(op, 11, ("A", 3, 4), **attrs)
    feed = {"x": np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)}
    newer = whole(from_proto(proto), 17)
    assert max(map(distance, on_ort(proto, feed), on_ort(newer, feed))) < 1e-6


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("op", ["Upsample", "Resize"])
def test_old_resizes_keep_their_coordinates(op: str, mode: str) -> None:
    """Which `onnx.version_converter` moves by half a pixel."""
    scales = weight("s", [1, 1, 1.5, 2.5])
    opset = 9 if op == "Upsample" else 10
    proto = model(
        [node(op, ["x", "s"], ["y"], mode=mode)],
        [info("x", 1, 1, 4, 4)],
        [unranked("y")],
        [scales],
        opset,
    )
    feed = {"x": np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)}
    for target in (11, 13, 19):
        newer = whole(from_proto(proto), target)
        assert ops(newer.graph) == ["Resize"]
        assert same(on_ort(proto, feed), on_ort(newer, feed))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounds_and_fillings_have_the_type_of_what_they_are_for(dtype: type) -> None:
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [
        node("Clip", ["x"], ["t"], min=-0.5, max=0.5),
        node("Pad", ["t"], ["y"], pads=[0, 1, 0, 2], value=7.0),
    ]
    proto = model(nodes, [info("x", 1, 3, dtype=kind)], [info("y", 1, 6, dtype=kind)], opset=10)
    newer = whole(from_proto(proto), 17)
    onnx.checker.check_model(newer, full_check=True)
    (found,) = on_ort(newer, {"x": X.astype(dtype)})
    assert found.tolist() == [[7, -0.5, 0.5, 0.5, 7, 7]]


def test_group_norms_scale_each_channel() -> None:
    weights = [weight("scale", [1, 2]), weight("bias", [3, 4])]
    made = node("GroupNormalization", ["x", "scale", "bias"], ["y"], num_groups=2)
    proto = model([made], [info("x", 1, 4, 2)], [info("y", 1, 4, 2)], weights, opset=18)
    newer = whole(from_proto(proto), 21)
    given = np.arange(8, dtype=np.float32).reshape(1, 4, 2)
    (found,) = on_ort(newer, {"x": given})
    halves = given.reshape(2, 4)
    normal = (halves - halves.mean(1, keepdims=True)) / np.sqrt(halves.var(1, keepdims=True) + 1e-5)
    assert np.allclose(found.reshape(2, 4), normal * [[1], [2]] + [[3], [4]], atol=1e-5)


@pytest.mark.parametrize(
    ("proto", "target", "said"),
    [
        (unary("Neg", 17, (3,)), 13, "opset 17, which cannot be lowered to 13"),
        (unary("Neg", 17, (3,)), 99, "there is no opset 99"),
        (
            model(
                [node("Resize", ["x", "s"], ["y"])], [info("x", 2), info("s", 1)], [OUT], opset=10
            ),
            13,
            "the operator Resize means something else in opset 13 than in 10",
        ),
        (unary("BatchNormalization", 8, (1, 3), spatial=0), 9, "BatchNormalization"),
    ],
)
def test_what_cannot_be_written_is_refused(proto: onnx.ModelProto, target: int, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        whole(from_proto(proto), target)


def test_what_nobody_knows_goes_as_it_came() -> None:
    nodes = [node("Foo", ["x"], ["t"], domain="a.b"), node("ATen", ["t"], ["y"], operator="sin")]
    proto = model(nodes, [IN], [OUT], opset=10, domains=["a.b"])
    newer = whole(from_proto(proto), 17)
    assert list(newer.graph.node) == list(proto.graph.node)


def layer_norm(dtype: str, opset: int, ir: int, axis: int) -> Graph:
    x = Value(TensorType(dtype, (2, 3, 4)), name="x")
    scale = Value(TensorType(dtype, (3, 4)[2 + axis :]), name="scale")
    attrs = {"axis": axis, "epsilon": 1e-5, "stash_type": 1}
    norm = apply("LayerNormalization", x, scale, **attrs).outputs[0]
    gelu = apply("Gelu", norm, approximate="tanh").outputs[0]
    result = return_node([apply("Gelu", gelu, approximate="none").outputs[0]], ["y"])
    return Graph("g", (x, scale), result, header=Header(ir, {"": opset}))


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize(("opset", "ir"), [(9, 4), (12, 7), (13, 8), (16, 8)])
def test_newer_operators_in_older_files_are_functions_or_written_out(
    opset: int, ir: int, axis: int, dtype: str
) -> None:
    rng = np.random.default_rng(0)
    kind = np.float16 if dtype == "f16" else np.float32
    shape = (3, 4)[2 + axis :]
    feed = {
        "x": rng.normal(size=(2, 3, 4)).astype(kind),
        "scale": rng.normal(size=shape).astype(kind),
    }
    old = whole(layer_norm(dtype, opset, ir, axis))
    onnx.checker.check_model(old)
    assert [f.name for f in old.functions] == (
        ["LayerNormalization", "Gelu", "Gelu_2"] if ir >= 8 else []
    )
    native = whole(layer_norm(dtype, 20, 9, axis))
    assert ops(native.graph) == ["LayerNormalization", "Gelu", "Gelu"]
    (a,), (b,) = on_ort(old, feed), on_ort(native, feed)
    assert distance(a, b) < (4e-3 if dtype == "f16" else 1e-6)


def test_constants_are_folded_as_the_models_own_opset_means_them() -> None:
    nodes = [
        node("Constant", [], ["k"], value=weight("", np.arange(24).reshape(2, 3, 4))),
        node("Softmax", ["k"], ["s"]),
        node("Add", ["x", "s"], ["y"]),
    ]
    proto = model(nodes, [info("x", 2, 3, 4)], [info("y", 2, 3, 4)], opset=11)
    after = whole(gw.optimize(from_proto(proto), verify=False).graph)
    assert ops(after.graph) == ["Add"]
    feed = {"x": np.zeros((2, 3, 4), np.float32)}
    assert same(on_ort(proto, feed), on_ort(after, feed))


def test_what_the_opset_asked_for_has_is_used(tmp_path: Path) -> None:
    graph = gw.parse(
        "def g(q: f32[2, 4, 3, 8], k: f32[2, 4, 5, 8], v: f32[2, 4, 5, 8]):\n"
        "    return Softmax(q @ Transpose(k, perm=(0, 1, 3, 2)) * 0.5, axis=-1) @ v"
    )
    graph.header = Header(8, {"": 17})
    own, newer = gw.optimize(graph), gw.optimize(graph, opset=23)
    assert own.report.ok
    assert newer.report.ok
    assert "Attention@23" not in {node.op for node in own.graph.nodes()}
    again = gw.optimize(newer.graph)
    for number, each in enumerate((newer, again)):
        path = tmp_path / f"{number}.onnx"
        gw.save(each.graph, path)
        written = onnx.load(path)
        assert {o.domain: o.version for o in written.opset_import} == {"": 23}
        assert "Attention" in ops(written.graph)
    with pytest.raises(ModelError, match="cannot be lowered to 13"):
        gw.optimize(graph, opset=13)
