"""Keys chosen by what they hold: none at first, and once trained those of the largest biases."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from tests.models import encoder
from tests.techniques.applying import applied, attention, given, numbers, trained

import graphwright as gw
from graphwright.frontends.onnx import from_proto
from graphwright.ir.const import Array
from graphwright.ir.graph import Graph
from graphwright.runtime import Runtime
from graphwright.verification.feeds import make_feeds

W = np.random.default_rng(1).normal(size=(8, 2)).astype(np.float32)
STRENGTH = np.array([2.0, -1.5], np.float32)


@cache
def optimized(*asked: str) -> gw.Result:
    return gw.optimize(from_proto(encoder(2)), apply=asked, skip=["move-value-bias"])


@pytest.mark.parametrize("keep", [1, 3, 1000])
def test_one_that_was_put_in_changes_no_bit(keep: int) -> None:
    plain, made = optimized(), optimized(f"dynamic-mask:keep={keep}")
    assert made.report.applied[0].count == 2
    with Runtime(isolated=False) as runtime:
        feeds = make_feeds(plain.graph)
        before, after = (runtime.evaluate(r.graph, feeds) for r in (plain, made))
    for a, b in zip(before, after, strict=True):
        assert all(
            np.array_equal(x.view(np.int32), y.view(np.int32)) for x, y in zip(a, b, strict=True)
        )


def chosen(graph: Graph, keep: int) -> Graph:
    made = applied(graph, "dynamic-mask", keep=keep).graph
    trained(made, "layers.0.mask.weight", W)
    trained(made, "layers.0.mask.strength", STRENGTH)
    return made


def bias(v: Array) -> Array:
    """[B, 2, 1, T]"""
    flat = v.transpose(0, 2, 1, 3).reshape(v.shape[0], v.shape[2], 8)
    raw = np.log1p(np.exp(flat.astype(np.float64) @ W.astype(np.float64)))
    return np.asarray((raw * STRENGTH).transpose(0, 2, 1)[:, :, None])


def softmax(s: Array) -> Array:
    e = np.exp(s - s.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def expected(feed: dict[str, Array], keep: int, seen: Array) -> Array:
    """Attention over the `keep` keys of each query that its mask leaves and are biased most."""
    q, k, v = (feed[name].astype(np.float64) for name in "qkv")
    b = np.broadcast_to(np.where(seen, bias(feed["v"]), -np.inf), (2, 2, 6, 6))
    order = np.argsort(np.argsort(-b, axis=-1), axis=-1)
    s = 0.5 * q @ k.swapaxes(-1, -2) + bias(feed["v"])
    return np.asarray(softmax(np.where((order < keep) & seen, s, -np.inf)) @ v)


@pytest.mark.parametrize("keep", [1, 2, 4, 6, 99])
def test_a_trained_one_keeps_the_keys_of_the_largest_biases(keep: int) -> None:
    graph = attention()
    feed = numbers(graph)
    wanted = expected(feed, keep, np.ones((2, 1, 1, 6), bool))
    np.testing.assert_allclose(given(chosen(graph, keep), feed), wanted, rtol=1e-10)


@pytest.mark.parametrize("form", ["causal", "padded", "added"])
def test_it_chooses_among_the_keys_that_the_masks_leave(form: str) -> None:
    seen = np.tri(6, dtype=bool)[None, None] if form == "causal" else np.ones((2, 1, 1, 6), bool)
    if form != "causal":
        seen[0, ..., 4:] = False
    seen = np.broadcast_to(seen, (2, 1, 6 if form == "causal" else 1, 6))
    feed = numbers(attention())
    shape = ", ".join(map(str, seen.shape))
    if form == "added":
        graph = attention(f"m: f32[{shape}]", "m")
        feed["m"] = np.where(seen, 0, -np.finfo(np.float32).max).astype(np.float32)
    else:
        graph, feed["m"] = attention(f"m: bool[{shape}]", "None, m"), seen
    wanted = expected(feed, 2, seen)
    np.testing.assert_allclose(given(chosen(graph, 2), feed), wanted, rtol=1e-10)


def test_it_depends_on_no_later_key_under_a_causal_mask() -> None:
    graph = attention("m: bool[1, 1, 6, 6]", "None, m")
    feed = {**numbers(attention()), "m": np.tri(6, dtype=bool)[None, None]}
    made = chosen(graph, 2)
    was = given(made, feed)
    for name in "kv":
        feed[name] = feed[name].copy()
        feed[name][:, :, 4:] += 3
    assert np.array_equal(was[:, :, :4], given(made, feed)[:, :, :4])


def test_heads_that_share_keys_share_the_choice() -> None:
    made = applied(grouped(4), "dynamic-mask", keep=3).graph
    trained(made, "layers.0.mask.weight", W[:4, :1])
    trained(made, "layers.0.mask.strength", STRENGTH[:1])
    feed = numbers(grouped(4))
    feed["q"][:] = feed["q"][:, :1]
    found = given(made, feed)
    assert np.allclose(found, found[:, :1])


def grouped(heads: int) -> Graph:
    from graphwright.ir import parse
    from graphwright.ir.graph import Header

    graph = parse(f"""
def grouped(q: f32[2, {heads}, 6, 4], k: f32[2, 1, 6, 4], v: f32[2, 1, 6, 4]):
    return Attention(q, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision="")
""")
    graph.header = Header(8, {"": 17})
    return graph


def test_other_heads_see_all() -> None:
    graph = attention()
    feed = numbers(graph)
    made = applied(graph, "dynamic-mask", keep=1, heads=(1,)).graph
    trained(made, "layers.0.mask.strength", np.array([0.0, 1.0]))
    trained(made, "layers.0.mask.weight", W)
    was, now = given(graph, feed), given(made, feed)
    np.testing.assert_allclose(was[:, 0], now[:, 0], rtol=1e-12)
    assert not np.allclose(was[:, 1], now[:, 1])
