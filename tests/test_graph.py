"""Graphs stay sound under every edit, and edits are undone without a trace."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphwright.ir import parse, show
from graphwright.ir.dims import sym
from graphwright.ir.graph import Change, Graph, Node, Use, Value, drop_unread
from graphwright.ir.ops import apply, constant, return_node
from graphwright.ir.problems import problems
from graphwright.ir.provenance import Origin
from graphwright.ir.types import TensorType

SQUARE = TensorType("f32", (4, 4))
BINARY = ["Add", "Sub", "Mul", "MatMul"]
UNARY = ["Tanh", "Neg", "Relu", "call"]


def value_of(draw: Any, values: list[Value]) -> Value:
    return (
        draw(st.sampled_from(values))
        if draw(st.integers(0, 8))
        else constant([[1.0] * 4] * 4, "f32")
    )


def node_of(draw: Any, values: list[Value], place: float) -> Node:
    """A node that reads some of the values, and gives one of the same type."""
    if draw(st.booleans()):
        read = [value_of(draw, values), value_of(draw, values)]
        node = apply(draw(st.sampled_from(BINARY)), *read, place=place)
    else:
        op = draw(st.sampled_from(UNARY))
        name = "foo::Bar" if op == "call" else op
        node = apply(name, value_of(draw, values), count=1 + (op == "call"), place=place)
        for output in node.outputs:
            output.type = SQUARE
    return node


@st.composite
def graphs(draw: Any) -> Graph:
    values = [Value(SQUARE, name=name) for name in draw(st.sampled_from(["x", "xy", "xyz"]))]
    inputs = tuple(values)
    nodes = []
    for i in range(draw(st.integers(1, 12))):
        place = draw(st.sampled_from([float(i), 0.0, -float(i)]))
        nodes.append(node_of(draw, values, place))
        values += nodes[-1].outputs
    results = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
    graph = Graph("g", inputs, return_node(results, [f"y{i}" for i in range(len(results))]))
    reached = set(graph.reachable())
    kept = []
    for node in reversed(nodes):
        if node in reached or any(v.uses for v in node.outputs):
            continue
        if draw(st.booleans()):
            kept.append(node)
        else:
            node.detach()
    graph.kept = tuple(reversed(kept))
    return graph


def values_of(graph: Graph) -> list[Value]:
    return [*graph.inputs, *(v for n in graph.nodes() for v in n.outputs)]


def before(graph: Graph, *values: Value) -> list[Value]:
    """The values that are not made of `values`, so that reading one instead makes no cycle."""
    made = set(values)
    for node in graph.nodes():
        if any(v in made for v in node.inputs):
            made.update(node.outputs)
    return [v for v in values_of(graph) if v not in made]


def replace(draw: Any, graph: Graph) -> Change | None:
    """Replace a value by another, by a new one made of that, or by one made of itself."""
    old = draw(st.sampled_from(values_of(graph)))
    others = before(graph, old)
    kind = draw(st.integers(0, 2))
    if kind == 0 and others:
        return graph.replace(old, draw(st.sampled_from(others)))
    if kind == 1 and others:
        return graph.replace(old, node_of(draw, others, 0.5).outputs[0])
    if kind == 2:
        node = apply("Tanh", old, place=0.5)
        return graph.replace(old, node.outputs[0], keep=[node]) if old.uses else None
    return None


@given(graphs(), st.data())
def test_every_replacement_leaves_the_graph_sound_and_is_undone(
    graph: Graph, data: st.DataObject
) -> None:
    assert list(problems(graph)) == []
    texts, changes = [show(graph)], []
    for _ in range(data.draw(st.integers(1, 4))):
        change = replace(data.draw, graph)
        if change is not None:
            changes.append(change)
            texts.append(show(graph))
        assert list(problems(graph)) == []
    for change in reversed(changes):
        assert show(graph) == texts.pop()
        change.undo()
        assert list(problems(graph)) == []
    assert show(graph) == texts.pop()


@given(graphs(), st.data())
def test_replacements_that_were_undone_are_redone(graph: Graph, data: st.DataObject) -> None:
    changes = [c for _ in range(3) if (c := replace(data.draw, graph)) is not None]
    text = show(graph)
    for change in reversed(changes):
        change.undo()
    for change in changes:
        change.redo()
        assert list(problems(graph)) == []
    assert show(graph) == text


@given(graphs(), st.data())
def test_reading_something_else_leaves_the_graph_sound(graph: Graph, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 5))):
        node = data.draw(st.sampled_from([*graph.nodes(), graph.result]))
        index = data.draw(st.integers(0, len(node.inputs) - 1))
        others = before(graph, *node.outputs)
        if not others:
            continue
        old = node.inputs[index]
        node.set_input(index, data.draw(st.sampled_from(others)))
        assert old is not None
        drop_unread(old, graph.kept)
        assert list(problems(graph)) == []


@given(graphs())
def test_nodes_stand_after_what_they_read(graph: Graph) -> None:
    seen: set[Node] = set()
    for node in graph.nodes():
        assert all(v is None or v.producer is None or v.producer in seen for v in node.inputs)
        assert node not in seen
        seen.add(node)
    assert set(graph.kept) <= seen == set(graph.reachable())


def test_nodes_stand_in_the_order_of_their_places_where_that_is_legal() -> None:
    graph = parse("def f(x: f32[2]):\n    a = Tanh(x)\n    b = Exp(x)\n    return a + b")
    a, b, _ = graph.nodes()
    a.place, b.place = b.place, a.place
    assert [n.op for n in graph.nodes()] == ["Exp", "Tanh", "Add"]
    b.place, a.place = 9.0, 8.0
    assert [n.op for n in graph.nodes()] == ["Tanh", "Exp", "Add"]


def test_a_graph_may_be_deep() -> None:
    value = x = Value(SQUARE, name="x")
    for i in range(50_000):
        value = apply("Tanh", value, place=-float(i)).outputs[0]
    graph = Graph("deep", (x,), return_node([value], ["y"]))
    assert len(graph.nodes()) == 50_000
    graph.replace(value, x)
    assert graph.nodes() == []
    assert len(x.uses) == 1


def test_a_cycle_is_no_graph() -> None:
    graph = parse("def f(x: f32[2]):\n    a = Tanh(x)\n    return Exp(a)")
    tanh, exp = graph.nodes()
    tanh.set_input(0, exp.outputs[0])
    with pytest.raises(ValueError, match="cycle"):
        graph.nodes()


def test_a_replacement_keeps_the_type_that_was_promised() -> None:
    graph = parse("def f(x: f32[B, 4], z: f32[S, 4]):\n    y = Tanh(x)\n    return y * 2.0")
    y, z = graph.nodes()[0].outputs[0], graph.inputs[1]
    text = show(graph)
    with pytest.raises(TypeError, match=r"y: f32\[B, 4\] cannot become f32\[S, 4\]"):
        graph.replace(y, z)
    assert show(graph) == text


def test_a_replacement_takes_over_the_name() -> None:
    graph = parse("def f(x: f32[2]):\n    y = Tanh(x)\n    return y * 2.0")
    y = graph.nodes()[0].outputs[0]
    change = graph.replace(y, apply("Erf", graph.inputs[0]).outputs[0])
    assert change.new.name == "y"
    change.undo()
    assert change.new.name == ""


def test_what_is_kept_survives_its_readers() -> None:
    graph = parse(
        """
        def f(x: f32[2]):
            call("foo::Print", x)
            y = Tanh(x)
            return y
        """
    )
    graph.replace(graph.nodes()[1].outputs[0], graph.inputs[0])
    assert [n.op for n in graph.nodes()] == ["foo::Print"]
    assert list(problems(graph)) == []


def test_captures_are_read_after_the_inputs() -> None:
    graph = parse(
        """
        def f(c: bool, x: f32[2], z: f32[2]):
            def body(inside: f32[2]):
                return Tanh(inside)
            def other(inside: f32[2]):
                return inside
            return If(c, captures=(x,), then_branch=body, else_branch=other)
        """
    )
    (node,) = graph.nodes()
    _, x, z = graph.inputs
    assert node.operands() == graph.inputs[:2]
    assert list(x.uses) == [Use(node, 1)]
    node.set_input(1, z)
    assert node.captures == (z,)
    assert not x.uses
    assert list(problems(graph)) == []
    with pytest.raises(TypeError, match="captured"):
        node.set_input(1, None)
    assert [n.op for _, n in graph.walk()] == ["If", "Tanh"]


def test_an_input_may_be_left_out_and_given_later() -> None:
    graph = parse('def f(x: f32[2], z: f32[2]):\n    return call("foo::Bar", x, None)')
    (node,) = graph.nodes()
    node.set_input(1, graph.inputs[1])
    node.set_input(0, None)
    assert "None, z" in show(graph)
    assert list(problems(graph)) == []


def test_an_origin_is_bounded_and_keeps_its_order() -> None:
    x = Value(SQUARE, name="x")
    nodes = [Node("Tanh", (x,), {}, (Value(),), origin=Origin((f"n{i}",))) for i in range(100)]
    origin = Origin.of(nodes, "fuse")
    assert len(origin.sources) == 64
    assert origin.rules == ("fuse",)
    again = Node("Exp", (x,), {}, (Value(),), origin=Origin(("a",), ("fuse", "fold")))
    assert Origin.of([again], "fuse") == Origin(("a",), ("fold", "fuse"))


def test_what_is_said_of_a_value_is_short() -> None:
    graph = parse("def f(x: f32[B]):\n    y = Tanh(x)\n    return Tanh(y)")
    y = graph.nodes()[0].outputs[0]
    assert repr(y) == "<y: f32[B]>"
    assert len(repr(graph.nodes()[1])) < 60
    assert y.type == TensorType("f32", (sym("B"),))
