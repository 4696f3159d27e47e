"""Queries, keys and weights of one bit: scores are counts, and scales the best ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.techniques.applying import applied, attention, given, numbers

from graphwright.ir import parse
from graphwright.ir.const import Array, from_array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.passes.techniques.binary_attention import WHAT, binary_attention
from graphwright.passes.weights import computed


def signs(x: Array) -> Array:
    return np.where(x < 0, -1.0, 1.0)


def binary(x: Array) -> Array:
    return np.asarray(signs(x) * np.abs(x).astype(np.float64).mean(-1, keepdims=True))


@pytest.mark.parametrize("what", WHAT)
def test_it_is_attention_of_signs_times_sizes(what: str) -> None:
    graph = attention()
    feed = numbers(graph)
    found = given(applied(graph, "binary-attention", what=what).graph, feed)
    made = {name: binary(x) if name in what else x for name, x in feed.items()}
    np.testing.assert_allclose(found, given(graph, made), rtol=1e-12)


def test_what_is_of_one_size_already_stays() -> None:
    graph = attention()
    feed = {name: (signs(x) * 0.75).astype(np.float32) for name, x in numbers(graph).items()}
    found = given(applied(graph, "binary-attention", what="qkv").graph, feed)
    np.testing.assert_allclose(found, given(graph, feed), rtol=1e-12)


def test_scores_are_counts_of_equal_signs() -> None:
    feed = numbers(attention())
    q, k = feed["q"], feed["k"]
    equal = ((q < 0)[..., :, None, :] == (k < 0)[..., None, :, :]).sum(-1)
    assert np.array_equal(signs(q) @ signs(k).swapaxes(-1, -2), 2 * equal - 4)
    graph = attention()
    feed["v"] = np.broadcast_to(np.eye(6, 4), (2, 2, 6, 4)).astype(np.float32)
    found = given(applied(graph, "binary-attention", scale="none").graph, feed)
    e = np.exp(0.5 * (2 * equal - 4))
    np.testing.assert_allclose(found, (e / e.sum(-1, keepdims=True))[..., :4], rtol=1e-12)


def test_no_scale_of_a_row_is_nearer() -> None:
    x = numbers(attention())["q"].astype(np.float64)
    best = ((x - binary(x)) ** 2).sum(-1)
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
        assert (best <= ((x - factor * binary(x)) ** 2).sum(-1)).all()


def test_zeros_are_no_problem_and_other_heads_stay() -> None:
    graph = attention()
    feed = numbers(graph)
    feed["q"][0] = 0
    made = applied(graph, "binary-attention", heads=(1,)).graph
    was, now = given(graph, feed), given(made, feed)
    assert np.array_equal(was[:, 0], now[:, 0])
    assert np.isfinite(now).all()


def test_heads_that_share_keys_are_left() -> None:
    graph = parse("""
def grouped(q: f32[2, 4, 6, 4], k: f32[2, 2, 6, 4], v: f32[2, 2, 6, 4]):
    return Attention(q, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision="")
""")
    assert applied(graph, "binary-attention").count == 1
    assert applied(graph, "binary-attention", heads=(0,), what="q").count == 1
    assert applied(graph, "binary-attention", heads=(0,)).left == [
        "its heads share keys and values"
    ]


@pytest.mark.parametrize(("knob", "why"), [("what", "what is qk, q"), ("scale", "scale is row")])
def test_knobs_out_of_range_get_a_sentence(knob: str, why: str) -> None:
    knobs: dict[str, Any] = {knob: "x"}
    with pytest.raises(ModelError, match=why):
        binary_attention.contract(**knobs)


def layer(weight: Array) -> Graph:
    rows, columns = weight.shape
    text = f"def layer(x: f32[B, {rows}]):\n    return x @ weight('w', f32[{rows}, {columns}])"
    return parse(text, {"w": from_array(weight)})


def weight_in(graph: Graph) -> Array:
    (node,) = (node for node in graph.nodes() if node.op == "MatMul")
    assert node.inputs[1] is not None
    return computed(node.inputs[1])


def test_weights_of_one_bit_and_a_scale() -> None:
    w = np.random.default_rng(2).normal(1, 2, size=(16, 3)).astype(np.float32)
    found = weight_in(applied(layer(w), "binary-weights").graph)
    for column in range(3):
        assert np.array_equal(np.unique(np.abs(found[:, column])).size, 1)
        assert np.isclose(abs(found[0, column]), np.abs(w[:, column]).mean())
    assert np.array_equal(found > 0, w >= w.mean(0))


def test_what_was_pruned_stays_away() -> None:
    w = np.random.default_rng(2).normal(size=(16, 3)).astype(np.float32)
    pruned = applied(layer(w), "magnitude-pruning", sparsity=0.5).graph
    gone = weight_in(pruned) == 0
    assert np.array_equal(weight_in(applied(pruned, "binary-weights").graph) == 0, gone)
