"""`graphwright unfuse`, and `optimize --functions`, which it undoes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator
from tests.calling import Run, graphwright, hash_of, optimize, sentence
from tests.node_cases import on_ort

import graphwright as gw

__all__ = ["graphwright", "optimize"]  # fixtures

WRITTEN_OUT = """
    t = Transpose <perm = [0, 1, 3, 2]> (k)
    s = MatMul (q, t)
    z = Mul (s, half)
    m = Where (seen, z, least)
    p = Softmax <axis = -1> (m)
    y = MatMul (p, v)
"""
SHAPES = {"q": (2, 4, 3, 8), "k": (2, 4, 5, 8), "v": (2, 4, 5, 6), "seen": (2, 1, 3, 5)}
FUSED = """
    h = com.microsoft.FusedMatMul <transB = 1, alpha = 0.5> (x, w)
    g = com.microsoft.Gelu (h)
    f = com.microsoft.FastGelu (g, b)
    u = com.microsoft.QuickGelu <alpha = 1.5> (f)
    y, none, nil, s = com.microsoft.SkipLayerNormalization <epsilon = 0.00001> (u, x, w1, b, b)
    z = com.microsoft.SkipSimplifiedLayerNormalization <epsilon = 0.00001> (s, y, w1)
"""


def attending(path: Path, ir_version: int = 8) -> Path:
    """A model with an attention that is written out."""
    given = ", ".join(
        f"{'bool' if name == 'seen' else 'float'}[{','.join(map(str, shape))}] {name}"
        for name, shape in SHAPES.items()
    )
    head = f'<ir_version: {ir_version}, opset_import: ["" : 17]>'
    model = parser.parse_model(f"{head} g ({given}) => (float[2,4,3,6] y) {{ {WRITTEN_OUT} }}")
    for name, value in (("half", 0.5), ("least", -np.inf)):
        array = np.asarray(value, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    onnx.save(model, path)
    return path


def fused(path: Path) -> Path:
    """A model of ONNX Runtime's own operators."""
    head = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>'
    text = f"{head} g (float[B,S,8] x) => (float[B,S,8] y, float[B,S,8] z) {{ {FUSED} }}"
    model = parser.parse_model(text)
    rng = np.random.default_rng(0)
    for name, shape in (("w", (8, 8)), ("b", (8,)), ("w1", (8,))):
        array = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    onnx.save(model, path)
    return path


def feed() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    found = {n: rng.standard_normal(shape).astype(np.float32) for n, shape in SHAPES.items()}
    found["seen"] = found["seen"] > 0
    found["seen"][..., 0] = True
    return found


def operators(path: Path) -> set[str]:
    return {
        f"{n.domain}::{n.op_type}" if n.domain else n.op_type for n in onnx.load(path).graph.node
    }


def test_attention_goes_out_as_a_function_and_comes_back(
    tmp_path: Path, optimize: Run, graphwright: Run
) -> None:
    before = attending(tmp_path / "before.onnx")
    called, again, out = (tmp_path / f"{name}.onnx" for name in ("called", "again", "out"))
    assert optimize(before, "-o", called, "--functions", "-q")[0] == 0
    model = onnx.load(called)
    onnx.checker.check_model(model, full_check=True)
    assert [(f.domain, f.name) for f in model.functions] == [("graphwright", "Attention")]
    assert operators(called) == {"graphwright::Attention"}
    assert "" in model.graph.node[0].input, "the bias is left out before the mask"
    given = feed()
    (want,) = on_ort(onnx.load(before), given)
    np.testing.assert_allclose(on_ort(model, given)[0], want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        ReferenceEvaluator(model).run(None, given)[0], want, rtol=1e-5, atol=1e-6
    )
    assert optimize(called, "-o", again, "--functions", "-q")[0] == 0
    assert operators(again) == {"graphwright::Attention"}
    assert graphwright("unfuse", called, "-o", out)[0] == 0
    assert not onnx.load(out).functions
    assert operators(out) == {"Transpose", "MatMul", "Mul", "Where", "Softmax"}


def test_functions_need_a_file_that_may_have_them(tmp_path: Path, optimize: Run) -> None:
    before = attending(tmp_path / "before.onnx", ir_version=7)
    status, _, error = optimize(before, "--functions")
    assert status == 2
    assert "IR version 7" in sentence(error)
    assert not (tmp_path / "before.opt.onnx").exists()


