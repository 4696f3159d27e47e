"""Attentions are found by what they compute, and what is none is said to be none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import graphwright as gw
from graphwright import cli
from graphwright.ir.const import from_array
from graphwright.ir.graph import Header
from graphwright.ir.parse import parse
from graphwright.runtime import Runtime
from graphwright.surveying import Attentions

SIGNATURE = "q: f32[B, S, 64], k: f32[B, T, 64], v: f32[B, T, 64], m: f32[B, 1, 1, T]"
SPLIT = """
    qh = Transpose(Reshape(q, i64([0, 0, 4, 16])), perm=(0, 2, 1, 3))
    kh = Transpose(Reshape(k, i64([0, 0, 4, 16])), perm=(0, 2, 1, 3))
    vh = Transpose(Reshape(v, i64([0, 0, 4, 16])), perm=(0, 2, 1, 3))
    kt = Transpose(kh, perm=(0, 1, 3, 2))"""
JOIN = """
    return Reshape(Transpose(o, perm=(0, 2, 1, 3)), i64([0, 0, 64]))"""


def surveyed(lines: str, signature: str = SIGNATURE) -> Attentions:
    """The attentions of a graph that is written out in text."""
    return gw.attentions(gw.parse(f"def model({signature}):{lines}"))


@pytest.mark.parametrize(
    "scores",
    [
        "(qh @ kt) * 0.25",
        "(qh @ kt) / 4.0",
        "(qh * 0.25) @ kt",
        "(qh * 0.5) @ (kt * 0.5)",
        "(qh @ (kh2)) * 0.25",
        "Transpose(kh @ Transpose(qh, perm=(0, 1, 3, 2)), perm=(0, 1, 3, 2)) * 0.25",
    ],
)
def test_wherever_the_scale_stands(scores: str) -> None:
    seen = surveyed(
        f"{SPLIT}\n    kh2 = Transpose(Reshape(k, i64([0, 0, 4, 16])), perm=(0, 2, 3, 1))"
        f"\n    o = Softmax({scores}, axis=-1) @ vh{JOIN}"
    )
    (row,) = seen.found
    assert (row.heads, row.groups, row.head_width, row.value_width) == (4, 1, 16, 16)
    assert row.scale == pytest.approx(0.25)
    assert (row.mask, row.cap, row.bias, row.dead_rows) == ("none", None, False, None)


def test_masks_and_what_dead_rows_give() -> None:
    masked = "Where(Equal(m, 0.0), f32(-inf), (qh @ kt) * 0.25)"
    (row,) = surveyed(f"{SPLIT}\n    o = Softmax({masked}, axis=-1) @ vh{JOIN}").found
    assert (row.mask, row.dead_rows) == ("boolean", "NaN")
    guarded = f"p = Softmax({masked}, axis=-1)\n    o = Where(IsNaN(p), f32(0.0), p) @ vh"
    (row,) = surveyed(f"{SPLIT}\n    {guarded}{JOIN}").found
    assert row.dead_rows == "zero"
    added = "(qh @ kt) * 0.25 + (1.0 - m) * -10000.0"
    (row,) = surveyed(f"{SPLIT}\n    o = Softmax({added}, axis=-1) @ vh{JOIN}").found
    assert (row.mask, row.bias) == ("additive", False)
    (row,) = surveyed(f"{SPLIT}\n    o = Softmax(qh @ kt + m, axis=-1) @ vh{JOIN}").found
    assert (row.mask, row.bias) == ("none", True)


def test_soft_cap_and_its_scale() -> None:
    capped = "Tanh((qh @ kt) * 0.25 / 50.0) * 50.0"
    (row,) = surveyed(f"{SPLIT}\n    o = Softmax({capped}, axis=-1) @ vh{JOIN}").found
    assert row.cap == pytest.approx(50)
    assert row.scale == pytest.approx(0.25)


def test_heads_that_share_keys() -> None:
    lines = """
    qh = Transpose(Reshape(q, i64([0, 0, 4, 16])), perm=(0, 2, 1, 3))
    kh = Transpose(Reshape(k, i64([0, 0, 2, 16])), perm=(0, 2, 1, 3))
    vh = Transpose(Reshape(v, i64([0, 0, 2, 16])), perm=(0, 2, 1, 3))
    kw = Reshape(Tile(Unsqueeze(kh, axes=(2,)), i64([1, 1, 2, 1, 1])), i64([2, 4, 7, 16]))
    vw = Reshape(Tile(Unsqueeze(vh, axes=(2,)), i64([1, 1, 2, 1, 1])), i64([2, 4, 7, 16]))
    o = Softmax(qh @ Transpose(kw, perm=(0, 1, 3, 2)), axis=-1) @ vw"""
    signature = "q: f32[2, 5, 64], k: f32[2, 7, 32], v: f32[2, 7, 32]"
    (row,) = surveyed(lines + JOIN, signature).found
    assert (row.heads, row.groups, row.head_width) == (4, 2, 16)


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (f"{SPLIT}\n    return Softmax(qh @ kt, axis=-1)", "read by an output"),
        (
            f"{SPLIT}\n    return Softmax(Tanh(q), axis=-1) @ Transpose(v, perm=(0, 2, 1))",
            "",
        ),
        (f"{SPLIT}\n    o = Softmax(qh @ kt, axis=1) @ vh{JOIN}", ""),
    ],
)
def test_what_is_no_attention(lines: str, why: str) -> None:
    seen = surveyed(lines)
    assert not seen.found
    assert not seen.missed
    assert why in seen.other_softmax[0].why


def test_the_command_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.onnx"
    text = f"def model({SIGNATURE}):{SPLIT}\n    o = Softmax((qh @ kt) * 0.25, axis=-1) @ vh{JOIN}"
    gw.save(gw.parse(text), path)
    assert cli.run(cli.graphwright, "graphwright", ["attention", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == 1
    assert [row["heads"] for row in found["found"]] == [4]
    assert found["missed"] == found["other_softmax"] == []
    assert cli.run(cli.graphwright, "graphwright", ["attention", str(path)]) == 0
    assert "found: 1, missed: 0" in capsys.readouterr().out


def test_a_softmax_without_its_maximum_is_seen_and_left() -> None:
    lines = f"{SPLIT}\n    e = Exp((qh @ kt) * 0.25 + (1.0 - m) * -10000.0)"
    lines += f"\n    o = (e / ReduceSum(e, axes=(-1,), keepdims=1)) @ vh{JOIN}"
    (row,) = surveyed(lines).found
    assert (row.mask, row.dead_rows) == ("additive", "NaN")
    assert "no maximum is taken off" in (row.left or "")
    done = gw.optimize(gw.parse(f"def model({SIGNATURE}):\n    {lines}"))
    assert done.report.ok
    assert "Exp" in gw.show(done.graph)


@pytest.mark.parametrize("target", ["onnx", "ort"])
def test_a_mask_that_may_be_repeated_along_the_keys(target: str) -> None:
    given = "q: f32[B, 4, S, 8], k: f32[B, 4, T, 8], v: f32[B, 4, T, 8], m: bool[B, 1, 1, K]"
    scores = "q @ Transpose(k, perm=(0, 1, 3, 2))"
    before = gw.parse(
        f"def model({given}):\n    low = Where(m, f32(0.0), f32(-1e9))\n"
        f"    return Softmax({scores} + low, axis=-1) @ v"
    )
    before.header = Header(8, {"": 17})
    (row,) = gw.attentions(before).found
    assert (row.mask, row.left) == ("additive", None)
    done = gw.optimize(before, target=target)
    assert any(r.rule == "raise-attention" for r in done.report.rewrites)
    runtime, rng = Runtime(isolated=False), np.random.default_rng(0)
    for width in (1, 7):
        feed = {n: rng.standard_normal((2, 4, 7, 8)).astype(np.float32) for n in "qkv"}
        feed["m"] = rng.random((2, 1, 1, width)) < 0.5
        want, got = (runtime.evaluate(graph, [feed])[0][0] for graph in (before, done.graph))
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


def test_sizes_that_are_not_folded_are_no_part_of_it() -> None:
    lines = SPLIT.replace(
        "qh = Transpose(Reshape(q, i64([0, 0, 4, 16]))",
        """shape = Shape(Tanh(q))
    start = Slice(shape, i64([0]), i64([2]), i64([0]))
    qh = Transpose(Reshape(q, Concat(start, i64([4, 16]), axis=0))""",
    )
    graph = gw.parse(
        f"def model({SIGNATURE}):{lines}\n    o = Softmax(qh @ kt, axis=-1) @ vh{JOIN}"
    )
    graph.header = Header(8, {"": 17})
    done = gw.optimize(graph, skip=["fold-sizes"])
    assert done.report.ok
    assert any(r.rule == "raise-attention" for r in done.report.rewrites)


def test_linear_layers_whose_weights_are_stored_in_8_bits_are_none() -> None:
    text = """
def model(x: f32[B, S, 300]):
    up = Cast(weight("w", i8[300, 300]), to="f32") * 0.1
    down = Cast(weight("w", i8[300, 300]), to="f32") * 0.1
    return Sigmoid(x @ up) @ down"""
    weights = {"w": from_array(np.ones((300, 300), np.int8))}
    assert not gw.attentions(parse(text, weights)).found
