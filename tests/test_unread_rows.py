"""Rows that nobody reads are not computed, and what is read stays what it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.calling import Run, sentence
from tests.models import encoder

import graphwright as gw
from graphwright.backends.onnx.reference import evaluate64
from graphwright.frontends.onnx import from_proto
from graphwright.ir.const import from_array
from graphwright.ir.graph import Graph
from graphwright.ir.types import TensorType

LENGTHS = [[3, 5], [1, 2], [7, 7, 4]]


def pooled(*, layers: int = 2) -> Graph:
    """The first token of an encoder, and a classifier."""
    return _with(layers, [("Gather", ["hidden", "first"], {"axis": 1})], "f32", ["batch", 3])


def at_places(*, flat: bool) -> Graph:
    """Tokens that the user names, of a batch laid out flat or in each row one."""
    inputs = helper.make_tensor_value_info("at", TensorProto.INT64, ["M"] if flat else ["batch", 1])
    steps: list[Any] = [("GatherND", ["hidden", "at"], {"batch_dims": 1})]
    if flat:
        steps = [("Reshape", ["hidden", "flat"], {}), ("Gather", ["", "at"], {"axis": 0})]
    return _with(2, steps, "f32", ["M" if flat else "batch", 3], inputs)


def _with(layers: int, steps: Any, kind: str, shape: Any, given: Any = None) -> Graph:
    model = encoder(layers=layers)
    graph, last = model.graph, "hidden"
    for i, (op, inputs, attrs) in enumerate(steps):
        graph.node.append(helper.make_node(op, [x or last for x in inputs], [f"s{i}"], **attrs))
        last = f"s{i}"
    graph.node.append(helper.make_node("MatMul", [last, "w"], ["scores"]))
    weights = np.random.default_rng(3).normal(size=(8, 3)).astype(np.float32)
    for name, array in (("first", np.array(0)), ("flat", np.array([-1, 8])), ("w", weights)):
        graph.initializer.append(numpy_helper.from_array(array, name))
    if given is not None:
        graph.input.append(given)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, shape))
    return from_proto(model)


def rows_of_products(graph: Graph) -> list[Any]:
    """The sizes of the axis of tokens of all products with weights, from the first to the last."""
    found = []
    for node in graph.nodes():
        weights = node.inputs[1] if node.op == "MatMul" else None
        result = node.outputs[0].type
        if weights is not None and weights.const is not None and isinstance(result, TensorType):
            found.append((result.shape or ())[-2])
    return found


def feeds(rng: Any, lengths: list[int], padding: str) -> dict[str, Any]:
    batch, longest = len(lengths), max(lengths) + 1
    mask = np.zeros((batch, longest), np.int64)
    for row, length in enumerate(lengths):
        start = 0 if padding == "right" else longest - length
        mask[row, start : start + length] = 1
        if padding == "middle":
            mask[row, start + length // 2] = 0
    return {
        "input_ids": rng.integers(0, 23, mask.shape),
        "token_type_ids": rng.integers(0, 2, mask.shape),
        "attention_mask": mask,
    }


@pytest.mark.parametrize(
    "make", [pooled, lambda: at_places(flat=True), lambda: at_places(flat=False)]
)
def test_the_last_block_is_computed_for_what_is_read(make: Any) -> None:
    before = make()
    result = gw.optimize(before)
    assert result.report.ok
    assert [r.count for r in result.report.rewrites if r.rule == "move-rows"] == [1]
    rows = rows_of_products(result.graph)
    assert [str(r) for r in rows[:6]] == ["seq"] * 6  # the first block
    assert all(str(r) != "seq" for r in rows[-3:])
    assert sum(str(r) == "seq" for r in rows) < len(rows) - 3


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("padding", ["left", "right", "middle"])
def test_the_last_token_is_what_the_whole_model_says_of_it(
    lengths: list[int], padding: str
) -> None:
    graph = from_proto(encoder(layers=2))
    asked = gw.with_outputs(gw.with_last_token(graph), ["logits_last"])
    after = gw.optimize(asked, verify=False).graph
    feed = feeds(np.random.default_rng(1), lengths, padding)
    _, logits = evaluate64(graph, [feed])[0]
    (last,) = evaluate64(after, [feed])[0]
    mask = feed["attention_mask"]
    at = np.where(mask.any(1), mask.shape[1] - 1 - mask[:, ::-1].argmax(1), 0)
    np.testing.assert_allclose(last, logits[np.arange(len(lengths)), at], rtol=1e-6, atol=1e-8)
    assert [str(r) for r in rows_of_products(after)[-4:]] == ["1"] * 4


def test_what_is_read_twice_is_computed_once() -> None:
    """Hidden states that are an output are computed for all tokens, and the rows taken of them."""
    graph = from_proto(encoder(layers=1))
    asked = gw.with_outputs(gw.with_last_token(graph), ["hidden", "logits_last"])
    after = gw.optimize(asked)
    assert after.report.ok
    assert [str(r) for r in rows_of_products(after.graph)][-2:] == ["seq", "1"]


def test_without_a_mask_the_last_position_is_the_last() -> None:
    graph = gw.parse(
        """
def g(x: f32[B, S, 4], ids: i64[B, S]):
    e = Gather(weight("t", f32[9, 4]), ids, axis=0)
    y = x + e
    return y""",
        {"t": from_array(np.random.default_rng(2).normal(size=(9, 4)).astype(np.float32))},
    )
    made = gw.with_last_token(graph)
    assert made.result.attrs["names"] == ("y", "y_last")
    feed = {"x": np.ones((2, 3, 4), np.float32), "ids": np.array([[1, 2, 3], [4, 5, 6]])}
    y, last = evaluate64(made, [feed])[0]
    np.testing.assert_array_equal(last, y[:, -1])


def test_outputs_are_chosen_on_the_command_line(tmp_path: Path, graphwright: Run) -> None:
    path, out = tmp_path / "m.onnx", tmp_path / "o.onnx"
    onnx.save(encoder(), path)
    asked = ("--last-token", "--outputs", "logits_last")
    status, _, said = graphwright("optimize", path, "-o", out, *asked)
    assert status == 0, said
    model = onnx.load(out)
    assert [o.name for o in model.graph.output] == ["logits_last"]
    assert [i.name for i in model.graph.input] == ["input_ids", "token_type_ids", "attention_mask"]
    status, _, said = graphwright("optimize", path, "--outputs", "logit")
    assert status == 2
    assert "no output 'logit'; did you mean 'logits'?" in sentence(said, "graphwright")


def test_a_model_without_tokens_has_no_last_one() -> None:
    graph = gw.parse("def g(x: f32[B, 4]):\n    y = Tanh(x)\n    return y")
    with pytest.raises(gw.ModelError, match="no axis of tokens"):
        gw.with_last_token(graph)


def test_a_mask_of_tokens_that_were_before_says_nothing_of_the_last() -> None:
    graph = gw.parse(
        """
def g(x: i64[B, S], mask: bool[B, P+S], past: f32[B, P, 2]):
    e = Gather(f32([[1, 2], [3, 4]]), x, axis=0)
    y = Concat(past, e, axis=1)
    z = Where(Unsqueeze(mask, axes=(2,)), y, 0.0)
    return e, z"""
    )
    with pytest.raises(gw.ModelError, match="the mask is for P"):
        gw.with_last_token(graph)
