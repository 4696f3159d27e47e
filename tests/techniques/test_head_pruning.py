"""Heads cut out: the model is the one whose heads are masked, and smaller by all they needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.models import encoder
from tests.techniques.applying import applied

import graphwright as gw
from graphwright.backends.onnx.reference import evaluate64
from graphwright.ir import parse
from graphwright.ir.clone import clone
from graphwright.ir.const import Array, from_array
from graphwright.ir.contracts import Tolerance
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import apply
from graphwright.ir.problems import problems
from graphwright.passes.narrow.heads import heads_of
from graphwright.passes.weights import computed
from graphwright.verification.feeds import make_feeds
from graphwright.verification.judge import holds

RNG = np.random.default_rng(11)
PLAIN = "scale=0.5, cap=0.0, filler=-inf, guard=0, precision=''"


@dataclass(frozen=True)
class Form:
    """One way to write four heads of width 3 and a model of width 8, and how to mix them."""

    name: str
    given: str
    body: str
    weights: dict[str, tuple[int, ...]]
    gone: tuple[int, ...] = (1, 2)
    left: dict[str, tuple[int, ...]] = field(default_factory=dict)


def split(x: str, heads: int = 4) -> str:
    return f"Transpose(Reshape({x}, i64([0, 0, {heads}, 3])), perm=(0, 2, 1, 3))"


JOINED = "z = Reshape(Transpose(y, perm=(0, 2, 1, 3)), i64([0, 0, 12]))"
SEPARATE = {"wq": (8, 12), "wk": (8, 12), "wv": (8, 12), "wo": (12, 8)}
X = "x: f32[B, S, 8]"
FORMS = [
    Form(
        "separate, with biases",
        f"{X}, m: bool[B, 1, 1, S]",
        f"""
        q = {split("x @ wq + bq")}
        k = {split("x @ wk")}
        v = {split("x @ wv + bv")}
        y = Attention(q, k, v, None, m, {PLAIN})
        {JOINED}
        return z @ wo + bo""",
        {**SEPARATE, "bq": (12,), "bv": (12,), "bo": (8,)},
        left={"wq": (8, 6), "wk": (8, 6), "wv": (8, 6), "wo": (6, 8), "bq": (6,), "bv": (6,)},
    ),
    Form(
        "packed and split",
        X,
        f"""
        a = Linear(x, w, b, transposed=1)
        q, k, v = Split(a, split=(12, 12, 12), axis=2)
        y = Attention({split("q")}, {split("k")}, {split("v")}, {PLAIN})
        {JOINED}
        return Linear(z, wo, bo, transposed=1)""",
        {"w": (36, 8), "b": (36,), "wo": (8, 12), "bo": (8,)},
        left={"w": (6, 8), "b": (6,), "wo": (8, 6)},
    ),
    Form(
        "packed by head",
        X,
        f"""
        a = Transpose(Reshape(x @ w, i64([0, 0, 4, 3, 3])), perm=(3, 0, 2, 1, 4))
        q = Gather(a, i64(0), axis=0)
        k = Gather(a, i64(1), axis=0)
        v = Gather(a, i64(2), axis=0)
        y = Attention(q, k, v, {PLAIN})
        {JOINED}
        return z @ wo""",
        {"w": (8, 36), "wo": (12, 8)},
        left={"w": (8, 18), "wo": (6, 8)},
    ),
    Form(
        "shared keys",
        X,
        f"""
        q = {split("x @ wq")}
        k = {split("x @ wk", 2)}
        v = {split("x @ wv", 2)}
        y = Attention(q, k, v, {PLAIN})
        {JOINED}
        return z @ wo""",
        {**SEPARATE, "wk": (8, 6), "wv": (8, 6)},
        gone=(2, 3),
        left={"wq": (8, 6), "wk": (8, 3), "wv": (8, 3), "wo": (6, 8)},
    ),
    Form(
        "as many of each group",
        X,
        f"""
        q = {split("x @ wq")}
        k = {split("x @ wk", 2)}
        v = {split("x @ wv", 2)}
        y = Attention(q, k, v, {PLAIN})
        {JOINED}
        return z @ wo""",
        {**SEPARATE, "wk": (8, 6), "wv": (8, 6)},
        gone=(0, 3),
        left={"wq": (8, 6), "wk": (8, 6), "wv": (8, 6), "wo": (6, 8)},
    ),
    Form(
        "turned, normalized, with a bias for each head and a sink",
        f"{X}, cos: f32[S, 2], sin: f32[S, 2]",
        f"""
        q0 = {split("x @ wq")}
        k0 = {split("x @ wk")}
        q1 = RMSNormalization(q0, g, axis=-1, epsilon=1e-5)
        q = RotaryEmbedding(q1, cos, sin, interleaved=0, width=2)
        k = RotaryEmbedding(k0, cos, sin, interleaved=0, width=2)
        y = Attention(q, k, {split("x @ wv")}, r, None, s, {PLAIN})
        {JOINED}
        return z @ wo""",
        {**SEPARATE, "g": (3,), "r": (1, 4, 1, 1), "s": (1, 4, 1, 1)},
        left={"wq": (8, 6), "wo": (6, 8), "r": (1, 2, 1, 1), "s": (1, 2, 1, 1)},
    ),
    Form(
        "gated, and mixed by Einsum",
        X,
        f"""
        y = Attention({split("x @ wq")}, {split("x @ wk")}, {split("x @ wv")}, {PLAIN})
        g = Sigmoid({split("x @ wg")})
        return Einsum(y * g, wo, equation="bhse,hed->bsd")""",
        {**SEPARATE, "wg": (8, 12), "wo": (4, 3, 8)},
        left={"wq": (8, 6), "wg": (8, 6), "wo": (2, 3, 8)},
    ),
]


def model(form: Form) -> Graph:
    found = {
        name: from_array(RNG.normal(size=shape).astype(np.float32))
        for name, shape in form.weights.items()
    }
    body = form.body
    for name, const in found.items():
        body = replaced(body, name, f"weight('{name}', f32{list(const.type.shape or ())})")
    return parse(f"def attention({form.given}):\n{body}".replace("        ", "    "), found)


def replaced(body: str, name: str, by: str) -> str:
    import re

    return re.sub(rf"\b{name}\b", by, body)


def attention(graph: Graph) -> Node:
    (found,) = [node for node in graph.nodes() if node.op == "Attention"]
    return found


def masked(graph: Graph, gone: tuple[int, ...]) -> Graph:
    """The graph whose output projection does not see some heads."""
    made = clone(graph)
    heads = heads_of(attention(made))
    data = np.moveaxis(computed(heads.weight).copy(), heads.beside, 0)
    data[np.isin(heads.owners, gone)] = 0
    const = from_array(np.moveaxis(data, 0, heads.beside).copy())
    operands = list(heads.product.inputs)
    operands[1 - heads.at] = Value(const.type, const=const)
    old = heads.product.outputs[0]
    made.replace(old, apply(heads.product.op, *operands, **heads.product.attrs).outputs[0])
    return made


def assert_same(one: Graph, other: Graph) -> None:
    feeds = make_feeds(one)[:2]
    for a, b in zip(evaluate64(one, feeds), evaluate64(other, feeds), strict=True):
        for before, after in zip(a, b, strict=True):
            verdict = holds(Tolerance(), before, after, before)
            assert verdict.ok, verdict.why


def shapes(graph: Graph) -> list[tuple[object, ...]]:
    read = {v for n in graph.nodes() for v in n.inputs if v is not None and v.const is not None}
    return sorted(
        (v.const.type.shape or () for v in read if v.const and v.const.type.dtype == "f32"), key=str
    )


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_cut_model_is_the_one_whose_heads_are_masked(form: Form) -> None:
    graph = model(form)
    made = applied(graph, "head-pruning", heads=form.gone)
    assert (made.count, made.left, made.left_out) == (1, [], [])
    assert not list(problems(made.graph))
    assert_same(masked(graph, form.gone), made.graph)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_all_that_only_the_heads_needed_goes(form: Form) -> None:
    graph = model(form)
    made = applied(graph, "head-pruning", heads=form.gone).graph
    found = shapes(made)
    for name, shape in form.left.items():
        assert shape in found, f"{name} is not {shape}: {found}"
    assert sum(map(np.prod, found)) < sum(map(np.prod, shapes(graph)))
    assert sum(n.op in ("Slice", "Gather") for n in made.nodes()) <= sum(
        n.op in ("Slice", "Gather") for n in graph.nodes()
    ), "heads are picked out of what is computed in full"


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_heads_that_add_nothing_go_without_any_change(form: Form) -> None:
    graph = masked(model(form), form.gone)
    assert_same(graph, applied(graph, "head-pruning", heads=form.gone).graph)


def data(graph: Graph) -> dict[str, Array]:
    return {"x": RNG.normal(size=(6, 5, 8)).astype(np.float32)}


def test_the_score_is_what_the_output_changes_by() -> None:
    form = FORMS[1]
    graph = model(form)
    given = data(graph)
    (whole,) = evaluate64(graph, [given])[0]
    changes = [
        np.linalg.norm(whole - evaluate64(masked(graph, (head,)), [given])[0][0])
        for head in range(4)
    ]
    for count in (1, 2, 3):
        made = applied(graph, "head-pruning", data=given, share=count / 4).graph
        least = tuple(sorted(np.argsort(changes)[:count].tolist()))
        assert_same(masked(graph, least), made)


def test_groups_of_heads_are_weighed_together() -> None:
    graph = model(FORMS[3])
    given = data(graph)
    (whole,) = evaluate64(graph, [given])[0]
    changes = [
        np.linalg.norm(whole - evaluate64(masked(graph, gone), [given])[0][0])
        for gone in ((0, 1), (2, 3))
    ]
    made = applied(graph, "head-pruning", data=given, share=0.5).graph
    assert_same(masked(graph, ((0, 1), (2, 3))[int(np.argmin(changes))]), made)


@pytest.mark.parametrize(
    ("form", "heads", "why"),
    [
        (FORMS[0], (0, 1, 2, 3), "one head has to stay"),
        (FORMS[0], (4,), "it has 4 heads, and none is numbered 4"),
        (FORMS[3], (0, 2, 3), ""),
        (FORMS[3], (1,), "have to go together, or as many of each group"),
    ],
)
def test_what_cannot_be_cut_is_said(form: Form, heads: tuple[int, ...], why: str) -> None:
    graph = model(form)
    made = applied(graph, "head-pruning", heads=heads)
    if not why:
        assert_same(masked(graph, heads), made.graph)
        return
    assert made.count == 0
    assert any(why in said for said in made.left), made.left


def test_too_small_a_share_is_said() -> None:
    graph = model(FORMS[0])
    given = {**data(graph), "m": np.ones((6, 1, 1, 5), bool)}
    made = applied(graph, "head-pruning", data=given, share=0.2)
    assert made.left == ["a share of 0.2 of its 4 heads is none"]


def test_what_others_read_is_not_computed_twice() -> None:
    text = FORMS[3].body.replace("return z @ wo", "return z @ wo, k")
    graph = model(Form("", X, text, FORMS[3].weights))
    made = applied(graph, "head-pruning", heads=(0, 1)).graph
    assert_same(masked(graph, (0, 1)), made)
    products = [node for node in made.nodes() if node.op == "MatMul"]
    assert len(products) == 4, "the keys are projected twice"
    assert (8, 6) in shapes(made)
    assert (8, 3) in shapes(made)


def test_cut_heads_may_be_cut_again() -> None:
    graph = model(FORMS[0])
    once = applied(graph, "head-pruning", heads=(1,)).graph
    twice = applied(once, "head-pruning", heads=(1,)).graph  # of those that are left
    assert_same(masked(graph, (1, 2)), twice)


def test_normalizers_that_tell_heads_apart_are_cut_with_them() -> None:
    graph = model(FORMS[0])
    other = applied(graph, "log2-softmax", heads=(0, 3), bits=3).graph
    assert_same(masked(other, (1, 3)), applied(other, "head-pruning", heads=(1, 3)).graph)
    first = applied(graph, "head-pruning", heads=(1, 2)).graph
    assert_same(
        applied(first, "log2-softmax", bits=3).graph,
        applied(applied(graph, "log2-softmax", bits=3).graph, "head-pruning", heads=(1, 2)).graph,
    )


def test_masks_and_cuts_in_either_order_are_one_model() -> None:
    graph = model(FORMS[1])
    one = applied(applied(graph, "semi-structured-pruning").graph, "head-pruning", heads=(2,)).graph
    assert_same(masked(applied(graph, "semi-structured-pruning").graph, (2,)), one)


def test_a_whole_model_becomes_smaller(tmp_path: Path) -> None:
    onnx.save(encoder(2, width=64, heads=4), tmp_path / "model.onnx")
    result = gw.optimize(tmp_path / "model.onnx", apply=["head-pruning@heads=0,3"])
    assert [(each.technique, each.count) for each in result.report.applied] == [("head-pruning", 2)]
    gw.save(result.graph, tmp_path / "cut.onnx")
    assert (tmp_path / "cut.onnx").stat().st_size < (tmp_path / "model.onnx").stat().st_size
    again = gw.attentions(tmp_path / "cut.onnx")
    assert [each.heads for each in again.found] == [2, 2]
