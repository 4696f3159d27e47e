"""What normalizers make of rows that a mask hides wholly: what the model made of them."""

from __future__ import annotations

import numpy as np
import pytest
from tests.techniques.applying import applied, attention

from graphwright.ir.const import Array
from graphwright.ir.graph import Graph
from graphwright.ir.parse import parse
from graphwright.passes.technique import Technique, techniques
from graphwright.runtime import Runtime
from graphwright.verification.feeds import Feed

NORMALIZERS = [each for each in techniques().values() if each.formula is not None]
RNG = np.random.default_rng(0)
FEED = {
    **{n: RNG.normal(size=(2, 2, 5, 4)).astype(np.float32) for n in "qkv"},
    "b": RNG.normal(size=(2, 1, 5, 5)).astype(np.float32),
    "m": np.ones((2, 1, 5, 5), bool),
}
FEED["m"][1, 0, :3] = False
FEED["b"][1, 0, 1] = -np.inf  # what is added to a row that the mask hides does not count


def model(bias: str, filler: float) -> Graph:
    return parse(f"""
def model(q: f32[B, 2, S, 4], k: f32[B, 2, T, 4], v: f32[B, 2, T, 4], b: f32[B, 1, S, T],
          m: bool[B, 1, S, T]):
    y = Attention(q, k, v, {bias}, m, scale=1.0, cap=0.0, filler={filler}, guard=0, precision="")
    return y, b
""")


def run(graph: Graph) -> Array:
    with Runtime(isolated=False) as runtime:
        found: Array = runtime.evaluate(graph, [Feed(FEED, "")])[0][0]
    return found


@pytest.mark.parametrize("bias", ["None", "b"])
@pytest.mark.parametrize("filler", [-1e4, -3.4e38])
def test_a_finite_filler_averages(bias: str, filler: float) -> None:
    graph = model(bias, filler)
    made = applied(graph, "clipped-softmax", gamma=0.0)
    assert made.count == 1
    before, after = run(graph), run(made.graph)
    mean = FEED["v"][1].mean(-2, keepdims=True).repeat(3, -2)
    np.testing.assert_allclose(before[1, :, :3], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("technique", NORMALIZERS, ids=lambda each: each.name)
@pytest.mark.parametrize("heads", [None, (1,)])
def test_a_row_that_gave_0_gives_0(technique: Technique, heads: tuple[int, ...] | None) -> None:
    """As in PyTorch: its scaled_dot_product_attention under a boolean mask gives 0 there."""
    graph = attention("m: bool[2, 1, 5, 5]", "None, m", tokens=5, guard=1)
    made = applied(graph, technique.name, heads=heads)
    assert (made.count, made.left_out) == (1, [])
    feed = Feed({name: FEED[name] for name in "qkvm"}, "")
    with Runtime(isolated=False) as runtime:
        (found,) = runtime.evaluate(made.graph, [feed])[0]
    assert not found[1, :, :3].any()
    assert found[1, :, 3:].any(-1).all()
    assert np.isfinite(found).all()


@pytest.mark.parametrize("technique", NORMALIZERS, ids=lambda each: each.name)
@pytest.mark.parametrize(
    ("given", "operands"), [("", ""), ("b: f32[2, 1, 6, 6], m: bool[2, 1, 6, 6]", "b, m")]
)
def test_where_such_rows_give_0_it_applies(technique: Technique, given: str, operands: str) -> None:
    """Also of infinite numbers, which make rows of no number at all."""
    made = applied(attention(given, operands, guard=1), technique.name)
    assert (made.count, made.left, made.left_out) == (1, [], [])


def test_a_key_that_a_mask_hides_stays_hidden_where_a_bias_hides_the_others() -> None:
    """A row of which all keys that the mask leaves are -10000: those are seen, and no other."""
    given = {**FEED, "m": FEED["m"].copy(), "b": np.zeros((2, 1, 5, 5), np.float32)}
    given["m"][0, 0, 2] = [True, True, False, False, False]
    given["b"][0, 0, 2] = -1e4
    made = applied(model("b", -np.inf), "stablemax").graph
    with Runtime(isolated=False) as runtime:
        (first, _), (other, _) = (
            runtime.evaluate(made, [Feed({**given, "v": v}, "")])[0]
            for v in (given["v"], np.where(np.arange(5)[:, None] < 2, given["v"], 99.0))
        )
    np.testing.assert_array_equal(first[0, :, 2], other[0, :, 2])
