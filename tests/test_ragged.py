"""Padding left out: real tokens are what they were, and padded ones are zeros."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tests.calling import Run, sentence
from tests.models import encoder
from tests.test_unread_rows import feeds, rows_of_products

import graphwright as gw
from graphwright.api import Result
from graphwright.backends.onnx.reference import evaluate64
from graphwright.frontends.onnx import from_proto
from graphwright.ir.graph import Graph
from graphwright.outputs import with_zero_padding

RNG = np.random.default_rng(5)


def hidden(layers: int = 2) -> Graph:
    return gw.with_outputs(from_proto(encoder(layers=layers)), ["hidden"])


@pytest.fixture(scope="module")
def ragged() -> Result:
    return gw.optimize(hidden(), ragged=True)


def test_each_attention_and_all_products_are_for_real_tokens(ragged: Result) -> None:
    counts = {r.rule: r.count for r in ragged.report.rewrites}
    assert ragged.report.ok
    assert not ragged.report.left_out
    assert counts["drop-hidden-tokens"] == 2
    assert {str(rows) for rows in rows_of_products(ragged.graph)} == {"_counted"}


@pytest.mark.parametrize("lengths", [[3, 5], [1, 2], [7, 7, 4], [6]], ids=str)
@pytest.mark.parametrize("padding", ["left", "right", "middle"])
def test_real_tokens_are_what_they_were_and_others_zeros(
    ragged: Result, lengths: list[int], padding: str
) -> None:
    feed = feeds(np.random.default_rng(1), lengths, padding)
    (want,) = evaluate64(hidden(), [feed])[0]
    (have,) = evaluate64(ragged.graph, [feed])[0]
    real = feed["attention_mask"] == 1
    np.testing.assert_allclose(have[real], want[real], rtol=1e-6, atol=1e-7)
    assert not have[~real].any()


def test_a_batch_without_any_token_is_zeros(ragged: Result) -> None:
    feed = feeds(np.random.default_rng(1), [2, 3], "right")
    feed["attention_mask"][:] = 0
    (have,) = evaluate64(ragged.graph, [feed])[0]
    assert have.shape == (2, 4, 8)
    assert not have.any()


@given(data=st.data())
@settings(max_examples=30)
def test_packed_and_laid_out_again_is_zeros_where_nothing_counts(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 6)))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=24, max_size=24)))
    mask = np.resize(mask, shape)
    graph = gw.parse(
        """
def g(x: f32[B, S, 3], mask: bool[B, S]):
    y = Tanh(Where(Unsqueeze(mask, axes=(2,)), x, x))
    return y"""
    )
    x = RNG.normal(size=(*shape, 3)).astype(np.float32)
    (have,) = evaluate64(with_zero_padding(graph), [{"x": x, "mask": mask}])[0]
    np.testing.assert_array_equal(have, np.where(mask[..., None], np.tanh(x.astype(np.float64)), 0))


def unmasked() -> Graph:
    """An encoder whose attention sees padding, since its mask hides nothing."""
    model = encoder(layers=1)
    lowest = next(n for n in model.graph.node if n.name == "mask")
    zero = onnx.numpy_helper.from_array(np.array(0, np.float32), "zero")
    model.graph.initializer.append(zero)
    lowest.input[1] = "zero"
    return gw.with_outputs(from_proto(model), ["hidden"])


def test_tokens_that_an_attention_sees_stay() -> None:
    result = gw.optimize(unmasked(), ragged=True)
    assert result.report.ok
    assert {r.rule for r in result.report.left_out} <= {"drop-hidden-tokens", "drop-key-bias"}
    assert "drop-hidden-tokens" not in {r.rule for r in result.report.rewrites}


def neighbours(op: str) -> Graph:
    """Tokens that meet the others beside the attention."""
    model = encoder(layers=1)
    graph = model.graph
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(1), "one"))
    chain: dict[str, list[Any]] = {
        "running sum": [("CumSum", ["hidden", "one"], {})],
        "mean": [
            ("ReduceMean", ["hidden"], {"axes": [1]}),
            ("Add", ["hidden", "s0"], {}),
        ],
        "softmax": [("Softmax", ["hidden"], {"axis": 1})],
    }
    for i, (kind, inputs, attrs) in enumerate(chain[op]):
        last = i == len(chain[op]) - 1
        graph.node.append(helper.make_node(kind, inputs, ["mixed" if last else f"s{i}"], **attrs))
    shape = ["batch", "seq", 8]
    graph.output.append(helper.make_tensor_value_info("mixed", TensorProto.FLOAT, shape))
    return gw.with_outputs(from_proto(model), ["mixed"])


@pytest.mark.parametrize("op", ["running sum", "mean", "softmax"])
def test_what_mixes_tokens_sees_padding_as_before(op: str) -> None:
    graph = neighbours(op)
    result = gw.optimize(graph, ragged=True)
    assert result.report.ok
    assert "drop-hidden-tokens" not in {r.rule for r in result.report.rewrites}
    feed = feeds(np.random.default_rng(1), [3, 5], "right")
    (want,) = evaluate64(graph, [feed])[0]
    (have,) = evaluate64(result.graph, [feed])[0]
    real = feed["attention_mask"] == 1
    np.testing.assert_allclose(have[real], want[real], rtol=1e-6, atol=1e-7)


def test_a_model_without_a_mask_has_no_padding() -> None:
    graph = gw.parse("def g(x: f32[B, S, 4]):\n    y = Tanh(x)\n    return y")
    with pytest.raises(gw.ModelError, match="no axis of tokens"):
        gw.optimize(graph, ragged=True)


def test_ragged_on_the_command_line(tmp_path: Path, optimize: Run) -> None:
    path, out = tmp_path / "m.onnx", tmp_path / "o.onnx"
    onnx.save(encoder(layers=1), path)
    status, said, error = optimize(path, "-o", out, "--ragged", "--outputs", "hidden")
    assert status == 0, error
    assert "drop-hidden-tokens" in said
    pool = tmp_path / "p.onnx"
    model = encoder(layers=1)
    for op in ("hidden", "logits"):
        model.graph.node.append(
            helper.make_node("ReduceMean", [op], [f"{op}_mean"], axes=[1], keepdims=0)
        )
    del model.graph.output[:]
    model.graph.output.append(
        helper.make_tensor_value_info("hidden_mean", TensorProto.FLOAT, ["batch", 8])
    )
    onnx.save(model, pool)
    status, _, error = optimize(pool, "--ragged")
    assert status == 2
    assert "no output of the model has the axes of its tokens" in sentence(error)
