"""What normalizers make of rows that a mask hides wholly: what the model made of them."""

from __future__ import annotations

import numpy as np
import pytest
from tests.techniques.applying import applied

from graphwright.ir.const import Array
from graphwright.ir.graph import Graph
from graphwright.ir.parse import parse
from graphwright.runtime import Runtime
from graphwright.verification.feeds import Feed

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
