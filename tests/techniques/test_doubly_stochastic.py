"""Sinkhorn's divisions: what sums to 1 after how many, and who takes no part."""

from __future__ import annotations

import numpy as np
import pytest
from tests.techniques.applying import applied, attention, given, numbers

from graphwright.ir.const import Array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.passes.techniques.doubly_stochastic import doubly_stochastic

PADDED = np.array([[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, -1e9, -1e9]], np.float32)[:, None, None]
SEEN = PADDED == 0


def weights(graph: Graph, feed: dict[str, Array], steps: int) -> Array:
    """The weights, as the values are the identity."""
    eye = np.broadcast_to(np.eye(6, 4), (2, 2, 6, 4))
    first = given(applied(graph, "doubly-stochastic", steps=steps).graph, {**feed, "v": eye})
    last = np.broadcast_to(np.eye(6)[:, [4, 5, 0, 0]], (2, 2, 6, 4))
    rest = given(applied(graph, "doubly-stochastic", steps=steps).graph, {**feed, "v": last})
    return np.concatenate([first, rest[..., :2]], -1)


def test_one_step_is_softmax() -> None:
    graph = attention()
    feed = numbers(graph)
    made = applied(graph, "doubly-stochastic", steps=1)
    np.testing.assert_allclose(given(made.graph, feed), given(graph, feed), rtol=1e-12)
    assert str(doubly_stochastic.contract(steps=1)) == "within tolerance"


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 9])
def test_what_was_divided_last_sums_to_one(steps: int) -> None:
    graph = attention()
    p = weights(graph, numbers(graph), steps)
    np.testing.assert_allclose(p.sum(-1 if steps % 2 else -2), 1, rtol=1e-9)


def test_all_sums_are_one_in_the_end_and_one_more_step_changes_nothing() -> None:
    graph = attention()
    p, more = (weights(graph, numbers(graph), steps) for steps in (49, 50))
    np.testing.assert_allclose(p.sum(-2), 1, atol=1e-7)
    np.testing.assert_allclose(p, more, atol=1e-7)


@pytest.mark.parametrize("form", ["added", "chosen", "each row", "guarded"])
def test_padding_takes_no_part(form: str) -> None:
    """What is left of a padded sequence is what the sequence alone gives."""
    feed = numbers(attention())
    if form == "added":
        graph, feed["m"] = attention("m: f32[2, 1, 1, 6]", "m"), PADDED
    else:
        rows = 6 if form == "each row" else 1
        graph = attention(f"m: bool[2, 1, {rows}, 6]", "None, m", guard=int(form == "guarded"))
        feed["m"] = np.broadcast_to(SEEN, (2, 1, rows, 6))
    found = given(applied(graph, "doubly-stochastic", steps=9).graph, feed)[1, :, :4]
    short = attention(tokens=4)
    alone = given(
        applied(short, "doubly-stochastic", steps=9).graph,
        {name: feed[name][:, :, :4] for name in "qkv"},
    )[1]
    np.testing.assert_allclose(found, alone, rtol=1e-6)


def test_a_row_without_keys_is_what_it_was_and_spoils_no_other() -> None:
    for guard in (0, 1):
        graph = attention("m: bool[2, 1, 6, 6]", "None, m", guard=guard)
        feed = numbers(attention())
        feed["m"] = np.ones((2, 1, 6, 6), bool)
        feed["m"][0, 0, 2] = False
        found = given(applied(graph, "doubly-stochastic").graph, feed)
        dead = found[0, :, 2]
        assert not dead.any() if guard else np.isnan(dead).all()
        assert np.isfinite(np.delete(found[0], 2, axis=1)).all()
        assert np.isfinite(found[1]).all()


def test_large_scores_and_heads() -> None:
    graph = attention()
    feed = numbers(graph)
    feed["q"] = feed["q"] * 1000
    made = applied(graph, "doubly-stochastic", heads=(1,)).graph
    was, now = given(graph, feed), given(made, feed)
    assert np.array_equal(was[:, 0], now[:, 0])
    assert np.isfinite(now).all()
    assert not np.allclose(was[:, 1], now[:, 1])


def test_how_many_steps_there_may_be() -> None:
    with pytest.raises(ModelError, match="steps is 1 to 50, not 0"):
        doubly_stochastic.contract(steps=0)
