"""Graphs through torch-mlir: they compute the same there, and leave as modules of linalg."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.calling import Run, sentence, written
from tests.calling import optimize as optimize
from tests.models import encoder
from tests.onnx_building import info, model, node, weight

import graphwright as gw
from graphwright.backends.mlir import Mlir, worker
from graphwright.backends.onnx.reference import evaluate64
from graphwright.frontends.onnx import from_proto
from graphwright.ir.contracts import Tolerance
from graphwright.ir.graph import Graph
from graphwright.runtime import Runtime
from graphwright.verification.feeds import Feed, make_feeds
from graphwright.verification.runs import Truth, judged

pytest.importorskip("torch_mlir")

GRAPHS = {
    "products": """
def g(x: f32[B, 3, 4], y: f32[4, 5], z: f32[B, 5, 2]):
    return x @ y @ z, Einsum(x, y, equation="bij,jk->bki")
""",
    "pointwise": """
def g(x: f32[B, 4], y: f32[4]):
    return Tanh(x) * Sigmoid(y) + Exp(-x * x) - Sqrt(Abs(y)), Erf(x) / (y * y + 1.0), x ** 2.0
""",
    "activations": """
def g(x: f32[B, 4]):
    return Gelu(x, approximate="none"), Gelu(x, approximate="tanh"), Swish(x, alpha=1.5), Relu(x)
""",
    "softmax": """
def g(x: f32[B, 3, 4]):
    return Softmax(x, axis=-1), Softmax(x, axis=1), LogSoftmax(x, axis=-1)
""",
    "norms": """
def g(x: f32[B, 3, 4], s: f32[4], b: f32[4]):
    n = LayerNormalization(x, s, b, axis=-1, epsilon=1e-5, stash_type=1)
    return n, RMSNormalization(x, s, axis=-1, epsilon=1e-5, stash_type=1)
""",
    "attention": """
def g(q: f32[B, 4, S, 8], k: f32[B, 2, T, 8], v: f32[B, 2, T, 4], m: bool[B, 1, S, T]):
    return Attention(q, k, v, None, m, scale=0.5, cap=5.0, filler=-inf, guard=1, precision="f32")
""",
    "layout": """
def g(x: f32[B, S, 6]):
    y = Transpose(Reshape(x, Sizes(dims=(B, S, 2, 3)), allowzero=0), perm=(0, 2, 1, 3))
    a, b = Split(y, axis=1, split=(1, 1))
    return Concat(b, a, axis=1), Slice(x, i64([1]), i64([-1]), i64([2])), Shape(x)
""",
    "indices": """
def g(x: f32[7, 4], i: i64[B, 3], m: bool[B, 3, 4]):
    return Where(m, Gather(x, i, axis=0), f32(-1.0)), Cast(m, to="f32"), call("NonZero", i)
""",
    "scalars": """
def g(x: f32[B, 4], n: i64):
    return ReduceSum(x, axes=(0, 1), keepdims=0), n + 3, x * Cast(n, to="f32")
""",
    "integers": """
def g(x: i32[B, 4], y: i8[B, 4], z: u8[B, 4]):
    return x * x + 1, Cast(y, to="i32") - Cast(z, to="i32"), Greater(x, i32(0)), Cast(x, to="u8")
