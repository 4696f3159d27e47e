"""Sizes have one name where operators prove them equal, and keep theirs where none does."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graphwright as gw
from graphwright import Graph
from graphwright.ir.dims import Dim, joint, sym
from graphwright.ir.equalities import learn, proofs
from graphwright.ir.errors import ModelError
from graphwright.ir.problems import problems
from graphwright.ir.renaming import one_name_each, readable_sizes
from graphwright.ir.substitution import evaluate
from graphwright.ir.types import TensorType
from graphwright.runtime import Runtime

B, S, T = sym("B"), sym("S"), sym("T")
Feed = dict[str, Any]


def resolved(text: str, dim: Dim) -> Dim:
    """What a size is, by what the operators of a graph prove."""
    graph = gw.parse(text)
    known = proofs(readable_sizes(graph))
    learn(graph.reachable(), known)
    return known.resolve(dim)


def model(given: str, *lines: str) -> str:
    """The text of a graph, whose last line is what it returns."""
    *before, last = lines
    return "\n    ".join([f"def model({given}):", *before, f"return {last}"])


XY = "x: f32[B, S], y: f32[T, 4]"
ONE_LONGER = "x: f32[B, S], y: f32[T, B], one: f32[B, 1], row: f32[1, B]"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (XY, "x @ y"),
        ("x: f32[S], y: f32[T]", "x @ y"),
        ("x: f32[2, B, S], y: f32[T, 4]", "x @ y"),
        (XY, "Gemm(x, y, alpha=1.0, beta=1.0, transA=0, transB=0)"),
        ("x: f32[S, B], y: f32[4, T]", "Gemm(x, y, alpha=1.0, beta=1.0, transA=1, transB=1)"),
        (
            "x: f32[S, B], y: f32[4, T]",
            'call("com.microsoft::FusedMatMul", x, y, transA=1, transB=1)',
        ),
        ("x: f32[B, S], y: f32[T, 4]", "Linear(x, y, f32([1, 2, 3, 4]), transposed=0)"),
        ("x: f32[2, S], y: f32[4, T]", "Concat(x, y, axis=0)"),
        ("x: f32[S, 4], z: f32[T]", "Reshape(x, Sizes(dims=(T, 4)), allowzero=1)"),
        ("x: f32[S, 4], z: f32[T]", "Reshape(x, Sizes(dims=(2*T, 2)), allowzero=1)"),
        ("q: f32[B, 2, 3, 8], k: f32[B, 2, S, 8], v: f32[B, 2, T, 8]", "Attention(q, k, v)"),
        (ONE_LONGER, "Concat(x, one, axis=1) @ Concat(y, row, axis=0)"),
        (ONE_LONGER, "Concat(x, x, axis=1) @ Concat(y, y, axis=0)"),
        ("x: f32[S+2], y: f32[T+2], s: f32[S], t: f32[T]", "x + y"),
        (
            "x: f32[S+2], y: f32[T+2], s: f32[S], t: f32[T]",
            'Einsum(x, y, equation="i,i->i")',
        ),
    ],
)
def test_what_operators_prove(given: str, made: str) -> None:
    first, other = (T, S) if given.index("T") < given.index("S") else (S, T)
    assert resolved(model(given, made), other) == first


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("x: f32[S], y: f32[T]", "x + y"),
        ("x: f32[S], y: f32[T]", "Where(Equal(x, y), x, y)"),
        ("x: f32[S+1], y: f32[T+1], s: f32[S], t: f32[T]", "x * y"),
        ("x: f32[S+2], y: f32[T], s: f32[S]", "x * y"),
        ("x: f32[S, 2, 3], y: f32[T, 3, 4]", "x @ y"),
        ("x: f32[2, S], y: f32[T, 3]", 'Einsum(x, y, equation="ij,jk->ik")'),
        ("x: f32[S, B], y: f32[T, B]", "Concat(x, y, axis=0)"),
        ("x: f32[S, 4], z: f32[T]", "Reshape(x, Sizes(dims=(T, 4)), allowzero=0)"),
        ("x: f32[S, B], z: f32[T]", "Reshape(x, Sizes(dims=(T, B)), allowzero=1)"),
        ("x: f32[S, 4], z: f32[T]", "Reshape(x, Sizes(dims=(T, -1)), allowzero=1)"),
        ("x: f32[S], z: f32[T]", "Expand(x, Sizes(dims=(T,)))"),
        ("x: f32[S, B], y: f32[T, B]", "x @ Transpose(y, perm=(1, 0))"),
    ],
)
def test_what_they_do_not(given: str, made: str) -> None:
    text = model(given, made)
    assert resolved(text, S) == S
    assert resolved(text, T) == T


def test_a_number_is_proved_too() -> None:
    assert resolved(model("x: f32[B, S], w: f32[64, 4]", "x @ w"), S) == 64
    assert resolved(model("x: f32[B, S]", "a, b = Split(x, axis=1, split=(2, 3))", "a"), S) == 5


def test_what_may_not_run_proves_nothing() -> None:
    body = "    def b(x: f32[B, S], y: f32[T, 4]):\n        return x @ y\n"
    text = f"def model(c: bool, x: f32[B, S], y: f32[T, 4]):\n{body}"
    text += "    def e(x: f32[B, S], y: f32[T, 4]):\n        return f32([[1.0]])\n"
    text += "    return If(c, captures=(x, y), then_branch=b, else_branch=e)"
    assert resolved(text, T) == T


def test_a_name_of_an_input_is_kept_and_of_those_the_first() -> None:
    text = model("y: f32[T, 4], x: f32[B, S], z: f32[B, U]", "a = x @ y", "a, z @ y")
    assert [resolved(text, sym(name)) for name in "STU"] == [T, T, T]
    inner = model(
        "x: f32[B, S], p: i64[4]", "y: f32[B, _7] = Pad(x, p)", "y @ Transpose(x, perm=(1, 0))"
    )
    assert resolved(inner, sym("_7")) == S


def test_a_sum_stands_for_a_name_and_never_a_difference() -> None:
    text = model(
        "past: f32[B, S], new: f32[B, 1], mask: f32[T, 4]", "Concat(past, new, axis=1) @ mask"
    )
    assert resolved(text, T) == S + 1
    assert resolved(text, S) == S
    open_ = model("mask: f32[T, 4], a: f32[B, _1+1]", "a @ mask")
    assert resolved(open_, T) == T  # `_1` is T-1, which no size is for sure


def test_where_two_met_that_are_equal_after_all() -> None:
    text = model("x: f32[B, S], m: f32[B, T], v: f32[S, 4]", "(x + m) @ v")
    assert resolved(text, joint(S, T)) == S
    assert resolved(text, T) == T  # it may be 1
    assert resolved(text, sym("U")) == sym("U")


def test_what_cannot_be_is_no_proof() -> None:
    text = model("x: f32[B, S], v: f32[3, 4], w: f32[5, 4]", "a = x @ v", "a, x @ w")
    assert resolved(text, S) in (3, 5)
    assert resolved(model("x: f32[B, S+2], s: f32[S], v: f32[1, 4]", "x @ v"), S) == S


CACHED = model(
    "q: f32[B, 2, 8], pk: f32[B, S, 8], pv: f32[B, T, 8], k: f32[B, 2, 8], v: f32[B, 2, 8]",
    "ks = Concat(pk, k, axis=1)",
    "vs = Concat(pv, v, axis=1)",
    "p = Softmax((q @ Transpose(ks, perm=(0, 2, 1))) * 0.5, axis=-1)",
    "n = Gather(Shape(vs), i64([1]), axis=0)",
    "w = Reshape(vs, Concat(Shape(q, start=0, end=1), n, i64([2, 4]), axis=0))",
    "o = p @ Reshape(w, Concat(Shape(q, start=0, end=1), n, i64([8]), axis=0))",
    "{'o': o, 'vs': vs, 'n': n}",
)
MASKED = model(
    "x: f32[B, S, 8], m: f32[C, U, T], v: f32[B, S, 8]",
    "scores = x @ Transpose(x, perm=(0, 2, 1))",
    "p = Softmax(scores + (1.0 - m) * -10000.0, axis=-1)",
    "{'o': p @ v, 'sizes': Concat(Shape(p), Shape(m), axis=0)}",
)
APART = model(
    "x: f32[B, S], y: f32[C, T]",
    "z = (x + y) * 2.0",
    "{'z': z * 0.5, 'sizes': Shape(Where(Equal(z, z), x, y))}",
)
UNFLAT = model(
    "x: f32[B, 4], y: f32[C, 2]",
    "both = Reshape(x, Concat(Shape(y, start=0, end=1), i64([-1, 2]), axis=0), allowzero=1)",
    "w = both * Unsqueeze(Unsqueeze(ReduceSum(y, axes=(1,), keepdims=0), axes=(1,)), axes=(2,))",
    "{'w': w, 'sizes': Shape(both)}",
)


def feeds(graph: Graph, most: int) -> list[Feed]:
    """Inputs for every choice of sizes up to `most`, 0 included."""
    names = readable_sizes(graph)
    found: list[Feed] = []
    rng = np.random.default_rng(0)
    for choice in product(range(most + 1), repeat=len(names)):
        sizes = dict(zip(names, choice, strict=True))
        feed: Feed = {}
        for value in graph.inputs:
            assert isinstance(value.type, TensorType)
            shape = [evaluate(dim, sizes) for dim in value.type.shape or ()]
            feed[value.name] = rng.standard_normal(shape).astype(np.float32)
        found.append(feed)
    return found


@pytest.mark.parametrize("text", [CACHED, MASKED, APART, UNFLAT])
def test_whatever_ran_runs_on_and_gives_the_same(text: str) -> None:
    graph = gw.parse(text)
    with Runtime(isolated=False) as runtime:
        after = gw.optimize(graph, verify=False).graph
        assert not list(problems(after))
        ran = 0
        for feed in feeds(graph, 2):
            try:
                (expected,) = runtime.evaluate(graph, [feed])
            except ModelError:
                continue
            ran += 1
            (given,) = runtime.evaluate(after, [feed])
            for one, other in zip(expected, given, strict=True):
                np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
    assert ran > 4


def test_the_signature_stays_as_it_was_written(tmp_path: Path) -> None:
    before, after = tmp_path / "before.onnx", tmp_path / "after.onnx"
    gw.save(gw.parse(CACHED), before)
    graph = gw.optimize(before, verify=False).graph
    gw.save(graph, after)
    said = [onnx.load(path).graph.input for path in (before, after)]
    assert [str(i) for i in said[0]] == [str(i) for i in said[1]]
    assert str(graph.inputs[2].type) == "f32[B, T, 8]"
    weights = next(n for n in graph.nodes() if n.op == "Softmax").outputs[0]
    assert str(weights.type) == "f32[B, 1, 2, S+2]"
    gw.save(gw.optimize(gw.parse(CACHED), verify=False).graph, after)
    assert [str(i) for i in onnx.load(after).graph.input] == [str(i) for i in said[0]]


def test_rewrites_can_be_taken_back_all_the_same() -> None:
    graph = gw.parse(CACHED)
    done = gw.optimize(graph, verify=False)
    feed = next(f for f in feeds(graph, 2) if f["pk"].shape == f["pv"].shape == (1, 2, 8))
    with Runtime(isolated=False) as runtime:
        (expected,) = runtime.evaluate(graph, [feed])
        for application, _ in reversed(done.log.kept):
            application.change.undo()
            assert not list(problems(done.graph))
            (given,) = runtime.evaluate(done.graph, [feed])
            for one, other in zip(expected, given, strict=True):
                np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


def test_inside_all_of_a_graph_speaks_of_the_same_sizes() -> None:
    graph = gw.parse("""
        def model(c: bool, x: f32[B, S], y: f32[T, 4]):
            def one(x: f32[B, S], y: f32[T, 4]):
                return Sizes(dims=(T, 1))
            def other(x: f32[B, S], y: f32[T, 4]):
                return Sizes(dims=(T, 1))
            n = If(c, captures=(x, y), then_branch=one, else_branch=other)
            return x @ y, n, Shape(y)
    """)
    with one_name_each(graph):
        assert str(graph.inputs[2].type) == "f32[S, 4]"
        said = [n.attrs["dims"] for _, n in graph.walk() if n.op == "Sizes"]
        assert said == [(S, 1), (S, 1)]
        assert [str(p.inputs[1].type) for p in graph.parts()][1:] == ["f32[S, 4]"] * 2
        shape = graph.outputs[2]
        assert shape is not None
        assert shape.contents == (S, 4)
    assert str(graph.inputs[2].type) == "f32[T, 4]"


ATTENTION = "q: f32[B, Q, 16], k: f32[B, S, 16], v: f32[B, T, 16]"


def test_keys_and_values_of_two_names_are_of_one_attention() -> None:
    kt = "kt = Transpose(k, perm=(0, 2, 1))"
    (row,) = gw.attentions(gw.parse(model(ATTENTION, kt, "Softmax(q @ kt, axis=-1) @ v"))).found
    assert (row.heads, row.head_width) == (1, 16)


def test_a_batch_that_may_be_one_is_no_proof_of_another() -> None:
    given = ATTENTION.replace("v: f32[B", "v: f32[C")
    text = model(given, "p = Softmax(q @ Transpose(k, perm=(0, 2, 1)), axis=-1)", "p @ v")
    graph = gw.parse(text)
    assert gw.attentions(graph).missed
    assert str(graph.outputs[0].type if graph.outputs[0] else None) == "f32[joint(B, C), Q, 16]"
