"""Gates: they change no bit when they are put in, and what they mean once they are trained."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from tests.models import encoder
from tests.techniques.applying import applied, raised, trained

import graphwright as gw
from graphwright.backends.onnx.reference import evaluate64
from graphwright.frontends.onnx import from_proto
from graphwright.ir import parse
from graphwright.ir.const import Array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node
from graphwright.passes.techniques.gated_attention import gated_attention
from graphwright.passes.techniques.sdpa_gate import sdpa_gate
from graphwright.runtime import Runtime
from graphwright.verification.feeds import make_feeds

RNG = np.random.default_rng(3)
GATES = ["gated-attention", "gated-attention:by=all", "sdpa-gate", "sdpa-gate:by=head"]
LAYER = """
def layer(x: f32[B, S, 4], k: f32[B, 2, T, 3], v: f32[B, 2, T, 5]):
    w = f32([[1, 0, 1, 0, 1, 2], [0, 1, 0, 1, 1, 0], [1, 1, 0, 0, 1, 2], [1, 0, 0, 2, 1, 0]])
    q = Transpose(Reshape(x @ w, i64([0, 0, 2, 3])), perm=(0, 2, 1, 3))
    y = Attention(q, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='')
    return y
"""
FEED = {
    "x": RNG.normal(size=(2, 3, 4)),
    "k": RNG.normal(size=(2, 2, 6, 3)),
    "v": RNG.normal(size=(2, 2, 6, 5)),
}


def bits(graph: Graph) -> list[list[Array]]:
    with Runtime(isolated=False) as runtime:
        return runtime.evaluate(graph, make_feeds(graph))


def value(graph: Graph) -> Array:
    found: Array = evaluate64(graph, [FEED])[0][0]
    return found


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


@cache
def optimized(*asked: str) -> gw.Result:
    """Without what moves a bias past an attention, which a gate stands in the way of."""
    return gw.optimize(from_proto(encoder(2)), apply=asked, skip=["move-value-bias"])


@pytest.mark.parametrize("asked", [*GATES, "gated-attention@heads=1", "sdpa-gate@layers=0@heads=0"])
def test_a_gate_that_was_put_in_changes_no_bit(asked: str) -> None:
    plain, gated = optimized(), optimized(asked)
    (done,) = gated.report.applied
    assert (done.count, done.left) == (1 if "layers" in asked else 2, [])
    assert done.contract == "exact on finite numbers"
    assert gated.report.ok
    for before, after in zip(bits(plain.graph), bits(gated.graph), strict=True):
        for a, b in zip(before, after, strict=True):
            assert np.array_equal(a.view(np.int32), b.view(np.int32))


def names(graph: Graph) -> set[str]:
    found = (v.name for node in graph.nodes() for v in node.inputs if v is not None and v.const)
    return {name for name in found if name.startswith("layers.")}


def test_the_weights_of_a_gate_are_found_in_the_file(tmp_path: Any) -> None:
    result = gw.optimize(from_proto(encoder(2)), apply=["gated-attention"])
    gw.save(result.graph, tmp_path / "gated.onnx")
    wanted = {f"layers.{i}.gate.{part}" for i in (0, 1) for part in ("weight", "bias")}
    assert names(gw.load(tmp_path / "gated.onnx")) == wanted


def test_a_trained_gate_by_head_reads_the_part_of_the_head() -> None:
    graph = parse(LAYER)
    made = applied(graph, "gated-attention", open=0.25).graph
    w, b = RNG.normal(size=(2, 2, 1)), RNG.normal(size=(2, 1, 1))
    trained(made, "layers.0.gate.weight", w)
    trained(made, "layers.0.gate.bias", b)
    w, b = (np.float64(np.float32(each)) for each in (w, b))
    own = FEED["x"].reshape(2, 3, 2, 2)
    gate = np.stack([sigmoid(own[:, :, h] @ w[h] + b[h]) for h in (0, 1)], 1)
    np.testing.assert_allclose(value(made), 4 * gate * value(graph), rtol=1e-12)


def test_a_trained_gate_of_all_reads_all() -> None:
    graph = parse(LAYER)
    made = applied(graph, "gated-attention", by="all").graph
    w = RNG.normal(size=(4, 2)).astype(np.float32)
    trained(made, "layers.0.gate.weight", w)
    gate = sigmoid(FEED["x"] @ w.astype(np.float64)).transpose(0, 2, 1)[..., None]
    np.testing.assert_allclose(value(made), 2 * gate * value(graph), rtol=1e-12)


def test_a_gate_by_head_is_the_one_by_element_whose_columns_repeat() -> None:
    graph = parse(LAYER)
    by_head, by_element = (applied(graph, "sdpa-gate", by=by).graph for by in ("head", "element"))
    w = RNG.normal(size=(4, 2)).astype(np.float32)
    trained(by_head, "layers.0.gate.weight", w)
    trained(by_element, "layers.0.gate.weight", np.repeat(w, 5, axis=1))
    np.testing.assert_allclose(value(by_head), value(by_element), rtol=1e-12)
    gate = sigmoid(FEED["x"] @ w.astype(np.float64)).transpose(0, 2, 1)[..., None]
    np.testing.assert_allclose(value(by_head), 2 * gate * value(graph), rtol=1e-12)


def test_only_the_heads_asked_for_have_a_gate() -> None:
    graph = parse(LAYER)
    made = applied(graph, "sdpa-gate", heads=(1,)).graph
    trained(made, "layers.0.gate.weight", np.full((4, 10), 0.5))
    was, now = value(graph), value(made)
    assert np.array_equal(was[:, 0], now[:, 0])
    assert not np.isclose(was[:, 1], now[:, 1]).any()


def test_a_gate_finds_what_its_layer_reads() -> None:
    """Behind a rotation and a norm of the queries, beside tables that are made of positions."""
    graph = parse("""