""",
    "float64": "def g(x: f64[B, 4]):\n    return Softmax(x, axis=-1), x ** 3.0",
    "float16": "def g(x: f16[B, 4], y: f16[4, 3]):\n    return Softmax(x @ y, axis=-1), Erf(x)",
    "given as they came": "def g(x: f32[B, 4]):\n    return x, x, f32([1.0, 2.0]), f32(3.0)",
    "no elements": "def g(x: f32[0, 4]):\n    return x + 1.0, ReduceSum(x, axes=(0,), keepdims=0)",
}


@pytest.fixture(scope="module")
def mlir() -> Iterator[Mlir]:
    with Mlir() as child:
        yield child


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with Runtime() as running:
        yield running


def assert_the_same(graph: Graph, feeds: list[Feed], mlir: Mlir, runtime: Runtime) -> None:
    truth = Truth(evaluate64, graph)
    want, got = runtime.evaluate(graph, feeds), mlir.evaluate(graph, feeds)
    for feed, was, now in zip(feeds, want, got, strict=True):
        assert [x.dtype for x in was] == [x.dtype for x in now]
        verdicts = judged(Tolerance(), was, now, truth, feed)
        assert all(v.ok for v in verdicts), [(v.why, feed.about) for v in verdicts]


@pytest.mark.parametrize("name", GRAPHS)
def test_it_computes_what_onnx_runtime_does(name: str, mlir: Mlir, runtime: Runtime) -> None:
    graph = gw.parse(GRAPHS[name])
    assert_the_same(graph, make_feeds(graph)[:4], mlir, runtime)


def test_bfloat16_is_computed_and_rounded(mlir: Mlir) -> None:
    graph = gw.parse(
        "def g(x: bf16[2, 4], y: bf16[4, 3]):\n    return x @ y, Softmax(Erf(x), axis=-1)"
    )
    feed = make_feeds(graph)[0]
    found, truth = mlir.evaluate(graph, [feed])[0], evaluate64(graph, [feed])[0]
    for now, exact in zip(found, truth, strict=True):
        assert now.dtype == np.dtype(feed["x"].dtype)
        assert np.allclose(now.astype(np.float64), exact, rtol=2**-6, atol=2**-8)


@pytest.mark.parametrize("opset", [17, 21])
def test_a_whole_encoder_runs_on_all_made_inputs(opset: int, mlir: Mlir, runtime: Runtime) -> None:
    graph = from_proto(encoder(opset=opset))
    assert_the_same(graph, make_feeds(graph)[:5], mlir, runtime)


def test_a_rewritten_encoder_does_too(mlir: Mlir, runtime: Runtime) -> None:
    graph = gw.optimize(from_proto(encoder()), verify=False).graph
    assert_the_same(graph, make_feeds(graph)[:3], mlir, runtime)


def test_attention_as_onnx_has_it_is_written_out(mlir: Mlir, runtime: Runtime) -> None:
    names = ["q", "k", "v"]
    made = model(
        [node("Attention", names, ["y"], is_causal=1, scale=0.5)],
        [info(name, "B", 2, "S", 4) for name in names],
        [info("y", "B", 2, "S", 4)],
        opset=23,
        ir=11,
    )
    graph = from_proto(made)
    assert_the_same(graph, make_feeds(graph)[:2], mlir, runtime)


def test_a_weight_that_is_an_input_too_may_be_given_or_left_out(mlir: Mlir) -> None:
    for size in (3, 2000):  # in the message, and beside it
        made = model(
            [node("Add", ["x", "w"], ["y"])],
            [info("x", 1, size), info("w", size)],
            [info("y", 1, size)],
            [weight("w", np.full(size, 2.0))],
        )
        x = np.ones((1, size), np.float32)
        graph = from_proto(made)
        (alone,), (given,) = mlir.evaluate(graph, [{"x": x}, {"x": x, "w": x[0]}])
        assert (alone == 3).all()
        assert (given == 2).all()


REFUSED = {
    "an operator that it lacks": (
        [node("GlobalLpPool", ["x"], ["y"], "odd one")],
        "torch-mlir cannot lower the operator GlobalLpPool at 'odd one'",
    ),
    "a foreign operator": (
        [node("Gelu", ["x"], ["y"], domain="com.microsoft")],
        "torch-mlir has no operator com.microsoft::Gelu",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_in_the_way_is_named(name: str, mlir: Mlir) -> None:
    nodes, why = REFUSED[name]
    graph = from_proto(model(nodes, [info("x", 4)], [info("y", "N")]))
    with pytest.raises(gw.ModelError) as error:
        mlir.evaluate(graph, [{"x": np.ones(4, np.float32)}])
    assert str(error.value) == why


def test_a_crash_is_survived(mlir: Mlir) -> None:
    graph = gw.parse("def g(x: f32[2]):\n    return x + 1.0")
    x = np.ones(2, np.float32)
    mlir.evaluate(graph, [{"x": x}])
    assert mlir.child is not None
    mlir.child.kill()
    mlir.child.wait()
    with pytest.raises(gw.ModelError, match=r"torch-mlir crashed on the model \(SIGKILL\)"):
        mlir.evaluate(graph, [{"x": x}])
    ((found,),) = mlir.evaluate(graph, [{"x": x}])
    assert found.tolist() == [2, 2]


def test_optimize_writes_a_module_that_was_run(tmp_path: Path, optimize: Run) -> None:
    onnx.save(encoder(), tmp_path / "m.onnx")
    shapes = [f"--shape={name}=2x5" for name in ("input_ids", "token_type_ids", "attention_mask")]
    status, out, error = optimize(tmp_path / "m.onnx", "--target", "mlir", *shapes)
    assert (status, error) == (0, "")
    assert "the same function" in out
    assert "linalg" in out
    text = (tmp_path / "m.opt.mlir").read_text()
    assert "func.func @main(%arg0: tensor<2x5xi64>" in text
    assert "linalg.batch_matmul" in text
    assert "torch." not in text
    assert 'loc("word_embedding' in text  # where in the model it comes from
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_written_module_compiles_and_computes(tmp_path: Path, runtime: Runtime) -> None:
    from torch_mlir import ir

    from graphwright.backends.mlir.engine import Engine

    graph = gw.parse(
        "def g(x: f32[2, 4]):\n    return Softmax(x @ weight, axis=-1)".replace(
            "weight", "f32([[1.0, 2.0], [0.5, 0.25], [3.0, 1.0], [-1.0, -2.0]])"
        )
    )
    gw.save(graph, tmp_path / "m.mlir")
    with ir.Context():
        module = ir.Module.parse((tmp_path / "m.mlir").read_text())
    x = make_feeds(graph)[0]
    found = Engine(module, [np.dtype(np.float32)]).run([x["x"]])
    assert np.allclose(found[0], runtime.evaluate(graph, [x])[0][0], atol=1e-6)


BAD = {
    "open sizes": (
        ["--target", "mlir"],
        "the shape of the input 'x' is open (f32[B, 8]), and an MLIR module is written for one: "
        "give it, as in --shape x=1x128",
    ),
    "another ending": (
        ["--target", "mlir", "-o", "{}/m.onnx"],
        "{}/m.onnx: --target mlir writes files that end in .mlir, and only it does",
    ),
    "another target": (
        ["-o", "{}/m.mlir"],
        "{}/m.mlir: --target mlir writes files that end in .mlir, and only it does",
    ),
    "tuning": (
        ["--target", "mlir", "--tune", "--shape", "x=2x8"],
        "tuning measures ONNX Runtime, and the target mlir does not run there",
    ),
    "an opset": (
        ["--target", "mlir", "--opset", "21", "--shape", "x=2x8"],
        "--opset: an MLIR module has no opset",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_calls_get_one_sentence(name: str, tmp_path: Path, optimize: Run) -> None:
    path = written(tmp_path / "model.onnx")
    args, why = BAD[name]
    status, _, error = optimize(path, *(arg.format(tmp_path) for arg in args))
    assert status == 2
    assert sentence(error) == why.format(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_a_model_that_it_does_not_lower_is_bad_input(tmp_path: Path, optimize: Run) -> None:
    made = model([node("GlobalLpPool", ["x"], ["y"], "odd one")], [info("x", 4)], [info("y", "N")])
    onnx.save(made, tmp_path / "model.onnx")
    status, _, error = optimize(tmp_path / "model.onnx", "--target", "mlir")
    assert status == 2
    assert sentence(error) == "torch-mlir cannot lower the operator GlobalLpPool at 'odd one'"
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_without_torch_mlir_it_says_what_to_install(
    tmp_path: Path, optimize: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.importlib.util, "find_spec", lambda name: None)
    path = written(tmp_path / "model.onnx")
    status, _, error = optimize(path, "--target", "mlir", "--shape", "x=2x8")
    assert status == 2
    assert sentence(error) == worker.MISSING
