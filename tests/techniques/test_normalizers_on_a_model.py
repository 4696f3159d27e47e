"""Each normalizer on a whole encoder with padding: applied, checked, written, and run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from tests.models import encoder

import graphwright as gw
from graphwright.ir.const import Array
from graphwright.passes.technique import techniques

NAMES = [each.name for each in techniques().values() if each.formula is not None]
RNG = np.random.default_rng(0)
FEED = {
    "input_ids": RNG.integers(0, 23, (3, 11)),
    "token_type_ids": np.zeros((3, 11), np.int64),
    "attention_mask": (np.arange(11) < np.array([11, 7, 1])[:, None]).astype(np.int64),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("model") / "encoder.onnx"
    onnx.save(encoder(layers=2), found)
    return found


def run(path: Path, folder: Path, *apply: str) -> tuple[list[Array], list[list[str]], list[int]]:
    """What the model gives after techniques, and of each why it left places and how many not."""
    result = gw.optimize(path, apply=apply)
    assert result.report.ok
    assert not result.report.left_out
    out = folder / "out.onnx"
    gw.save(result.graph, out)
    names = {v.name for v in onnx.load(out).graph.input}
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    outputs = session.run(None, {k: v for k, v in FEED.items() if k in names})
    assert all(np.isfinite(o).all() for o in outputs)
    left = [[why for _, why in each.left] for each in result.report.applied]
    return outputs, left, [each.count for each in result.report.applied]


def test_each_applies_to_a_layer_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "deep.onnx"
    onnx.save(encoder(layers=len(NAMES)), path)
    _, left, counts = run(path, tmp_path, *(f"{n}@layers={i}" for i, n in enumerate(NAMES)))
    assert dict(zip(NAMES, counts, strict=True)) == dict.fromkeys(NAMES, 1)
    assert not any(left)


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_it_applies_to_every_attention(name: str, path: Path, tmp_path: Path) -> None:
    _, left, counts = run(path, tmp_path, name)
    assert counts == [2]
    assert left == [[]]


@pytest.mark.parametrize("name", ["two-pass-softmax", "unified-max-softmax", "clipped-softmax"])
def test_what_is_neutral_keeps_the_outputs(name: str, path: Path, tmp_path: Path) -> None:
    plain, _, _ = run(path, tmp_path)
    found, _, _ = run(path, tmp_path, f"{name}:gamma=0.0" if name == "clipped-softmax" else name)
    for a, b in zip(plain, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_two_on_different_layers_are_free_in_order(path: Path, tmp_path: Path) -> None:
    two = ["log2-softmax:bits=3@layers=0", "binarized-softmax@layers=1"]
    one, _, counts = run(path, tmp_path, *two)
    other, _, _ = run(path, tmp_path, *reversed(two))
    alone, _, _ = run(path, tmp_path, two[0])
    assert counts == [1, 1]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not all(np.allclose(a, b) for a, b in zip(one, alone, strict=True))


def test_two_on_different_heads_are_free_in_order(path: Path, tmp_path: Path) -> None:
    two = ["log2-softmax:bits=3@heads=0", "binarized-softmax@heads=1"]
    one, left, counts = run(path, tmp_path, *two)
    other, _, _ = run(path, tmp_path, *reversed(two))
    assert counts == [2, 2]
    assert left == [[], []]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    for alone in two:
        found, _, _ = run(path, tmp_path, alone)
        assert not all(np.allclose(a, b) for a, b in zip(one, found, strict=True))


def test_two_on_one_head_are_refused_with_the_reason(path: Path, tmp_path: Path) -> None:
    _, left, counts = run(path, tmp_path, "log2-softmax@heads=1", "stablemax@layers=0")
    assert counts == [2, 0]
    assert left == [[], ["the softmax of head 1 is replaced already"]]


def test_two_on_one_layer_are_refused_with_the_reason(path: Path, tmp_path: Path) -> None:
    _, left, counts = run(path, tmp_path, "log2-softmax", "stablemax@layers=0")
    assert counts == [2, 0]
    assert left == [[], ["its softmax is replaced already"]]


def test_heads_that_were_not_asked_for_keep_softmax(path: Path, tmp_path: Path) -> None:
    plain, _, _ = run(path, tmp_path)
    neutral, _, counts = run(path, tmp_path, "clipped-softmax:gamma=0.0@heads=1")
    changed, _, _ = run(path, tmp_path, "clipped-softmax:gamma=-0.5@heads=1")
    assert counts == [2]
    for a, b in zip(plain, neutral, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert not all(np.allclose(a, b) for a, b in zip(plain, changed, strict=True))


def test_only_what_was_left_is_said_to_be_left(path: Path) -> None:
    result = gw.optimize(path, apply=["log2-softmax@layers=0", "log2-softmax@layers=0-1"])
    first, second = result.report.applied
    assert (first.count, len(first.left)) == (1, 0)
    assert (second.count, len(second.left)) == (1, 1)
