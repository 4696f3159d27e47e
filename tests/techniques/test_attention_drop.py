"""Attentions left out: the idle ones, in every way they are added, and with their caches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from tests.models import encoder
from tests.techniques.applying import applied
from tests.techniques.cached import decoder

import graphwright as gw
from graphwright.api import budget_for
from graphwright.backends.onnx.reference import evaluate64
from graphwright.driver import run_groups
from graphwright.frontends.onnx import from_proto
from graphwright.ir import parse
from graphwright.ir.const import Array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.passes.caches import in_use, with_less
from graphwright.passes.pipelines import BEFORE_TECHNIQUES
from graphwright.passes.technique import techniques
from graphwright.runtime import Runtime

ATTENTION = "Attention(h, h, h, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='')"
GIVEN = "x: f32[B, 2, S, 4]"
RNG = np.random.default_rng(2)


def small(body: str) -> Graph:
    lines = "\n    ".join(body.strip().splitlines())
    return parse(f"def layer({GIVEN}):\n    {lines}".replace("attention", ATTENTION))


def raised(layers: int) -> Graph:
    graph = from_proto(encoder(layers))
    with Runtime(isolated=False) as runtime:
        run_groups(graph, BEFORE_TECHNIQUES, budget_for(graph, runtime), None)
    return graph


def feed() -> dict[str, Array]:
    ids = RNG.integers(0, 23, (6, 7))
    mask = np.ones_like(ids)
    mask[2, 4:] = 0
    return {"input_ids": ids, "token_type_ids": ids % 2, "attention_mask": mask}


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("h = Tanh(x)\nreturn x + attention", "return x"),
        ("h = Tanh(x)\nreturn (attention * 2.0 + f32([1, 2, 3, 4])) + x", "return x"),
        ("h = Tanh(x)\nreturn x + (Sigmoid(h) + attention)", "h = Tanh(x)\nreturn x + Sigmoid(h)"),
        ("h = Tanh(x)\nreturn (attention + Sigmoid(h)) + x", "h = Tanh(x)\nreturn Sigmoid(h) + x"),
        ("h = x * 1.5\nreturn Tanh(x + attention)", "return Tanh(x)"),
    ],
)
def test_what_is_left_is_what_it_was_added_to(body: str, left: str) -> None:
    made = applied(small(body), "attention-drop", layers=(0,))
    assert (made.count, made.left, made.left_out) == (1, [], [])
    x = {"x": RNG.normal(size=(2, 2, 3, 4)).astype(np.float32)}
    (was,), (now,) = (evaluate64(graph, [x])[0] for graph in (small(left), made.graph))
    assert np.array_equal(was, now)
    assert not [node for node in made.graph.nodes() if node.op == "Attention"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("h = Tanh(x)\nreturn attention", "no stream"),
        ("h = Tanh(x)\nreturn attention + f32([1, 2, 3, 4])", "no stream"),
        ("h = Tanh(x)\ny = attention\nreturn x + y, y * 2.0", "others read"),
        ("h = Tanh(x)\nreturn x * attention", "no stream"),
    ],
)
def test_what_adds_to_no_stream_is_said(body: str, why: str) -> None:
    made = applied(small(body), "attention-drop", layers=(0,))
    assert made.count == 0
    assert any(why in said for said in made.left), made.left


def similarities(graph: Graph, given: dict[str, Array]) -> list[float]:
    """The mean cosine of each stream before and after its attention, by hand."""
    found = []
    for node in [n for n in graph.nodes() if n.op == "Attention"]:
        value = node.outputs[0]
        while True:
            (use,) = value.uses
            other = use.node.inputs[1 - use.index] if use.node.op == "Add" else None
            value = use.node.outputs[0]
            if other is not None and other.const is None:
                break
        part = Graph("taps", graph.inputs, graph.result)
        with Runtime(isolated=False) as runtime:
            from graphwright.ir.cut import cut

            taps = cut([other, value], part.inputs)
            names = {v.name: taps.inputs[i].name for i, v in enumerate(graph.inputs)}
            x, y = runtime.evaluate(taps, [{names[k]: a for k, a in given.items()}])[0]
        x, y = (a.reshape(-1, a.shape[-1]).astype(np.float64) for a in (x, y))
        found.append(
            float(np.mean((x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)))
        )
    return found


def test_the_most_idle_go_first() -> None:
    graph, given = raised(3), feed()
    order = np.argsort(-np.array(similarities(graph, given)))
    for number in (1, 2):
        made = applied(graph, "attention-drop", data=given, number=number).graph
        named = applied(graph, "attention-drop", layers=tuple(order[:number].tolist())).graph
        assert gw.show(made) == gw.show(named)


def test_a_sublayer_that_adds_nothing_goes_first_and_without_any_change() -> None:
    proto = encoder(3)
    weights = {w.name: w for w in proto.graph.initializer}
    sums = [n for n in proto.graph.node if n.op_type == "Add"]
    joined = [n for n in proto.graph.node if n.op_type == "Reshape" and len(n.input) == 2]
    mixing = [
        n
        for n in proto.graph.node
        if n.op_type == "MatMul" and n.input[0] in {j.output[0] for j in joined}
    ]
    product = mixing[1]
    bias = next(n for n in sums if product.output[0] in n.input)
    for name in (product.input[1], next(i for i in bias.input if i in weights)):
        zeros = np.zeros(weights[name].dims, np.float32)
        weights[name].CopyFrom(onnx.numpy_helper.from_array(zeros, name))
    given = feed()
    result = gw.optimize(from_proto(proto), apply=["attention-drop:number=1"], data=given)
    assert [each.count for each in result.report.applied] == [1]
    plain = gw.optimize(from_proto(proto)).graph
    with Runtime(isolated=False) as runtime:
        for was, now in zip(
            *(runtime.evaluate(g, [given])[0] for g in (plain, result.graph)), strict=True
        ):
            assert np.array_equal(was, now)
    assert len(gw.attentions(result.graph).found) == 2


def test_knobs_out_of_range_get_a_sentence() -> None:
    with pytest.raises(ModelError, match="0 attentions cannot be dropped"):
        techniques()["attention-drop"].contract(number=0)


def run(path: Path, given: dict[str, Array]) -> dict[str, Array]:
    session = ort.InferenceSession(str(path))
    names = [o.name for o in session.get_outputs()]
    taken = {i.name: given[i.name] for i in session.get_inputs()}
    return dict(zip(names, session.run(None, taken), strict=True))


@pytest.mark.parametrize("layer", [0, 1])
def test_a_cache_goes_with_its_attention(layer: int, tmp_path: Path) -> None:
    given = decoder(tmp_path / "model.onnx")
    result = gw.optimize(tmp_path / "model.onnx", apply=[f"attention-drop@layers={layer}"])
    assert result.report.ok
    for kind in ("key", "value"):
        assert (
            f"the model no longer takes 'past.{layer}.{kind}' nor gives 'present.{layer}.{kind}'"
            in result.report.notes
        )
    gw.save(result.graph, tmp_path / "less.onnx")
    before, after = run(tmp_path / "model.onnx", given), run(tmp_path / "less.onnx", given)
    other = 1 - layer
    assert set(after) == {"hidden", f"present.{other}.key", f"present.{other}.value"}
    if other == 0:
        assert np.allclose(before["present.0.key"], after["present.0.key"], atol=1e-6)


def test_caches_hold_the_heads_that_are_left(tmp_path: Path) -> None:
    given = decoder(tmp_path / "model.onnx", dead=(2, 3))
    result = gw.optimize(tmp_path / "model.onnx", apply=["head-pruning@heads=2,3"])
    assert result.report.ok
    assert "'past.0.key' and 'present.0.key' now hold 1 along axis 1: 0" in result.report.notes
    gw.save(result.graph, tmp_path / "less.onnx")
    narrow = {k: a[:, :1] if k.startswith("past") else a for k, a in given.items()}
    before, after = run(tmp_path / "model.onnx", given), run(tmp_path / "less.onnx", narrow)
    assert np.allclose(before["hidden"], after["hidden"], atol=1e-5), "dead heads make a difference"
    for name, array in after.items():
        wanted = before[name][:, :1] if name.startswith("present") else before[name]
        assert np.allclose(wanted, array, atol=1e-5), name
    assert (tmp_path / "less.onnx").stat().st_size < (tmp_path / "model.onnx").stat().st_size


def test_what_is_left_can_be_optimized_again(tmp_path: Path) -> None:
    decoder(tmp_path / "model.onnx")
    once = gw.optimize(tmp_path / "model.onnx", apply=["attention-drop@layers=0"])
    gw.save(once.graph, tmp_path / "once.onnx")
    twice = gw.optimize(tmp_path / "once.onnx", apply=["head-pruning@heads=0,1"])
    assert twice.report.ok
    assert "'past.1.key' and 'present.1.key' now hold 1 along axis 1: 1" in twice.report.notes


def test_both_at_once(tmp_path: Path) -> None:
    decoder(tmp_path / "model.onnx")
    asked = ["attention-drop@layers=0", "head-pruning@heads=0,1"]
    for order in (asked, asked[::-1]):
        result = gw.optimize(tmp_path / "model.onnx", apply=order)
        assert result.report.ok
        gw.save(result.graph, tmp_path / "both.onnx")
        session = ort.InferenceSession(str(tmp_path / "both.onnx"))
        assert [i.name for i in session.get_inputs()] == ["ids", "past.1.key", "past.1.value"]
        assert [i.shape[1] for i in session.get_inputs()[1:]] == [1, 1]


def test_caches_that_are_read_stay_as_they_are(tmp_path: Path) -> None:
    decoder(tmp_path / "model.onnx")
    graph = gw.load(tmp_path / "model.onnx")
    served = in_use(graph)
    assert served == {f"present.{layer}.{kind}" for layer in (0, 1) for kind in ("key", "value")}
    assert with_less(graph, served) == (graph, [])
