"""Normalizers in PyTorch: gradients are those of the oracle, and pass through what rounds."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.techniques.applying import applied, attention  # noqa: E402  needs it

import graphwright as gw  # noqa: E402
from graphwright.backends.onnx.reference import evaluate64  # noqa: E402
from graphwright.ir.const import Array  # noqa: E402
from graphwright.ir.graph import Graph  # noqa: E402
from graphwright.passes.technique import Technique, techniques  # noqa: E402
from graphwright.torch_trying import gradients, ran  # noqa: E402
from graphwright.verification.feeds import Feed  # noqa: E402

NORMALIZERS = [each for each in techniques().values() if each.formula is not None]
ROUNDED = ["binarized-softmax", "log-int-softmax", "log-sqrt2-softmax", "log2-softmax"]
KNOBS: list[tuple[str, dict[str, Any]]] = [
    *((each.name, {}) for each in NORMALIZERS),
    ("binarized-softmax", {"omega": "mean"}),
    ("entmax-softmax", {"alpha": 2.0}),
    ("entmax-softmax", {"alpha": 1.2}),
    ("clipped-softmax", {"alpha": 2.0}),
    ("softplus-attention", {"phi": "exp", "power": 0}),
    ("top-k-softmax", {"k": 2}),
]


@cache
def attended(name: str, **knobs: Any) -> Graph:
    """Attention under a mask, whose rows without keys give 0, with a normalizer for softmax."""
    made = applied(attention("m: bool[2, 1, 6, 6]", "None, m", guard=1), name, **knobs)
    assert made.count == 1
    return made.graph


def feed(seed: int = 0) -> Feed:
    """Queries, keys and values; some keys are hidden, and those of one row wholly."""
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {
        name: rng.normal(size=(2, 2, 6, 4)).astype(np.float32) * 2 for name in "qkv"
    }
    found["m"] = rng.random((2, 1, 6, 6)) > 0.3
    found["m"][1, 0, 2] = False
    return Feed(found, "")


def loss(graph: Graph, given: dict[str, Array]) -> float:
    """What `gradients` derives, of the float64 answer."""
    (found,) = evaluate64(graph, [given])[0]
    return float(np.square(found).sum() / 2)


@pytest.mark.parametrize(("name", "knobs"), KNOBS, ids=str)
def test_gradients_are_those_of_the_oracle(name: str, knobs: dict[str, Any]) -> None:
    """Along lines in all inputs at once, by differences; rounded ones change in no such step."""
    graph, given = attended(name, **knobs), feed()
    (found,) = gradients(graph, [given], straight_through=False, wide=True)
    wide: dict[str, Array] = {n: x.astype(np.float64) for n, x in given.items() if n != "m"}
    rng, step = np.random.default_rng(1), 1e-6
    for _ in range(4):
        along = {n: rng.normal(size=x.shape) for n, x in wide.items()}
        ends = [{n: x + by * along[n] for n, x in wide.items()} for by in (-step, step)]
        below, above = (loss(graph, {**end, "m": given["m"]}) for end in ends)
        slope = sum(float((g * d).sum()) for g, d in zip(found, along.values(), strict=True))
        np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("technique", NORMALIZERS, ids=lambda each: each.name)
def test_training_changes_no_value(technique: Technique) -> None:
    """What gradients pass through is what was there, of hidden keys and rows too."""
    graph, given = attended(technique.name), feed()
    (plain,) = ran(graph, [given], wide=True)[0]
    module = gw.to_torch(graph, straight_through=True).double()
    inputs = [torch.from_numpy(np.array(given[v.name])) for v in graph.inputs]
    inputs = [t.double().requires_grad_() if t.is_floating_point() else t for t in inputs]
    trained = module(*inputs).detach().numpy()
    assert np.isfinite(plain).all()
    np.testing.assert_allclose(trained, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("technique", NORMALIZERS, ids=lambda each: each.name)
def test_scores_learn(technique: Technique) -> None:
    graph, given = attended(technique.name), feed()
    plain, straight = (gradients(graph, [given], way)[0] for way in (False, True))
    assert all(np.isfinite(gradient).all() for gradient in straight)
    assert all(gradient.any() for gradient in straight[:3]), "nothing reaches q, k or v"
    if technique.name not in ("uniform-softmax", *ROUNDED):
        assert all(gradient.any() for gradient in plain[:3])


def softmax(given: Feed) -> Array:
    """The weights of softmax under the mask, 0 in a row that it hides wholly."""
    s = 0.5 * given["q"].astype(np.float64) @ given["k"].swapaxes(-1, -2)
    e = np.where(given["m"], np.exp(s), 0)
    return np.asarray(e / np.maximum(e.sum(-1, keepdims=True), 1e-99))


def reaches_queries(given: Feed, y: Array, slope: Array) -> Array:
    """The gradient of q where d w'_i = slope_i d log w_i, of softmax w, and y = w' v is given."""
    to_logs = y @ given["v"].swapaxes(-1, -2) * slope
    to_scores = to_logs - softmax(given) * to_logs.sum(-1, keepdims=True)
    return np.asarray(0.5 * to_scores @ given["k"])


def test_a_power_learns_as_the_weight_that_it_stands_for() -> None:
    """2^-round(-log2 w) with the rounding let through: w' grows as log w does, or is lost."""
    given, graph = feed(), attended("log2-softmax")
    n = np.round(-np.log2(np.maximum(softmax(given), 1e-99)))
    (y,) = ran(graph, [given], wide=True)[0]
    (found,) = gradients(graph, [given], straight_through=True, wide=True)
    wanted = reaches_queries(given, y, np.where(n > 15, 0, 2.0**-n))
    np.testing.assert_allclose(found[0], wanted, rtol=1e-6, atol=1e-6)


def test_what_is_counted_in_integers_learns_as_softmax_does() -> None:
    given, graph = feed(), attended("log-int-softmax")
    (y,) = ran(graph, [given], wide=True)[0]
    (found,) = gradients(graph, [given], straight_through=True, wide=True)
    wanted = reaches_queries(given, y, softmax(given))
    np.testing.assert_allclose(found[0], wanted, rtol=1e-6, atol=1e-6)


def test_a_key_below_the_threshold_learns_to_pass_it() -> None:
    """Of two keys one lies 0.2 below the threshold; a step against its gradient brings it over."""
    text = """
def attention(q: f32[1, 1, 1, 2], k: f32[1, 1, 2, 2], v: f32[1, 1, 2, 1]):
    return Attention(q, k, v, scale=1.0, cap=0.0, filler=-inf, guard=0, precision="")
"""
    made = applied(gw.parse(text), "binarized-softmax", share=0.25).graph
    below = float(np.log(0.25)) - 0.2
    given = Feed(
        {
            "q": np.array([[[[1.0, 0.0]]]], np.float32),
            "k": np.array([[[[0.0, 0.0], [below, 0.0]]]], np.float32),
            "v": np.array([[[[1.0], [-1.0]]]], np.float32),  # the loss wants both, as 1 - 1
        },
        "",
    )
    (before,) = ran(made, [given])[0]
    (found,) = gradients(made, [given], straight_through=True)
    assert before.item() == 1.0
    key = found[1][0, 0, 1, 0]
    assert key < 0, "the loss falls as its score rises"
    given["k"][0, 0, 1, 0] += 0.3
    (after,) = ran(made, [given])[0]
    assert after.item() == 0.0
