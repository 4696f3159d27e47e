"""Statistics leave padding out where a mask tells it, and what they chose is said."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tests.calling import Run, optimize
from tests.models import encoder

import graphwright as gw
from graphwright.frontends.onnx import from_proto
from graphwright.ir.const import Array
from graphwright.ir.graph import Graph
from graphwright.runtime import Runtime
from graphwright.verification.feeds import Feed

__all__ = ["optimize"]

LENGTHS = (11, 7, 3, 11)
ASKED = [
    "activation-pruning:sparsity=0.6",
    "semi-structured-pruning:by=activation",
    "head-pruning:share=0.5",
    "attention-drop",
    "repquant-layer-norm:bits=4",
    "log-sqrt2-softmax:scale=data",
    "binarized-softmax:share=data",
]


def batch(side: str, filler: int) -> dict[str, Array]:
    """Texts of several lengths in one batch, `filler` beside them."""
    rng = np.random.default_rng(0)
    ids = np.full((4, 11), filler)
    mask = np.zeros((4, 11), np.int64)
    for row, length in enumerate(LENGTHS):
        at = slice(0, length) if side == "right" else slice(11 - length, 11)
        ids[row, at], mask[row, at] = rng.integers(1, 19, length), 1
    return {"input_ids": ids, "token_type_ids": ids * 0, "attention_mask": mask}


def run(asked: str, data: Any) -> gw.Result:
    return gw.optimize(from_proto(encoder(2)), apply=[asked], data=data, verify=False)


@cache
def alone(asked: str) -> gw.Result:
    """Each text by itself, without any padding."""
    whole = batch("right", 0)
    texts = [
        {name: array[row : row + 1, :length] for name, array in whole.items()}
        for row, length in enumerate(LENGTHS)
    ]
    return run(asked, texts)


def gives(graph: Graph) -> Array:
    with Runtime(isolated=False) as runtime:
        found: Array = runtime.evaluate(graph, [Feed(batch("right", 0), "")])[0][0]
    return found


@pytest.mark.parametrize("asked", ASKED)
def test_padding_does_not_count(asked: str) -> None:
    """Of the same texts come the same numbers, whatever stands beside them; no mask, other ones."""
    wanted, other = alone(asked), run(asked, batch("right", 17))
    for one, two in zip(said(wanted), said(other), strict=True):
        assert one.keys() == two.keys()
        for name, numbers in one.items():
            np.testing.assert_allclose(numbers, two[name], rtol=1e-4)
    np.testing.assert_allclose(gives(wanted.graph), gives(other.graph), rtol=1e-3, atol=1e-4)
    assert wanted.report.applied[0].count == other.report.applied[0].count > 0


def said(result: gw.Result) -> list[Any]:
    return [each.numbers for each in result.report.applied[0].chosen]


def test_without_a_mask_all_tokens_count() -> None:
    """Were the texts' padding told by nothing, it would change what is pruned."""
    asked, whole = ASKED[0], batch("right", 17)
    whole["attention_mask"] = whole["attention_mask"] * 0 + 1
    assert not np.allclose(gives(alone(asked).graph), gives(run(asked, whole).graph), atol=1e-3)


def test_padding_to_the_left_under_a_causal_mask_does_not_count() -> None:
    """There the queries that are padding see nothing, and so no key is one for their sake."""
    weights = np.random.default_rng(1).normal(size=(8, 8)).round(2).tolist()
    text = f"""
def model(x: f32[B, 6, 8], m: bool[B, 6]):
    w = f32({weights})
    h = Transpose(Reshape(x @ w, i64([0, 0, 2, 4])), perm=(0, 2, 1, 3))
    row = Unsqueeze(i64([0, 1, 2, 3, 4, 5]), axes=(1,))
    seen = And(Unsqueeze(m, axes=(1, 2)), LessOrEqual(i64([0, 1, 2, 3, 4, 5]), row))
    bias = Where(seen, f32(0), f32(-3.4e38))
    p = Softmax(h @ Transpose(h, perm=(0, 1, 3, 2)) * 0.5 + bias, axis=-1)
    y = Reshape(Transpose(p @ h, perm=(0, 2, 1, 3)), i64([0, 0, 8]))
    return y @ w
"""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 6, 8)).astype(np.float32)
    mask = np.arange(6) >= np.array([[0], [3]])
    loud = np.where(mask[..., None], x, 50 * rng.random(8).astype(np.float32))
    graphs = [
        gw.optimize(
            gw.parse(text),
            apply=["activation-pruning:sparsity=0.5"],
            data={"x": given, "m": mask},
            verify=False,
        ).graph
        for given in (x, loud)
    ]
    with Runtime(isolated=False) as runtime:
        feed = Feed({"x": x, "m": mask | True}, "")
        one, two = (runtime.evaluate(graph, [feed])[0][0] for graph in graphs)
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("asked", ASKED[2:])
def test_what_data_chose_is_told(asked: str, tmp_path: Path, optimize: Run) -> None:
    onnx.save(encoder(2), tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", **batch("right", 0))
    call = [tmp_path / "model.onnx", "--dry-run", "--apply", asked, "--data", tmp_path / "data.npz"]
    status, text, _ = optimize(*call)
    assert status == 0
    assert "by the data" in text
    status, text, _ = optimize(*call, "--json")
    assert status == 0
    (applied,) = json.loads(text)["applied"]
    assert applied["chosen"]
    for each in applied["chosen"]:
        assert each["where"]
        assert all(
            isinstance(n, int | float) for number in each["numbers"].values() for n in number
        )
    if asked.endswith("=data"):
        assert [each["layer"] for each in applied["chosen"]] == [0, 1]
        assert {len(n) for each in applied["chosen"] for n in each["numbers"].values()} == {2}
