"""The driver: where rules are tried, in which order, what is noted, and that it can be undone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.backends.onnx.reference import evaluate64
from graphwright.driver import input_sizes
from graphwright.ir.clone import clone
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import apply, constant, return_node
from graphwright.ir.parse import parse
from graphwright.ir.problems import problems
from graphwright.ir.text import show
from graphwright.ir.types import TensorType
from graphwright.passes.application import any_node
from graphwright.passes.pattern import Erf, Exp, Pattern, Sigmoid, Tanh, var
from graphwright.passes.pipelines import DEFAULT
from graphwright.passes.rewrite import Application, Group, NotConverging, rewrite, undo
from graphwright.passes.rule import Budget, Builder, Exact, Match, Replacement, Rule, Sweep, need

x, y = var("x"), var("y")
Build = Callable[[Match, Builder], Value]


def no_runtime(node: Node) -> np.ndarray:
    raise ModelError("nothing is run here")


def made(name: str, pattern: Pattern, build: Build, may_share: bool = False) -> Rule:
    return Rule(name, "x  ->  x", pattern, Exact(), build, (), may_share)


def run(graph: Graph, *rules: Rule | Sweep, producers_first: bool = False) -> list[Application]:
    return rewrite(graph, Group("a group", rules, producers_first), budget(graph))


def budget(graph: Graph) -> Budget:
    return Budget(no_runtime, sizes=input_sizes(graph))


def graph_of(body: str, given: str = "x: f32[B, 8]") -> Graph:
    *lines, last = body.split("; ")
    return parse("\n    ".join([f"def example({given}):", *lines, f"return {last}"]))


def operators(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes()]


OUTER = made("fuse-outer", Tanh(Erf(x)), lambda m, op: op.Sin(m.x))
INNER = made("fuse-inner", Erf(Exp(x)), lambda m, op: op.Cos(m.x))


def test_readers_come_first_so_that_what_covers_more_wins() -> None:
    graph = graph_of("Tanh(Erf(Exp(x)))")
    run(graph, INNER, OUTER)
    assert operators(graph) == ["Exp", "Sin"]


def test_producers_come_first_where_a_group_says_so() -> None:
    graph = graph_of("Tanh(Erf(Exp(x)))")
    run(graph, INNER, OUTER, producers_first=True)
    assert operators(graph) == ["Cos", "Tanh"]


def test_the_farthest_end_of_a_sum_wins() -> None:
    rule = made("fuse-sum", Erf(x) + y | Erf(x), lambda m, op: op.Sin(m.x) if m.y else op.Cos(m.x))
    graph = graph_of("Erf(x) + y", "x: f32[B, 8], y: f32[B, 8]")
    run(graph, rule)
    assert operators(graph) == ["Sin"]


def test_what_is_banned_is_not_done_but_what_it_hid_is() -> None:
    graph = graph_of("Tanh(Erf(Exp(x)))")
    (result,) = graph.outputs
    group = Group("a group", (INNER, OUTER))
    assert result is not None
    rewrite(graph, group, budget(graph), {("fuse-outer", result)})
    assert operators(graph) == ["Cos", "Tanh"]


def test_a_value_that_others_read_is_not_worked_over_twice() -> None:
    graph = graph_of("e = Erf(x); Tanh(e) + e")
    assert not run(graph, OUTER)
    assert run(graph, made("fuse-outer", Tanh(Erf(x)), OUTER.build, may_share=True))
    assert operators(graph) == ["Erf", "Sin", "Add"]


def test_two_rules_that_undo_each_other_are_named() -> None:
    there = made("move-there", Tanh(x), lambda m, op: op.Sigmoid(m.x))
    back = made("move-back", Sigmoid(x), lambda m, op: op.Tanh(m.x))
    with pytest.raises(NotConverging, match=r"'a group' .*move-\w+, move-\w+"):
        run(graph_of("Tanh(x)"), there, back)


def test_a_late_refusal_leaves_no_trace() -> None:
    def build(m: Match, op: Builder) -> Value:
        made = op.Cos(op.Sin(m.x))
        need(False, "too late")
        return made

    graph = graph_of("Tanh(x)")
    text, uses = show(graph), len(graph.inputs[0].uses)
    assert not run(graph, made("fuse-late", Tanh(x), build))
    assert show(graph) == text
    assert len(graph.inputs[0].uses) == uses


def test_what_was_made_in_vain_leaves_no_trace() -> None:
    def build(m: Match, op: Builder) -> Value:
        op.Cos(op.Sin(m.x))
        return op.Sigmoid(m.x)

    graph = graph_of("Tanh(x)")
    (done,) = run(graph, made("fuse-vain", Tanh(x), build))
    assert [node.op for node in done.made] == ["Sigmoid"]
    assert len(graph.inputs[0].uses) == 1
    assert not list(problems(graph))


def test_a_replacement_that_cannot_be_typed_is_a_refusal() -> None:
    rule = made("fuse-wrong", Tanh(x), lambda m, op: op.MatMul(m.x, m.x))
    assert not run(graph_of("Tanh(x)", "x: f32[2, 3]"), rule)
    rule = made("fuse-wrong", Tanh(x), lambda m, op: op.Transpose(m.x, perm=(1, 0)))
    assert not run(graph_of("Tanh(x)", "x: f32[2, 3]"), rule)


def test_an_error_in_a_rule_is_no_refusal() -> None:
    rule = made("fuse-broken", Tanh(x), lambda m, op: m.nothing + 1)
    with pytest.raises(TypeError):
        run(graph_of("Tanh(x)"), rule)


def test_an_application_says_what_was_done() -> None:
    graph = graph_of("Tanh(Erf(x * 2.0))")
    product = graph.nodes()[0].outputs[0]
    (done,) = run(graph, OUTER)
    assert done.rule == "fuse-outer"
    assert done.leaves == (product,)
    assert [n.op for n in done.matched] == ["Tanh", "Erf"]
    assert [n.op for n in done.made] == ["Sin"]
    assert all(done.reads[n] == n.operands() for n in (*done.matched, *done.made))
    (made_node,) = done.made
    assert made_node.origin.rules == ("fuse-outer",)
    assert made_node.place == done.change.old.producer.place  # type: ignore[union-attr]


def test_a_chain_of_any_length_is_one_rewrite_after_another() -> None:
    rule = made("drop-pair", Tanh(Tanh(x)), lambda m, op: m.x)
    for first in (False, True):
        graph = graph_of("; ".join(["t = Tanh(x)", *["t = Tanh(t)"] * 20, "t"]))
        assert len(run(graph, rule, producers_first=first)) == 10
        assert operators(graph) == ["Tanh"]


def test_a_sweep_replaces_what_it_yields() -> None:
    def sweep(graph: Graph) -> Iterator[Replacement]:
        for node in graph.nodes():
            if node.op == "Tanh" and node.inputs[0] is not None:
                yield Replacement(node.outputs[0], node.inputs[0])

    rule = Sweep("drop-tanh", "Tanh(x)  ->  x", Exact(), sweep, ())
    graph = graph_of("Tanh(Erf(Tanh(x)))")
    assert [a.rule for a in run(graph, rule)] == ["drop-tanh"] * 2
    assert operators(graph) == ["Erf"]


def test_rules_run_again_after_a_sweep() -> None:
    def sweep(graph: Graph) -> Iterator[Replacement]:
        for node in graph.nodes():
            if node.op == "Sigmoid" and node.inputs[0] is not None:
                yield Replacement(node.outputs[0], node.inputs[0])

    rule = Sweep("drop-sigmoid", "Sigmoid(x)  ->  x", Exact(), sweep, ())
    for first in (False, True):
        graph = graph_of("Tanh(Sigmoid(Erf(x)))")
        run(graph, OUTER, rule, producers_first=first)
        assert operators(graph) == ["Sin"]


def test_nodes_that_are_kept_though_unread_stay() -> None:
    graph = graph_of("Tanh(x)")
    extra = apply("Erf", graph.inputs[0])
    graph.kept = (extra,)
    run(graph, made("move-tanh", Tanh(x), lambda m, op: op.Cos(op.Erf(m.x))))
    assert sorted(operators(graph)) == ["Cos", "Erf", "Erf"]


def test_time_is_linear_in_readers() -> None:
    """Were it quadratic in the readers of one value, this would take minutes."""
    given = Value(TensorType("f32", (8,)), name="x")
    top = apply("Erf", given).outputs[0]
    level = [apply("Mul", apply("Identity", top).outputs[0], i + 2.0) for i in range(10_000)]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        joined = [apply("Add", a.outputs[0], b.outputs[0]) for a, b in pairs]
        level = joined + level[2 * len(joined) :]
    graph = Graph("wide", (given,), return_node(level[0].outputs, ["y"]))
    start = time.process_time()
    for group in DEFAULT:
        rewrite(graph, group, budget(graph))
    assert time.process_time() - start < 15
    assert operators(graph).count("Identity") == 0


STEPS = (
    "Identity({a})",
    "Tanh({a})",
    "-{a}",
    "{a} * 1.0",
    "{a} + {b}",
    "{a} * {b}",
    "Transpose({a}, perm=(1, 0))",
    'Cast({a}, to="f64")',
    "Reshape({a}, i64([4, 4]))",
    "Unsqueeze({a}, axes=(0,))",
    "Squeeze({a}, axes=(0,))",
    "0.5 * {a} * (1.0 + Erf({a} / 1.4142135))",
    "{a} * Sigmoid({a})",
    "f32(2.0) * f32(0.5) * {a}",
    "Where(bool(True), {a}, {b})",
)


@st.composite
def programs(draw: st.DrawFn) -> Graph:
    """Random graphs of operators that rules speak of; a step that does not fit is left out."""
    lines = ["def example(x: f32[4, 4], y: f32[4, 4]):"]
    known = ["x", "y"]
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=12)):
        a, b = draw(st.sampled_from(known)), draw(st.sampled_from(known))
        name = f"t{len(lines)}"
        line = f"    {name} = {step.format(a=a, b=b)}"
        try:
            parse("\n".join([*lines, line, f"    return {name}"]))
        except TypeError:
            continue
        lines.append(line)
        known.append(name)
    shown = draw(st.lists(st.sampled_from(known), min_size=1, max_size=2))
    return parse("\n".join([*lines, f"    return {', '.join([known[-1], *shown])}"]))


@settings(max_examples=60, deadline=None)
@given(programs())
def test_a_second_run_finds_nothing(graph: Graph) -> None:
    for group in DEFAULT:
        rewrite(graph, group, budget(graph))
        again = rewrite(graph, group, budget(graph))
        assert not again, f"{[a.rule for a in again]} were overlooked in\n{show(graph)}"
    assert not list(problems(graph))


@settings(max_examples=60, deadline=None)
@given(programs())
def test_the_function_stays_what_it_was(graph: Graph) -> None:
    before = clone(graph)
    for group in DEFAULT:
        rewrite(graph, group, budget(graph))
    rng = np.random.default_rng(0)
    feed = {v.name: rng.normal(0, 1, (4, 4)).astype(np.float32) for v in graph.inputs}
    for old, new in zip(*(evaluate64(g, [feed])[0] for g in (before, graph)), strict=True):
        np.testing.assert_allclose(new, old, 1e-5, 1e-5)


@settings(max_examples=60, deadline=None)
@given(programs(), st.integers(0, 40))
def test_any_number_of_rewrites_can_be_undone(graph: Graph, count: int) -> None:
    texts = [show(graph)]
    done: list[Application] = []
    for group in DEFAULT:
        done += rewrite(graph, group, budget(graph), progress=lambda: texts.append(show(graph)))
    keep = max(0, len(done) - count)
    undo(done[keep:])
    assert show(graph) == texts[keep]
    assert not list(problems(graph))


@settings(max_examples=60, deadline=None)
@given(programs())
def test_the_nodes_that_stand_are_known_without_looking(graph: Graph) -> None:
    nodes = graph.reachable()
    for group in DEFAULT:
        rewrite(graph, group, budget(graph), nodes=nodes)
        assert sorted(map(id, nodes)) == sorted(map(id, graph.reachable()))
        rank = {node: i for i, node in enumerate(nodes)}
        read = [(v.producer, n) for n in nodes for v in n.operands() if v is not None]
        assert all(rank[maker] < rank[reader] for maker, reader in read if maker is not None)


def test_any_node_may_be_any_output() -> None:
    graph = graph_of("a, b = Split(x, split=(4, 4), axis=1); a + b")
    rule = made("move-second", any_node("Split", of=x), _second, may_share=True)
    run(graph, rule)
    assert operators(graph) == ["Split", "Slice", "Cos", "Add"]


def _second(m: Match, op: Builder) -> Value:
    need(m.root is m.node.outputs[1], "it is the first")
    return op.Cos(op.Slice(m.x, *[constant([n], "i64") for n in (4, 8, 1)]))
