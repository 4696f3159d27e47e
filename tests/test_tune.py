"""What `--tune` measures decides which lowerings stay, and the file says what was measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest

import graphwright as gw
from graphwright.ir.graph import Graph, Header
from graphwright.runtime import Runtime

TEXT = """
def model(x: f32[B, S, 32]):
    h = Transpose(Reshape(x, i64([0, 0, 4, 8])), perm=(0, 2, 1, 3))
    y = Softmax((h @ Transpose(h, perm=(0, 1, 3, 2))) * 0.5, axis=-1) @ h
    return Gelu(Reshape(Transpose(y, perm=(0, 2, 1, 3)), i64([0, 0, 32])), approximate="none")
"""
MHA = "com.microsoft::MultiHeadAttention"


def model() -> Graph:
    graph = gw.parse(TEXT)
    graph.header = Header(8, {"": 17})
    return graph


def operators(graph: Graph) -> set[str]:
    return {node.op for node in graph.nodes()}


def clocks(slow: str) -> Any:
    """A runtime on which graphs with the operator `slow` take twice as long as others."""

    def interleaved(
        self: Runtime, graphs: Sequence[Graph], feed: object, runs: int, seconds: float
    ) -> list[list[float]]:
        return [[2.0 if slow in operators(graph) else 1.0] * 5 for graph in graphs]

    return interleaved


@pytest.mark.parametrize(("slow", "kept"), [(MHA, False), ("Softmax", True)])
def test_what_is_slower_is_left_out(
    slow: str, kept: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Runtime, "interleaved", clocks(slow))
    result = gw.optimize(model(), target="ort", tune=True)
    assert result.report.ok
    assert (MHA in operators(result.graph)) == kept
    measured = {each.rule: each for each in result.report.measured}
    assert measured["lower-attention-ort"].kept == kept
    assert measured["lower-gelu"].kept
    gw.save(result.graph, tmp_path / "tuned.onnx")
    notes = {p.key: p.value for p in onnx.load(tmp_path / "tuned.onnx").metadata_props}
    said = {m["rule"]: m for m in json.loads(notes["graphwright.tuned"])["measured"]}
    assert said["lower-attention-ort"]["speedup"] == (2.0 if kept else 0.5)
    assert result.report.as_json()["measured"][0]["inputs"] == said["lower-gelu"]["inputs"]


def test_what_was_noted_before_is_said_anew(tmp_path: Path) -> None:
    first = gw.optimize(model(), target="ort", tune=True)
    gw.save(first.graph, tmp_path / "one.onnx")
    second = gw.optimize(tmp_path / "one.onnx", target="ort", tune=True)
    gw.save(second.graph, tmp_path / "two.onnx")
    keys = [p.key for p in onnx.load(tmp_path / "two.onnx").metadata_props]
    assert keys.count("graphwright.tuned") == 1


def test_nothing_is_measured_unasked() -> None:
    result = gw.optimize(model(), target="ort")
    assert result.report.measured == ()
    assert MHA in operators(result.graph)