def layer(x: f32[B, S, 4], at: f32[B, S, 1], k: f32[B, 2, S, 2], v: f32[B, 2, S, 5]):
    w = f32([[1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 0, 0], [1, 0, 0, 2]])
    h = Reshape(x @ w, i64([0, 0, 2, 2]))
    n = RMSNormalization(h, f32([1, 2]), axis=-1, epsilon=1e-5, stash_type=1)
    angles = Unsqueeze(at @ f32([[1, 2]]), axes=(2,))
    q = Transpose(n * Cos(angles) + Neg(n) * Sin(angles), perm=(0, 2, 1, 3))
    return Attention(q, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='')
""")
    made = applied(graph, "sdpa-gate").graph
    trained(made, "layers.0.gate.weight", np.ones((4, 10)))
    feed = {"x": FEED["x"], "at": FEED["x"][..., :1], "k": FEED["k"][:, :, :3, :2]}
    feed["v"] = FEED["v"][:, :, :3]
    was, now = (evaluate64(g, [feed])[0][0] for g in (graph, made))
    gate = sigmoid(FEED["x"].sum(-1))[:, None, :, None]
    np.testing.assert_allclose(now, 2 * gate * was, rtol=1e-12)


def attentions(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes() if node.op == "Attention"]


def test_layers_keep_their_numbers_where_weights_have_names() -> None:
    graph = raised(3)
    made = applied(graph, "sdpa-gate", layers=(2,)).graph
    assert names(made) == {"layers.2.gate.weight"}
    assert len(attentions(made)) == 3


@pytest.mark.parametrize(
    ("technique", "knobs", "why"),
    [
        (gated_attention, {"by": "token"}, "by is head or all, not 'token'"),
        (gated_attention, {"open": 1.0}, "open is between 0 and 1"),
        (sdpa_gate, {"by": "query"}, "by is element or head, not 'query'"),
    ],
)
def test_knobs_out_of_range_get_a_sentence(technique: Any, knobs: Any, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        technique.contract(**knobs)


def test_what_is_no_layer_of_tokens_is_left() -> None:
    flat = LAYER.replace("x: f32[B, S, 4]", "x: f32[B*S, 4]")
    flat = flat.replace("i64([0, 0, 2, 3])", "i64([2, 3, 2, 3])")
    made = applied(parse(flat), "sdpa-gate")
    assert made.left == ["what its layer reads is not [B, S, C]"]
