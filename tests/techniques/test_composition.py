"""Two techniques in one run: what they are together, in either order, and what is refused."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np
import pytest
from tests.models import encoder
from tests.techniques.applying import applied, attention, given, numbers, raised

import graphwright as gw
from graphwright.backends.onnx.reference import evaluate64
from graphwright.frontends.onnx import from_proto
from graphwright.ir.const import Array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.ir.ops import return_node
from graphwright.passes.technique import Technique, techniques
from graphwright.requests import read_request
from graphwright.verification.feeds import Feed, make_feeds

NORMALIZERS = [each for each in techniques().values() if each.formula is not None]
FREE = [
    "log2-softmax:bits=3",
    "magnitude-pruning:sparsity=0.3",
    "binary-attention",
    "sdpa-gate",
    "sliding-window:width=2",
    "block-mask:size=3",
    "dynamic-mask:keep=2",
    "head-pruning@heads=1",
]
"""One of each family, of which any two may come in either order."""
ONCE = "its softmax is replaced already"
GONE = "another technique has written it out, or taken it away"


BOUND = {"magnitude-pruning:sparsity=0.3", "head-pruning@heads=1"}
"""Which weights are the smallest ones depends on which there are."""
PAIRS = [pair for pair in combinations(FREE, 2) if set(pair) != BOUND]


@cache
def run(*asked: str, layers: int = 2) -> gw.Result:
    """A small encoder after techniques."""
    return gw.optimize(from_proto(encoder(layers)), apply=asked, verify=False)


@cache
def feeds() -> tuple[Feed, ...]:
    """Batches whose rows all see something: what others give is no matter of a technique."""
    made = make_feeds(from_proto(encoder()))
    return tuple(feed for feed in made if np.asarray(feed["attention_mask"]).any(-1).all())


def gives(graph: Graph) -> list[Array]:
    return [found[0] for found in evaluate64(graph, feeds())]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_in_one_run_they_are_one_after_the_other_in_either_order(first: str, second: str) -> None:
    assert len(feeds()) > 2
    here, there = run(first, second, layers=1), run(second, first, layers=1)
    assert all(each.count and not each.left for each in here.report.applied)
    apart = raised(1)
    for asked in (first, second):
        request = read_request(asked)
        apart = applied(apart, request.name, heads=request.heads, **request.knobs).graph
    found = (gives(graph) for graph in (here.graph, there.graph, apart))
    for a, b, c in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(a, c, rtol=1e-6, atol=1e-6)


def test_a_normalizer_under_a_window_is_that_of_the_scores_it_leaves() -> None:
    graph = attention()
    feed = numbers(graph)
    once = applied(graph, "log2-softmax", bits=3).graph
    both = applied(once, "sliding-window", width=2).graph
    row, column = np.ogrid[:6, :6]
    s = 0.5 * feed["q"].astype(np.float64) @ feed["k"].astype(np.float64).swapaxes(-1, -2)
    s = np.where(abs(row - column) < 2, s, -np.inf)
    p = np.exp(s - s.max(-1, keepdims=True))
    n = np.round(-np.log2(np.maximum(p / p.sum(-1, keepdims=True), 1e-99)))
    np.testing.assert_allclose(given(both, feed), np.where(n > 7, 0, 2.0**-n) @ feed["v"])


def refusals(*asked: str) -> list[str]:
    """Why the last technique did not apply, once for each layer."""
    done = run(*asked).report.applied[-1]
    return [why for _, why in done.left] if not done.count else ["it applied"]


@pytest.mark.parametrize("second", NORMALIZERS, ids=lambda each: each.name)
def test_an_attention_has_one_normalizer(second: Technique) -> None:
    assert refusals("log2-softmax", second.name) == [ONCE, ONCE]


def test_what_is_written_out_has_no_normalizer() -> None:
    assert refusals("log2-softmax", "doubly-stochastic") == [ONCE, ONCE]
    for second in ("log2-softmax", "sliding-window", "sdpa-gate", "binary-attention"):
        assert refusals("doubly-stochastic", second) == [GONE, GONE]


def test_a_normalizer_in_one_layer_and_one_in_another() -> None:
    result = run("doubly-stochastic@layers=0", "log2-softmax@layers=1")
    assert [(each.count, each.left) for each in result.report.applied] == [(1, []), (1, [])]
    assert refusals("doubly-stochastic@layers=0", "log2-softmax@layers=0") == [GONE]
    made = [node for node in result.graph.nodes() if "log2-softmax" in node.origin.rules]
    sources = {source for node in made for source in node.origin.sources}
    alone = run("log2-softmax@layers=1").graph.nodes()
    wanted = {s for n in alone if "log2-softmax" in n.origin.rules for s in n.origin.sources}
    assert sources == wanted, "the layer that was asked for is another one now"


def test_doubly_stochastic_weights_under_a_window_stay_in_it() -> None:
    graph = attention()
    feed = numbers(graph)
    both = applied(applied(graph, "sliding-window", width=2).graph, "doubly-stochastic", steps=50)
    feed["v"] = np.broadcast_to(np.eye(6, 4), (2, 2, 6, 4)).astype(np.float32)
    p = given(both.graph, feed)
    row, column = np.ogrid[:6, :4]
    assert not p[..., abs(row - column) >= 2].any()
    np.testing.assert_allclose(p.sum(-2), 1, rtol=1e-9)


def test_a_layer_that_is_not_there_is_said() -> None:
    with pytest.raises(ModelError, match="in layer 7, and the model has 2 attentions, numbered"):
        run("log2-softmax@layers=1,7")


def test_an_attention_that_stays_as_it_was_is_said() -> None:
    """Its scores are an output too, so it cannot be one operator, and no technique sees it."""
    graph = from_proto(encoder(1))
    softmax = next(node for node in graph.nodes() if node.op == "Softmax")
    graph.result = return_node((*graph.outputs, softmax.inputs[0]), ("hidden", "logits", "scores"))
    report = gw.optimize(graph, apply=["log2-softmax"], verify=False).report
    assert report.applied[0].count == 0
    (note,) = report.notes
    assert note.startswith("no technique sees the attention at weights, which stays as it was: ")
