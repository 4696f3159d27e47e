"""Masks by position: windows and blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.techniques.applying import applied, attention, given, numbers

from graphwright.ir import parse
from graphwright.ir.const import Array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Header
from graphwright.passes.technique import techniques

ROW, COLUMN = np.ogrid[:6, :6]
MASKS: list[tuple[str, dict[str, int], Array]] = [
    ("sliding-window", {"width": 1}, ROW == COLUMN),
    ("sliding-window", {"width": 3}, abs(ROW - COLUMN) < 3),
    ("sliding-window", {"width": 2, "first": 1}, (abs(ROW - COLUMN) < 2) | (COLUMN < 1)),
    ("sliding-window", {"width": 6}, ROW >= 0),
    ("block-mask", {"size": 2}, ROW // 2 == COLUMN // 2),
    ("block-mask", {"size": 2, "around": 1}, abs(ROW // 2 - COLUMN // 2) <= 1),
    ("block-mask", {"size": 4}, ROW // 4 == COLUMN // 4),
    ("block-mask", {"size": 6}, ROW >= 0),
]


def masked(feed: dict[str, Array], seen: Array) -> Array:
    graph = attention("m: bool[2, 1, 6, 6]", "None, m")
    return given(graph, {**feed, "m": np.broadcast_to(seen, (2, 1, 6, 6))})


@pytest.mark.parametrize(("name", "knobs", "seen"), MASKS)
def test_it_is_attention_under_the_mask(name: str, knobs: dict[str, Any], seen: Array) -> None:
    graph = attention()
    feed = numbers(graph)
    made = applied(graph, name, **knobs)
    np.testing.assert_allclose(given(made.graph, feed), masked(feed, seen), rtol=1e-12)


@pytest.mark.parametrize("operand", ["None, m", "m"])
def test_masks_go_on_hiding_and_no_row_loses_all(operand: str) -> None:
    """Of padding to the right, rows of padding keep what they saw."""
    feed = numbers(attention())
    hidden = np.zeros((2, 1, 1, 6), bool)
    hidden[1, ..., 2:] = True
    kind = "bool" if operand != "m" else "f32"
    mask = ~hidden if kind == "bool" else np.where(hidden, np.float32(-3e38), np.float32(0))
    graph = attention(f"m: {kind}[2, 1, 1, 6]", operand)
    found = given(applied(graph, "sliding-window", width=2).graph, {**feed, "m": mask})
    seen = (abs(ROW - COLUMN) < 2) & ~hidden
    seen = np.where(seen.any(-1, keepdims=True), seen, ~hidden)
    np.testing.assert_allclose(found, masked(feed, seen), rtol=1e-6)


@pytest.mark.parametrize("sizes", ["S", "2"])
def test_queries_behind_a_cache_stand_at_its_end(sizes: str) -> None:
    graph = parse(f"""
def cached(q: f32[1, 1, {sizes}, 4], past: f32[1, 1, P, 4], new: f32[1, 1, {sizes}, 4]):
    k = Concat(past, new, axis=2)
    return Attention(q, k, k, scale=0.5, cap=0.0, filler=-inf, guard=0, precision="")
""")
    graph.header = Header(8, {"": 17})
    whole = numbers(attention())["k"][:1, :1]
    feed = {"q": whole[:, :, 4:], "past": whole[:, :, :4], "new": whole[:, :, 4:]}
    found = given(applied(graph, "sliding-window", width=3).graph, feed)
    all_ = masked({name: np.broadcast_to(whole, (2, 2, 6, 4)) for name in "qkv"}, MASKS[1][2])
    np.testing.assert_allclose(found, all_[:1, :1, 4:], rtol=1e-6)


def test_only_the_heads_asked_for() -> None:
    graph = attention()
    feed = numbers(graph)
    found = given(applied(graph, "block-mask", size=2, heads=(0,)).graph, feed)
    assert np.array_equal(found[:, 1], given(graph, feed)[:, 1])
    np.testing.assert_allclose(found[:, 0], masked(feed, MASKS[4][2])[:, 0], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "knobs", "why"),
    [
        ("sliding-window", {"width": 0}, "a width of 0"),
        ("sliding-window", {"first": -1}, "-1 first keys"),
        ("block-mask", {"size": 0}, "no blocks of 0"),
    ],
)
def test_knobs_out_of_range_get_a_sentence(name: str, knobs: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelError, match=why):
        techniques()[name].contract(**knobs)
