"""Pooling by attention projects the mixed tokens, not each token."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphwright as gw
from graphwright.ir.const import Array
from graphwright.ir.graph import Graph, Header
from graphwright.ir.types import TensorType
from graphwright.runtime import Runtime
from graphwright.verification.feeds import Feed

RNG = np.random.default_rng(0)
W, B, SCORE = (RNG.normal(size=n).round(2) for n in ((8, 6), (6,), (8, 1)))


def pooling(tokens: int | str = 20, bias: bool = True) -> Graph:
    """Tokens weighed by what they hold, as in multiple instance learning; some are padding."""
    graph = gw.parse(f"""
def pooling(x: f32[B, {tokens}, 8], m: bool[B, 1, {tokens}]):
    scores = Transpose(Tanh(x) @ f32({SCORE.tolist()}), perm=(0, 2, 1))
    p = Softmax(Where(m, scores, f32(-inf)), axis=-1)
    return p @ (x @ f32({W.tolist()}){f" + f32({B.tolist()})" if bias else ""})
""")
    graph.header = Header(10, {"": 17})
    return graph


def run(graph: Graph, feed: dict[str, Array]) -> Any:
    with Runtime(isolated=False) as runtime:
        return runtime.evaluate(graph, [Feed(feed, "")])[0][0]


def projected(graph: Graph) -> list[object]:
    """How many tokens each product with the projection reads."""
    products = [n for n in graph.nodes() if n.op == "MatMul" and n.inputs[1] is not None]
    kinds = [n.inputs[0].type for n in products if n.inputs[1].type == TensorType("f32", (8, 6))]
    return [kind.shape[1] for kind in kinds if isinstance(kind, TensorType) and kind.shape]


def test_one_row_is_projected_where_all_tokens_were() -> None:
    graph = pooling()
    result = gw.optimize(graph)
    assert (projected(graph), projected(result.graph)) == ([20], [1])
    assert result.report.ok
    feed = {"x": RNG.normal(size=(3, 20, 8)).astype(np.float32)}
    feed["m"] = np.arange(20) < np.array([20, 7, 0])[:, None, None]  # one bag is empty
    before, after = run(graph, feed), run(result.graph, feed)
    np.testing.assert_allclose(after[:2], before[:2], rtol=1e-5, atol=1e-6)
    assert np.isnan(before[2]).all()
    assert np.isnan(after[2]).all()


def test_of_bags_that_may_be_empty_only_without_a_bias() -> None:
    assert projected(gw.optimize(pooling("T", bias=False)).graph) == [1]
    kept = projected(gw.optimize(pooling("T")).graph)
    assert kept != [1], "0 tokens gave 0, and would give the bias"
