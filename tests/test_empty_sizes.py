"""Attentions of no batch, no queries or no keys run where they ran before, and give the same."""

from __future__ import annotations

import numpy as np
import pytest

import graphwright as gw
from graphwright.ir.graph import Graph, Header
from graphwright.runtime import Runtime

GIVEN = "def model(x: f32[B, S, 32], y: f32[B, T, 32], m: i64[B, T]):"
HEADS = """
    q = Transpose(Reshape(x, i64([0, 0, 4, 8])), perm=(0, 2, 1, 3))
    k = Transpose(Reshape(Tanh(y), i64([0, 0, 4, 8])), perm=(0, 2, 1, 3))
    v = Transpose(Reshape(Sigmoid(y), i64([0, 0, 4, 8])), perm=(0, 2, 1, 3))"""
SHARED = """
    q = Transpose(Reshape(x, i64([0, 0, 4, 8])), perm=(0, 2, 1, 3))
    half = Slice(y, i64([0]), i64([16]), i64([2]))
    one = Transpose(Reshape(half, i64([0, 0, 2, 8])), perm=(0, 2, 1, 3))
    k = Gather(one, i64([0, 0, 1, 1]), axis=1)
    v = Gather(Tanh(one), i64([0, 0, 1, 1]), axis=1)"""
SCORES = """
    s = q @ Transpose(k, perm=(0, 1, 3, 2))
    seen = Unsqueeze(Cast(m, to="bool"), axes=(1, 2))"""
POSITIONS = """rows = Squeeze(Shape(x, start=1, end=2), axes=(0,))
    columns = Squeeze(Shape(y, start=1, end=2), axes=(0,))
    row = Unsqueeze(Range(i64(0), rows, i64(1)), axes=(1,))
    behind = row - Unsqueeze(Range(i64(0), columns, i64(1)), axes=(0,))"""
WEIGHTS = {
    "plain": "p = Softmax(s * 0.3, axis=-1)",
    "capped": "p = Softmax(Tanh(s * 0.1) * 10.0, axis=-1)",
    "guarded": (
        "n = Softmax(Where(seen, s, f32(-inf)), axis=-1)\n    p = Where(IsNaN(n), f32(0.0), n)"
    ),
    "padded": "p = Softmax(s + Where(seen, f32(0.0), f32(-1e4)), axis=-1)",
    "causal": (
        f"{POSITIONS}\n"
        "    p = Softmax(Where(GreaterOrEqual(behind, i64(0)), s, f32(-1e9)), axis=-1)"
    ),
}
JOIN = "\n    return Reshape(Transpose(p @ v, perm=(0, 2, 1, 3)), i64([0, 0, 32]))"
EMPTY = ((0, 3, 4), (2, 0, 4), (2, 3, 0), (2, 0, 0), (0, 0, 0), (2, 3, 4))


def model(heads: str, weights: str, opset: int) -> Graph:
    graph = gw.parse(f"{GIVEN}{heads}{SCORES}\n    {WEIGHTS[weights]}{JOIN}")
    graph.header = Header(10, {"": opset})
    return graph


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime(isolated=False)


@pytest.mark.parametrize("target", ["onnx", "ort"])
@pytest.mark.parametrize("opset", [17, 23])
@pytest.mark.parametrize("heads", [HEADS, SHARED], ids=["heads", "shared"])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_what_is_empty_stays_so(
    heads: str, weights: str, opset: int, target: str, runtime: Runtime
) -> None:
    before = model(heads, weights, opset)
    done = gw.optimize(before, target=target)
    assert any(r.rule == "raise-attention" for r in done.report.rewrites)
    rng = np.random.default_rng(0)
    for batch, queries, keys in EMPTY:
        shapes = {"x": (batch, queries, 32), "y": (batch, keys, 32)}
        feed = {n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
        feed["m"] = np.ones((batch, keys), np.int64)
        want, got = (runtime.evaluate(g, [feed])[0][0] for g in (before, done.graph))
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5, equal_nan=True)


def test_the_function_with_its_body_runs_empty(runtime: Runtime) -> None:
    before = model(SHARED, "guarded", 17)
    done = gw.optimize(before, functions=True)
    assert any(node.op == "Attention" for node in done.graph.nodes())
    feed = {
        "x": np.ones((0, 3, 32), np.float32),
        "y": np.ones((0, 0, 32), np.float32),
        "m": np.ones((0, 0), np.int64),
    }
    assert runtime.evaluate(done.graph, [feed])[0][0].shape == (0, 3, 32)


def test_an_einsum_of_nothing_ends_a_child_and_not_this_process(runtime: Runtime) -> None:
    graph = gw.parse(
        "def model(q: f32[B, 7, 4], k: f32[B, 5, 4]):\n"
        '    return Einsum(q, k * 0.5, equation="bsd,btd->bst")'
    )
    assert gw.optimize(graph).report.ok
    nothing = {"q": np.ones((0, 7, 4), np.float32), "k": np.ones((0, 5, 4), np.float32)}
    try:
        (found,) = runtime.evaluate(graph, [nothing])[0]
    except gw.ModelError:
        return  # it crashed, and this process did not
    assert found.shape == (0, 7, 5)
