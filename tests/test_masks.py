"""Which inputs are taken for masks, and what masks are made of."""

import numpy as np
import pytest
from tests.test_feeds import kinds, model, runs

from graphwright.verification.feeds import Feed, make_feeds
from graphwright.verification.masks import added, visible

LOWEST = np.finfo(np.float32).min


def paddings(feeds: list[Feed]) -> set[str]:
    return {part for feed in feeds for part in feed.about.split(", ") if "padding" in part}


@pytest.mark.parametrize(
    "body",
    [
        "c = Cast<to=9>(m)  y = Where(c, x, x)",
        "one = Constant<value_int: int = 1>()  i = Sub(one, m)  f = Cast<to=1>(i)  y = Mul(f, x)",
        "f = Cast<to=1>(m)  b = Constant<value_float: float = -1e4>()  p = Mul(f, b) y = Add(p, x)",
    ],
)
def test_masks_are_told_by_what_reads_them(body: str) -> None:
    graph = model("(int64[B, S] m, float[B, S] x) => (float[B, S] y)", body)
    assert kinds(graph)["m"] == "mask"
    feeds = make_feeds(graph)
    runs(graph, feeds)
    assert {int(n) for feed in feeds for n in feed["m"].flat} == {0, 1}
    assert len(paddings(feeds)) == 6


def test_masks_are_told_by_their_names_where_nothing_else_tells() -> None:
    graph = model(
        "(int64[B, S] attention_mask, float[B, S] x) => (int64[B, S] y, float[B, S] z)",
        "y = Neg(attention_mask)  z = Neg(x)",
    )
    assert kinds(graph) == {"attention_mask": "mask", "x": "float"}


def test_a_float_mask_that_is_subtracted_from_one_holds_ones() -> None:
    graph = model(
        "(float[B, S] mask, float[B, S] x) => (float[B, S] y)",
        """one = Constant<value_float: float = 1.0>()  i = Sub(one, mask)
        big = Constant<value_float: float = -10000.0>()  p = Mul(i, big)  y = Add(p, x)""",
    )
    assert {float(n) for feed in make_feeds(graph) for n in feed["mask"].flat} == {0.0, 1.0}


def test_a_float_mask_that_multiplies_holds_ones() -> None:
    graph = model(
        "(float[B, 3, S, T] scores, float[1, 3, 1, 1] head_mask) => (float[B, 3, S, T] r)",
        "w = Softmax<axis=-1>(scores)  r = Mul(w, head_mask)",
    )
    assert kinds(graph)["head_mask"] == "mask"
    for feed in make_feeds(graph):
        assert set(np.unique(feed["head_mask"])) <= {0.0, 1.0}


def test_a_mask_that_is_added_to_scores_holds_what_such_masks_hold() -> None:
    graph = model(
        "(float[B, H, S, T] x, float[B, 1, S, T] bias) => (float[B, H, S, T] y)",
        "s = Add(x, bias)  y = Softmax<axis=-1>(s)",
    )
    assert kinds(graph) == {"x": "float", "bias": "bias"}
    feeds = make_feeds(graph)
    runs(graph, feeds)
    held = {float(n) for f in feeds if "padding" in f.about for n in f["bias"].flat}
    assert held == {0.0, -np.inf, -1e4, float(LOWEST)}
    assert any(0.1 < abs(n) < 3 for feed in feeds for n in feed["bias"].flat)


def test_scores_are_not_taken_for_a_mask() -> None:
    graph = model(
        "(float[S, D] q, float[D, S] k, float[S, S] b) => (float[S, S] y)",
        "s = MatMul(q, k)  m = Add(s, b)  y = Softmax<axis=-1>(m)",
    )
    assert kinds(graph) == {"q": "float", "k": "float", "b": "bias"}


def test_boolean_masks_have_a_row_that_sees_nothing() -> None:
    graph = model(
        "(bool[B, 1, S, S] m, float[B, 2, S, S] x, float low) => (float[B, 2, S, S] y)",
        "s = Where(m, x, low)  y = Softmax(s)",
    )
    feeds = {feed.about.split(", ")[-1]: feed["m"] for feed in make_feeds(graph)[:9]}
    assert not feeds["padding dead"][-1, 0, 0].any()
    assert feeds["padding dead"][-1, 0, 1:].all()
    assert not feeds["padding empty"].any()
    assert (feeds["padding causal"][0, 0] == np.tri(*feeds["padding causal"].shape[2:])).all()


@pytest.mark.parametrize(
    ("padding", "shape", "want"),
    [
        ("none", (2, 3), [[1, 1, 1], [1, 1, 1]]),
        ("right", (2, 6), [[1] * 6, [1, 1, 1, 1, 0, 0]]),
        ("left", (2, 6), [[1] * 6, [0, 0, 1, 1, 1, 1]]),
        ("middle", (2, 6), [[1] * 6, [1, 0, 0, 1, 1, 1]]),
        ("dead", (2, 2), [[1, 1], [0, 0]]),
        ("dead", (2, 1, 2), [[[1, 1]], [[0, 0]]]),
        ("dead", (1, 2, 2), [[[0, 0], [1, 1]]]),
        ("left", (2, 2, 3), [[[1, 1, 1], [1, 1, 1]], [[0, 1, 1], [0, 1, 1]]]),
        ("causal", (2, 3), [[1, 1, 0], [1, 1, 1]]),
        ("left", (3,), [0, 1, 1]),
        ("right", (2, 1), [[1], [1]]),
        ("dead", (), 1),
        ("dead", (0, 4), np.zeros((0, 4)).tolist()),
    ],
)
def test_what_each_padding_shows(padding: str, shape: tuple[int, ...], want: object) -> None:
    assert visible(padding, shape, np.random.default_rng(0)).astype(int).tolist() == want


def test_scattered_padding_leaves_every_row_something() -> None:
    seen = visible("scattered", (9, 9), np.random.default_rng(0))
    assert seen.any(-1).all()
    assert not seen.all()


def test_masks_that_are_added_suit_their_type() -> None:
    dead = visible("dead", (1, 2), np.random.default_rng(0))
    assert added(dead, "dead", "f32").tolist() == [[LOWEST, LOWEST]]
    assert added(dead, "dead", "f16").tolist() == [[-65504, -65504]]
    assert np.isfinite(added(dead, "dead", "bf16").astype(np.float32)).all()
    assert np.isneginf(added(dead, "dead by -inf", "f32")).all()
