"""Knobs that data chooses: each head has the number that costs it least."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.techniques.applying import applied
from tests.techniques.rows import softmax, weights

from graphwright.applying import steps
from graphwright.ir.const import Array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.ir.parse import parse
from graphwright.passes.fitting import in_each_head
from graphwright.passes.rule import Budget
from graphwright.passes.technique import Work, techniques
from graphwright.passes.techniques.binarized_softmax import SHARES

MODEL = """
def model(q: f32[B, 2, 6, 4], k: f32[B, 2, T, 4], v: f32[B, 2, T, 4], m: bool[B, 1, 1, T]):
    y = Attention(q, k, v, None, m, scale=0.5, cap=0.0, filler=-inf, guard=0, precision="")
    z = Attention(y, k, v, None, m, scale=4.0, cap=0.0, filler=-inf, guard=0, precision="")
    return z
"""
RNG = np.random.default_rng(0)
DATA = {
    "q": (RNG.normal(size=(4, 2, 6, 4)) * np.array([0.3, 9.0])[:, None, None]).astype(np.float32),
    "k": RNG.normal(size=(4, 2, 9, 4)).astype(np.float32),
    "v": RNG.normal(size=(4, 2, 9, 4)).astype(np.float32),
    "m": np.arange(9) < np.array([9, 7, 5, 3])[:, None, None, None],
}


def numbers(graph: Graph, op: str) -> list[Array]:
    """The constants that such a node of each body reads, one a head."""
    found = []
    for node in graph.nodes():
        if node.op == "Attention":
            made = next(n for n in node.bodies["normalizer"].nodes() if n.op == op)
            found += [v.const.load() for v in made.inputs if v is not None and v.const is not None]
    return found


def scores() -> Array:
    return np.where(DATA["m"], 0.5 * DATA["q"] @ DATA["k"].swapaxes(-1, -2), -np.inf)


def test_each_head_has_the_share_that_is_nearest() -> None:
    made = applied(parse(MODEL), "binarized-softmax", data=DATA, share="data", omega="mean")
    assert made.count == 2
    technique = techniques()["binarized-softmax"]
    s, exact = scores(), softmax(scores()) @ DATA["v"]
    costs = []
    for share in SHARES:
        found = weights(technique, s, share=share, omega="mean")
        costs.append(((found @ DATA["v"] - exact) ** 2).sum((0, 2, 3)))
    best = np.array(SHARES)[np.argmin(costs, 0)]
    assert best[0] != best[1]  # the heads differ, or this shows nothing
    first, _ = numbers(made.graph, "Add")
    assert first.shape == (2, 1, 1)
    np.testing.assert_allclose(np.exp(first.ravel()), best, rtol=1e-5)


def test_a_unified_maximum_lies_under_the_scores_of_its_head() -> None:
    data = {**DATA, "q": DATA["q"] * np.float32(8)}
    made = applied(parse(MODEL), "unified-max-softmax", data=data, phi="data")
    assert made.count == 2
    assert not made.left_out
    first, _ = numbers(made.graph, "Sub")
    top = (8 * scores()).max(-1)
    assert (np.abs(first.ravel() + 40 - top.mean((0, 2))) <= 4).all()
    assert first[0] != first[1]


def test_only_the_layers_and_heads_that_were_asked_for_change() -> None:
    made = applied(
        parse(MODEL), "log-sqrt2-softmax", data=DATA, scale="data", layers=(1,), heads=(1,)
    )
    assert made.count == 1
    bodies = [bool(n.bodies) for n in made.graph.nodes() if n.op == "Attention"]
    assert bodies == [False, True]


def test_where_nothing_can_be_observed_it_is_said_and_nothing_changes() -> None:
    graph = parse(MODEL)
    readers = [len(v.uses) for v in graph.inputs]
    technique = techniques()["binarized-softmax"]
    work = Work(technique.name, Budget(lambda _: np.zeros(())))
    assert not list(technique.bound(work, {"share": "data"}).run(graph))
    assert {why for _, why in work.left} == {"it needs data that the model runs on"}
    assert [len(v.uses) for v in graph.inputs] == readers


@pytest.mark.parametrize(
    ("texts", "one"),
    [
        (["s * 2.0", "s * 2.0"], "s * 2.0"),
        (["s * 2.0 + 1.0", "s * 3.0 + 1.0"], "s * [2.0, 3.0] + 1.0"),
        (["x = s - 4.0\nx", "x = s - -4.0\nx"], "x = s - [4.0, -4.0]\nx"),
    ],
)
def test_heads_differ_in_numbers_alone(texts: list[str], one: str) -> None:
    assert in_each_head(texts) == one


@pytest.mark.parametrize("name", [t.name for t in techniques().values() if t.fits])
def test_formulas_of_all_that_data_may_choose_are_one_but_for_numbers(name: str) -> None:
    technique = techniques()[name]
    assert technique.formula is not None
    each = [technique.formula(**{technique.fits: number}) for number in (1.0, 0.25, 0.5)]
    assert "[" in in_each_head(each)


def test_what_may_be_data_and_what_may_not() -> None:
    assert steps(["binarized-softmax:share=data", "log-sqrt2-softmax:scale=data"])
    for wrong in ("binarized-softmax:omega=data", "log-sqrt2-softmax:bits=data"):
        with pytest.raises(ModelError, match="not"):
            steps([wrong])


def test_a_bound_holds_for_whatever_data_may_choose() -> None:
    contract: Any = techniques()["uniform-softmax"].contract(scale="data")
    assert "0.938" in contract.bound  # 1 - 1/16, where 1/16 is the least scale that is tried