def test_functions_are_not_for_onnx_runtime_alone(tmp_path: Path, optimize: Run) -> None:
    before = attending(tmp_path / "before.onnx")
    status, _, error = optimize(before, "--functions", "--target", "ort")
    assert status == 2
    assert "target onnx" in sentence(error)


def test_operators_of_onnx_runtime_are_written_out(tmp_path: Path, graphwright: Run) -> None:
    before, out = fused(tmp_path / "before.onnx"), tmp_path / "out.onnx"
    status, said, error = graphwright("unfuse", before, "-o", out)
    assert status == 0, error
    assert "the same function" in said
    model = onnx.load(out)
    assert not model.functions
    assert not any(n.domain for n in model.graph.node)
    assert {"Erf", "Tanh", "Sigmoid", "LayerNormalization"} <= operators(out)
    given = {"x": np.random.default_rng(2).standard_normal((2, 3, 8)).astype(np.float32)}
    for a, b in zip(on_ort(onnx.load(before), given), on_ort(model, given), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)


def test_a_result_may_be_saved_by_hand(tmp_path: Path) -> None:
    before, out = fused(tmp_path / "before.onnx"), tmp_path / "out.onnx"
    given = hash_of(before)
    result = gw.unfuse(before)
    assert result.report.ok
    gw.save(result.graph, out)
    assert not onnx.load(out).functions, "what the opset lacks stands in place"
    assert hash_of(before) == given


def test_the_model_itself_is_never_written_over(tmp_path: Path, graphwright: Run) -> None:
    before = fused(tmp_path / "before.onnx")
    given = hash_of(before)
    status, _, error = graphwright("unfuse", before, "-o", before)
    assert status == 2
    assert "is the model itself" in sentence(error, "graphwright")
    assert hash_of(before) == given


@pytest.mark.parametrize("bad", ["no such file", "text"])
def test_bad_input_is_one_sentence(tmp_path: Path, graphwright: Run, bad: str) -> None:
    path = tmp_path / "bad.onnx"
    if bad == "text":
        path.write_text("this is no model")
    status, _, error = graphwright("unfuse", path, "-o", tmp_path / "out.onnx")
    assert status == 2
    assert sentence(error, "graphwright")
    assert not (tmp_path / "out.onnx").exists()


def test_what_does_not_verify_is_not_written(
    tmp_path: Path, graphwright: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphwright import api
    from graphwright.verification.verify import Verification

    def refuses(*_: object, **__: object) -> Verification:
        return Verification(False, "it is another function", (), 1, 0, "made")

    monkeypatch.setattr(api, "verify_graphs", refuses)
    before, out = fused(tmp_path / "before.onnx"), tmp_path / "out.onnx"
    status, _, error = graphwright("unfuse", before, "-o", out, "-q")
    assert status == 1
    assert "another function" in error
    assert not out.exists()


def test_native_operators_are_surveyed(tmp_path: Path) -> None:
    names = ["q", "k", "v", "", "pk", "pv", "n", "t"]
    node = helper.make_node(
        "GroupQueryAttention",
        ["q", "k", "v", "", "", "n", "t"],
        ["y", "pk", "pv"],
        domain="com.microsoft",
        num_heads=4,
        kv_num_heads=2,
        local_window_size=3,
        softcap=5.0,
    )
    kinds = {"q": (1, [1, 6, 32]), "k": (1, [1, 6, 16]), "v": (1, [1, 6, 16])}
    kinds |= {"n": (6, [1]), "t": (6, [1])}
    infos = [helper.make_tensor_value_info(n, *kinds[n]) for n in names if n in kinds]
    gives = [helper.make_tensor_value_info("y", 1, [1, 6, 32])]
    graph = helper.make_graph([node], "g", infos, gives)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    path = tmp_path / "grouped.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)

    (row,) = gw.attentions(path).found
    assert (row.heads, row.groups, row.head_width, row.value_width) == (4, 2, 8, 8)
    assert row.scale == pytest.approx(8**-0.5)
    assert (row.causal, row.window, row.cap, row.cache) == (True, 3, 5.0, False)
