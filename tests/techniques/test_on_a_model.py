"""What is no normalizer on a whole model: a file that runs, and why where it does not apply."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tests.models import encoder

import graphwright as gw
from graphwright.frontends.onnx import from_proto
from graphwright.passes.technique import techniques

IDS = np.arange(24).reshape(4, 6) % 20
DATA = {"input_ids": IDS, "token_type_ids": IDS * 0, "attention_mask": np.tri(4, 6, 3, np.int64)}


OTHERS = [each.name for each in techniques().values() if each.formula is None]
"""Normalizers have a test of their own."""


@pytest.mark.parametrize("name", OTHERS)
def test_it_gives_a_file_that_runs(name: str, tmp_path: Path) -> None:
    result = gw.optimize(from_proto(encoder(2)), apply=[name], data=DATA)
    (done,) = result.report.applied
    assert result.report.ok
    assert not result.report.left_out
    assert done.count or done.left
    assert all(why for _, why in done.left)
    gw.save(result.graph, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for found in session.run(None, DATA):
        assert np.isfinite(found).all()


@pytest.mark.parametrize("name", ["sliding-window", "dynamic-mask", "doubly-stochastic"])
@pytest.mark.parametrize("how", [{"target": "ort"}, {"functions": True}], ids=str)
def test_it_is_the_same_on_every_target(name: str, how: dict[str, Any]) -> None:
    graph = from_proto(encoder(1))
    plain, other = (gw.optimize(graph, apply=[name], data=DATA, **each) for each in ({}, how))
    assert plain.report.ok
    assert other.report.ok
    assert gw.verify(plain.graph, other.graph, DATA).ok
