"""Attentions of every shape with another normalizer than softmax are raised, and stay the same."""

from __future__ import annotations

import pytest
from tests.attention_shapes import Form, forms, write

import graphwright as gw
from graphwright.frontends.onnx import from_proto
from graphwright.ir.graph import Graph, Value
from graphwright.ir.normalizers import BODY, body, inlined
from graphwright.ir.ops import node_of
from graphwright.ir.types import TensorType

NORMALIZERS = (
    "e = Relu(s) * Relu(s)\ne / (ReduceSum(e) + 0.01)",
    "Sigmoid(s - 1.0)",
    "Min(Max(Softmax(s) * 1.03 - 0.03, 0.0), 1.0)",
    "p = Softmax(s)\nkept = Where(p > 0.1, p, 0.0)\nkept / ReduceSum(kept)",
    "e = Softplus(s)\ne / ReduceSum(e)",
    "Pow(Softmax(Tanh(s) * 4.0), 1.5)",
)
EVERY = 37  # of the forms one is run by default
FULL = 7
HALF = "in half precision it matters in which order it is added up"


def chosen(every: int) -> list[tuple[Form, str]]:
    """Forms with a plain softmax, each with another normalizer."""
    plain = [f for f in forms(2200) if f.softmax in ("last", "upcast") and f.opset != "13"]
    return [(form, NORMALIZERS[i % len(NORMALIZERS)]) for i, form in enumerate(plain[::every])]


def model(form: Form, formula: str) -> Graph:
    """The attention of that form, its softmax replaced."""
    graph = from_proto(write(form).model)
    (softmax,) = (node for node in graph.nodes() if node.op == "Softmax")
    scores = softmax.inputs[0]
    assert scores is not None
    assert isinstance(scores.type, TensorType)

    def make(op: str, *inputs: Value | float | None, **attrs: object) -> Value:
        return node_of(op, inputs, attrs).outputs[0]  # type: ignore[arg-type]  # they are a body's

    graph.replace(softmax.outputs[0], inlined(make, body(formula, scores.type), scores))
    return graph


def holds(form: Form, formula: str) -> None:
    graph = model(form, formula)
    done = gw.optimize(graph, functions=True)
    assert done.report.ok, done.report.verified
    assert not done.report.left_out
    raised = [node for node in done.graph.nodes() if node.op == "Attention"]
    if not raised:  # as little as with a softmax
        assert form.kind == "f16"
        (row,) = gw.attentions(graph).found
        assert row.left in (HALF, "its soft cap bends more than the product of queries and keys")
        return
    assert BODY in raised[0].bodies
    assert gw.optimize(graph, target="ort").report.ok


@pytest.mark.parametrize(("form", "formula"), chosen(EVERY), ids=str)
def test_it_is_raised_and_stays_what_it_was(form: Form, formula: str) -> None:
    holds(form, formula)


@pytest.mark.full
@pytest.mark.parametrize(("form", "formula"), chosen(FULL), ids=str)
def test_all_are_raised_and_stay_what_they_were(form: Form, formula: str) -> None:
    holds(form, formula)
