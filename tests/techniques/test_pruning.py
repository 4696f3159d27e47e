"""Masks beside weights: how much is 0 and where, what masks together are, and that they fold."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from tests.techniques.applying import applied, raised

from graphwright.backends.onnx.reference import evaluate64
from graphwright.ir import parse
from graphwright.ir.const import Array, from_array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node
from graphwright.passes.layers import layers_of
from graphwright.passes.technique import techniques
from graphwright.passes.weights import computed
from graphwright.verification.feeds import make_feeds

RNG = np.random.default_rng(5)
W = RNG.normal(size=(32, 48)).astype(np.float32)
X = RNG.normal(size=(40, 32)).astype(np.float32) * np.geomspace(1, 100, 32, dtype=np.float32)
PRUNINGS: dict[str, dict[str, Any]] = {
    "magnitude-pruning": {"sparsity": 0.5},
    "activation-pruning": {"sparsity": 0.25},
    "semi-structured-pruning": {"n": 2, "m": 4},
    "block-pruning": {"sparsity": 0.5, "rows": 8, "columns": 8},
}


def layer(weight: Array = W) -> Graph:
    rows, columns = weight.shape
    text = f"def layer(x: f32[B, {rows}]):\n    return x @ weight('w', f32[{rows}, {columns}])"
    return parse(text, {"w": from_array(weight)})


def products(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes() if node.op in ("MatMul", "Gemm", "Linear")]


def weight_in(graph: Graph) -> Array:
    (node,) = products(graph)
    assert node.inputs[1] is not None
    return computed(node.inputs[1])


def test_magnitude_keeps_the_largest() -> None:
    found = weight_in(applied(layer(), "magnitude-pruning", sparsity=0.7).graph)
    assert np.count_nonzero(found == 0) == round(0.7 * W.size)
    assert np.abs(W)[found == 0].max() <= np.abs(W)[found != 0].min()
    assert np.array_equal(found[found != 0], W[found != 0])


def test_activations_weigh_the_channels_that_are_read() -> None:
    found = weight_in(applied(layer(), "activation-pruning", data={"x": X}, sparsity=0.5).graph)
    scores = np.abs(W) * np.linalg.norm(X.astype(np.float64), axis=0)[:, None]
    for column in range(W.shape[1]):
        kept = np.flatnonzero(found[:, column])
        assert set(kept) == set(np.argsort(scores[:, column])[16:])
    other = applied(layer(), "activation-pruning", data={"x": X[:, ::-1].copy()}, sparsity=0.5)
    assert not np.array_equal(weight_in(other.graph), found), "the data makes no difference"


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (4, 8), (3, 4)])
def test_n_of_m_are_left_along_what_is_summed_over(n: int, m: int) -> None:
    for by in ("magnitude", "activation"):
        made = applied(layer(), "semi-structured-pruning", n=n, m=m, by=by, data={"x": X})
        groups = (weight_in(made.graph) != 0).reshape(32 // m, m, 48)
        assert (groups.sum(1) == n).all()


def test_whole_blocks_go() -> None:
    made = applied(layer(), "block-pruning", sparsity=0.5, rows=8, columns=16)
    blocks = weight_in(made.graph).reshape(4, 8, 3, 16)
    empty = (blocks == 0).all((1, 3))
    assert empty.sum() == 6
    norms = np.linalg.norm(W.reshape(4, 8, 3, 16), axis=(1, 3))
    assert norms[empty].max() <= norms[~empty].min()


@pytest.mark.parametrize("name", PRUNINGS)
def test_the_mask_stands_beside_the_weight_and_folds_to_the_same(name: str) -> None:
    beside = applied(layer(), name, data={"x": X}, **PRUNINGS[name])
    (node,) = products(beside.graph)
    assert node.inputs[1] is not None
    assert node.inputs[1].producer is not None
    weight, mask = (v.const for v in node.inputs[1].producer.inputs if v is not None)
    assert weight is not None
    assert mask is not None
    assert np.array_equal(weight.load(), W)
    assert set(np.unique(mask.load())) == {0, 1}
    folded = applied(layer(), name, data={"x": X}, fold=True, **PRUNINGS[name])
    (node,) = products(folded.graph)
    assert node.inputs[1] is not None
    assert node.inputs[1].const is not None
    assert np.array_equal(node.inputs[1].const.load(), W * mask.load())
    assert not beside.left_out


@pytest.mark.parametrize(("first", "second"), list(permutations(PRUNINGS, 2)))
def test_masks_put_on_one_another_keep_what_both_keep(first: str, second: str) -> None:
    data = {"x": X}
    once = applied(layer(), first, data=data, **PRUNINGS[first]).graph
    twice = weight_in(applied(once, second, data=data, **PRUNINGS[second]).graph)
    alone = weight_in(once)
    again = weight_in(applied(layer(alone), second, data=data, **PRUNINGS[second]).graph)
    assert np.array_equal(twice, again), "a mask beside a weight counts otherwise than one in it"
    assert (twice[alone == 0] == 0).all()


@pytest.mark.parametrize("transposed", [0, 1])
def test_the_weight_may_be_stored_either_way(transposed: int) -> None:
    stored = (
        "[[1, -2, 3, -4], [8, 7, 6, 5]]" if transposed else "[[1, 8], [-2, 7], [3, 6], [-4, 5]]"
    )
    text = f"Linear(x, f32({stored}), f32([1, 1]), transposed={transposed})"
    graph = parse(f"def m(x: f32[B, 4]):\n    return {text}")
    found = weight_in(applied(graph, "semi-structured-pruning").graph)
    found = found.T if transposed else found
    assert found.tolist() == [[0, 8], [0, 7], [3, 0], [-4, 0]]


def test_nothing_may_go_and_all_may() -> None:
    assert np.array_equal(weight_in(applied(layer(), "magnitude-pruning", sparsity=0.0).graph), W)
    assert not weight_in(applied(layer(), "magnitude-pruning", sparsity=1.0).graph).any()


def test_an_error_is_no_larger_than_what_was_taken_away() -> None:
    for sparsity in (0.1, 0.5, 0.9):
        graph = applied(layer(), "magnitude-pruning", sparsity=sparsity).graph
        (was,), (now,) = (evaluate64(g, [{"x": X}])[0] for g in (layer(), graph))
        gone = np.linalg.norm(W - weight_in(graph))
        bound = np.linalg.norm(X.astype(np.float64), axis=1) * gone
        assert (np.linalg.norm(was - now, axis=1) <= bound * (1 + 1e-6)).all()


@pytest.mark.parametrize(
    ("name", "knobs", "why"),
    [
        ("magnitude-pruning", {"sparsity": 1.5}, "a share from 0 to 1, not 1.5"),
        ("activation-pruning", {"sparsity": -1.0}, "a share from 0 to 1"),
        ("semi-structured-pruning", {"n": 5}, "5 of 4 weights cannot be kept"),
        ("semi-structured-pruning", {"by": "size"}, "magnitude or activation, not 'size'"),
        ("block-pruning", {"rows": 0}, "there is no block of 0 by 16"),
    ],
)
def test_knobs_out_of_range_get_a_sentence(name: str, knobs: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelError, match=why):
        techniques()[name].contract(**knobs)


def test_what_does_not_apply_is_said() -> None:
    made = applied(layer(W[:30]), "semi-structured-pruning")
    assert (made.count, made.left) == (0, ["the 30 channels that it reads are no multiple of 4"])
    with pytest.raises(ModelError, match="leave @heads out"):
        applied(layer(), "magnitude-pruning", heads=(0,))


def test_layers_are_counted_by_attention() -> None:
    graph = raised(3)
    found = layers_of(graph)
    layers = [found[node] for node in products(graph)]
    assert layers == [0] * 6 + [1] * 6 + [2] * 6 + [2]  # and the head, which follows the last


def test_only_the_layers_asked_for_are_pruned() -> None:
    graph = raised(3)
    made = applied(graph, "magnitude-pruning", layers=(1,), sparsity=0.5)
    found = layers_of(made.graph)
    pruned = [found[n] for n in products(made.graph) if n.inputs[1] and not n.inputs[1].const]
    assert pruned == [1] * 6
    assert made.count == 6
    feeds = make_feeds(graph)[:1]
    assert not np.allclose(evaluate64(graph, feeds)[0][0], evaluate64(made.graph, feeds)[0][0])
