"""Causal models that go on from kept keys and values: what they give, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from tests.calling import Run, sentence
from tests.causal_models import DEPTH, KINDS, WIDTH, WORDS, Kind, decoder

import graphwright as gw
from graphwright.frontends.onnx import from_proto
from graphwright.incrementing import PREFILL, STEP, Incremental
from graphwright.passes.incremental.rows import depending
from graphwright.passes.shapes import shape_of

PROMPT, NEW = 6, 64


@cache
def made(name: str) -> Incremental:
    return gw.incremental(from_proto(decoder(KINDS[name])))


def session(model: Any) -> Any:
    given = model if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(given, providers=["CPUExecutionProvider"])


def run(model: Any, feed: dict[str, Any]) -> dict[str, Any]:
    taken = {i.name for i in model.get_inputs()}
    found = model.run(None, {n: a for n, a in feed.items() if n in taken})
    return dict(zip((o.name for o in model.get_outputs()), found, strict=True))


def kept(found: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Keys and values under the names that the next step takes."""
    now = {n.replace("present", "past_key_values"): a for n, a in found.items() if "present" in n}
    return {**before, **now}


@pytest.mark.parametrize("name", KINDS)
def test_64_greedy_steps_give_what_the_whole_model_gives(name: str, tmp_path: Path) -> None:
    """One row is padded on the left, so that positions and masks go on as well."""
    found = made(name)
    assert found.verified is not None
    assert found.verified.ok, found.verified.why
    prefill, step = map(session, gw.save_incremental(found, tmp_path / "out"))
    rng = np.random.default_rng(0)
    ids = rng.integers(0, WORDS, (2, PROMPT))
    read = rng.normal(size=(2, 5, WIDTH)).astype(np.float32)
    mask = np.ones_like(ids)
    mask[1, : 2 if KINDS[name].masked else 0] = 0
    feed = {"input_ids": ids, "attention_mask": mask, "encoded": read}
    past: dict[str, Any] = {}
    logits = []
    for turn in range(NEW):
        out = run(step if turn else prefill, {**feed, **past})
        logits.append(out["logits"])
        past = kept(out, past)
        token = out["logits"][:, -1].argmax(-1)[:, None]
        ids, mask = np.hstack([ids, token]), np.hstack([mask, np.ones_like(token)])
        feed = {"input_ids": token, "attention_mask": mask}
    given = {"input_ids": ids[:, :-1], "attention_mask": mask[:, :-1], "encoded": read}
    want = run(session(decoder(KINDS[name])), given)["logits"]
    have, real = np.concatenate(logits, 1), mask[:, :-1] == 1
    assert np.abs(have - want)[real].max() <= 1e-5 * np.abs(want).max()
    np.testing.assert_array_equal(ids[:, PROMPT:], want[:, PROMPT - 1 :].argmax(-1))
    grown = [array.shape for name, array in past.items() if "encoder" not in name]
    assert set(grown) == {(2, KINDS[name].key_heads, PROMPT + NEW - 1, DEPTH)}


def test_a_step_without_a_past_is_a_prompt(tmp_path: Path) -> None:
    found = made("llama")
    prefill, step = map(session, gw.save_incremental(found, tmp_path))
    ids = np.random.default_rng(0).integers(0, WORDS, (2, PROMPT))
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    empty = {name: np.zeros((2, 2, 0, DEPTH), np.float32) for name in found.own}
    want, have = run(prefill, feed), run(step, {**feed, **empty})
    for name, array in want.items():
        np.testing.assert_allclose(have[name], array, rtol=1e-5, atol=1e-5)


def test_names_and_shapes_are_those_of_exports_with_a_cache() -> None:
    found = made("llama")
    names = [f"{i}.{what}" for i in range(2) for what in ("key", "value")]
    past = [f"past_key_values.{name}" for name in names]
    assert [v.name for v in found.step.inputs] == ["input_ids", "attention_mask", *past]
    for graph in (found.prefill, found.step):
        assert graph.result.attrs["names"] == ("logits", *(f"present.{name}" for name in names))
    shapes = [str(v.type) for v in found.step.inputs]
    assert shapes[:2] == ["i64[batch, seq]", "i64[batch, past_sequence_length+seq]"]
    assert set(shapes[2:]) == {f"f32[batch, 2, past_sequence_length, {DEPTH}]"}


def test_what_is_read_of_an_encoder_is_computed_once() -> None:
    found = made("t5")
    assert len(found.own) == len(found.other) == 4
    assert "encoded" not in {v.name for v in found.step.inputs}
    assert found.other[0] == "past_key_values.0.encoder.key"
    assert found.own[0] == "past_key_values.0.decoder.key"


def test_nothing_of_the_past_is_computed_again() -> None:
    """In a step all products with weights are of the new tokens."""
    step = made("mistral").step
    changing = depending(step, [v for v in step.inputs if v.name == "input_ids"])
    products = [n for n in step.nodes() if n.op in ("MatMul", "Gemm")]
    weighed = [n for n in products if any(v is not None and v.const for v in n.inputs)]
    assert len(weighed) == 2 * 6 + 1
    for node in weighed:
        assert node.outputs[0] in changing
        assert "past" not in str(shape_of(node.outputs[0]))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"mixes": "Conv"}, "Conv 'Conv_.*' mixes the tokens"),
        ({"mixes": "ReduceMean"}, "ReduceMean 'ReduceMean_.*' mixes the tokens"),
        ({"mixes": "CumSum"}, "CumSum 'CumSum_.*it mixes causally the tokens"),
        ({"mixes": "Softmax"}, "Softmax 'Softmax_.*it mixes the tokens"),
        ({"ahead": 1}, "Attention 'Softmax_.*lets tokens see later ones: its mask does not hide"),
        ({"ahead": 99}, "Attention 'Softmax_.*lets tokens see later ones: its mask does not hide"),
        ({"pooled": True}, "ReduceMean 'ReduceMean_.*' mixes the tokens"),
        ({"tokens": 6}, r"leaves open how many tokens there are \(6\)"),
    ],
    ids=str,
)
def test_what_mixes_tokens_otherwise_is_refused_by_name(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(gw.ModelError, match=why):
        gw.incremental(from_proto(decoder(replace(Kind(), **changes), layers=1)))


def test_a_model_that_has_a_past_is_refused() -> None:
    with pytest.raises(gw.ModelError, match="a past already"):
        gw.incremental(made("gpt2").step)


def test_incremental_on_the_command_line(tmp_path: Path, graphwright: Run) -> None:
    model, out = tmp_path / "m.onnx", tmp_path / "made" / "here"
    onnx.save(decoder(Kind(), layers=1), model)
    status, said, error = graphwright("incremental", model, "-o", out)
    assert status == 0, error
    assert {path.name for path in out.iterdir()} == {PREFILL, STEP}
    assert "past_key_values.0.key … past_key_values.0.value, 2 in all" in said
    onnx.save(decoder(Kind(mixes="Conv"), layers=1), model)
    status, _, error = graphwright("incremental", model, "-o", tmp_path / "other")
    assert status == 2
    assert "Conv" in sentence(error, "graphwright")
    assert not (tmp_path / "other").exists()
    status, _, error = graphwright("incremental", model, "-o", model)
    assert status == 2
    assert "is a file; name a folder" in sentence(error, "graphwright")
