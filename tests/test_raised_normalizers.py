"""Attentions that nobody has named are raised too, with what makes their weights as a body."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import graphwright as gw
from graphwright.ir.graph import Graph, Header
from graphwright.ir.normalizers import BODY
from graphwright.runtime import Runtime

GIVEN = (
    "q: f32[B, 4, S, 8], k: f32[B, 2, T, 8], v: f32[B, 2, T, 6], "
    "m: f32[B, 1, 1, T], b: bool[B, 1, 1, T]"
)
KEYS = """
kk = Reshape(Expand(Unsqueeze(k, axes=(2,)), {many}), {whole})
vv = Reshape(Expand(Unsqueeze(v, axes=(2,)), {many6}), {whole6})
s = q @ Transpose(kk, perm=(0, 1, 3, 2)) * 0.5
""".format(
    many="Sizes(dims=(B, 2, 2, T, 8))",
    whole="Sizes(dims=(B, 4, T, 8))",
    many6="Sizes(dims=(B, 2, 2, T, 6))",
    whole6="Sizes(dims=(B, 4, T, 6))",
)
JOINED = "Reshape(Transpose(p @ vv, perm=(0, 2, 1, 3)), Sizes(dims=(B, S, 24)))"
RAISED = {
    "squared relu": """
        e = Relu(s + m) * Relu(s + m)
        p = e / (ReduceSum(e, axes=(-1,), keepdims=1) + 0.001)""",
    "sigmoid": "p = Sigmoid(Where(b, s, f32(-inf)) - 2.0)",
    "clipped softmax": "p = Min(Max(Softmax(s + m, axis=-1) * 1.03 - 0.03, f32(0)), f32(1))",
    "weights over a threshold": """
        w = Softmax(s + m, axis=-1)
        w2 = Where(Greater(w, f32(0.1)), w, f32(0))
        p = w2 / ReduceSum(w2, axes=(-1,), keepdims=1)""",
    "a cap after the mask": "p = Softmax(Tanh(s + m) * 5.0, axis=-1)",
    "softplus": "e = Softplus(s)\np = e / ReduceSum(e, axes=(-1,), keepdims=1)",
    "a power of softmax": "p = Pow(Softmax(s, axis=-1), f32(1.5))",
    "less the greatest, seen": "d = s - ReduceMax(s, axes=(-1,), keepdims=1)\np = Exp(d) / 4.0",
    "in half precision": 'p = Cast(Sigmoid(Cast(s, to="f16")), to="f32")',
}
LEFT = {
    "nothing between": "p = s",
    "a mask that multiplies": "p = Relu(s) * m",
    "over the queries too": """
        w = Softmax(s, axis=-2)
        p = w / ReduceSum(w, axes=(-1,), keepdims=1)""",
    "a number for each key": "p = Relu(s + {ramp}) * {ramp}",
}
RAMP = "f32([1, 2, 3, 4, 5])"


def model(body: str, last: str = JOINED, keys: str = "T") -> Graph:
    lines = [line.strip() for line in f"{KEYS}{body}\nreturn {last}".splitlines() if line.strip()]
    text = f"def model({GIVEN}):\n" + "\n".join(f"    {line}" for line in lines)
    graph = gw.parse(re.sub(r"\bT\b", keys, text))
    graph.header = Header(8, {"": 17})
    return graph


def feed(rows: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    sizes = {"q": (rows, 4, 4, 8), "k": (rows, 2, 5, 8), "v": (rows, 2, 5, 6)}
    found: dict[str, Any] = {
        name: (rng.normal(size=size) * 2).astype(np.float32) for name, size in sizes.items()
    }
    hidden = np.zeros((rows, 1, 1, 5), bool)
    hidden[0, ..., :2] = hidden[1, ..., 2] = hidden[2] = True
    found["b"], found["m"] = ~hidden, np.where(hidden, np.float32(-1e4), np.float32(0))
    return found


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime(isolated=False)


@pytest.mark.parametrize("case", RAISED)
def test_it_is_raised_and_stays_the_same(case: str, runtime: Runtime) -> None:
    before = model(RAISED[case])
    kept = gw.optimize(before, functions=True)
    (node,) = (n for n in kept.graph.nodes() if n.op == "Attention")
    assert BODY in node.bodies
    assert node.inputs[1] is not None
    assert node.inputs[1].type == before.inputs[1].type  # keys that heads share are not repeated
    for after in (kept.graph, gw.optimize(before).graph, gw.optimize(before, target="ort").graph):
        (want,), (got,) = (runtime.evaluate(g, [feed()])[0] for g in (before, after))
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("case", RAISED)
def test_the_survey_finds_it(case: str) -> None:
    (row,) = gw.attentions(model(RAISED[case])).found
    assert (row.heads, row.groups, row.left) == (4, 2, None)
    assert row.normalizer
    assert not gw.attentions(model(RAISED[case])).other_softmax


@pytest.mark.parametrize("case", LEFT)
def test_what_is_no_normalizer_is_left(case: str) -> None:
    before = model(LEFT[case].format(ramp=RAMP), keys="5" if "ramp" in LEFT[case] else "T")
    done = gw.optimize(before)
    assert done.report.ok
    assert not any(r.rule == "raise-attention" for r in done.report.rewrites)


def test_weights_that_are_an_output_stay() -> None:
    done = gw.optimize(model(RAISED["sigmoid"], f"{JOINED}, p"))
    assert done.report.ok
    assert not any(r.rule == "raise-attention" for r in done.report.rewrites)


def test_two_linear_layers_are_no_attention() -> None:
    graph = gw.parse("""
def mlp(x: f32[B, 4]):
    h = Relu(x @ f32([[1, 2], [3, 4], [5, 6], [7, 8]]))
    return h @ f32([[1, 2, 3], [4, 5, 6]])
""")
    graph.header = Header(8, {"": 17})
    assert not gw.attentions(graph).found
    assert not any(r.rule == "raise-attention" for r in gw.optimize(graph).report.rewrites)
