"""Each broken invariant is told, and a sound graph has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphwright.ir import parse
from graphwright.ir.const import from_array
from graphwright.ir.graph import Function, Graph, Node, Use, Value
from graphwright.ir.ops import apply, constant, return_node
from graphwright.ir.problems import problems
from graphwright.ir.types import TensorType

TEXT = """
@function("local::F")
def F(x):
    return {"out": call("local::G", x)}


def f(c: bool, x: f32[B, 4], z: f32[B, 4]):
    def then_branch(inside: f32[B, 4]):
        return Tanh(inside)
    def else_branch(inside: f32[B, 4]):
        return inside
    y = If(c, captures=(x,), then_branch=then_branch, else_branch=else_branch)
    w = z * f32([1.0, 2.0, 3.0, 4.0])
    s = Shape(w)
    return y, w, s
"""


def graph() -> Graph:
    return parse(TEXT)


def node(graph: Graph, op: str) -> Node:
    return next(n for n in graph.nodes() if n.op == op)


def body(graph: Graph) -> Graph:
    return node(graph, "If").bodies["then_branch"]


def out(graph: Graph, op: str) -> Value:
    return node(graph, op).outputs[0]


def test_a_sound_graph_has_no_problems() -> None:
    assert list(problems(graph())) == []


def no_uses(g: Graph) -> None:
    g.inputs[2].uses.clear()


def false_use(g: Graph) -> None:
    g.inputs[1].uses[Use(node(g, "Mul"), 0)] = None


def wrong_index(g: Graph) -> None:
    g.inputs[1].uses[Use(node(g, "Mul"), 7)] = None


def dangling_node(g: Graph) -> None:
    apply("Tanh", g.inputs[1])


def wrong_producer(g: Graph) -> None:
    out(g, "If").producer = node(g, "Shape")


def no_producer(g: Graph) -> None:
    g.kept = (node(g, "Mul"),)
    out(g, "Mul").producer = None


def from_nowhere(g: Graph) -> None:
    node(g, "Mul").set_input(0, Value(TensorType("f32", (1,)), name="stray"))


def from_outside(g: Graph) -> None:
    body(g).nodes()[0].set_input(0, g.inputs[2])


def node_of_outside(g: Graph) -> None:
    body(g).result.set_input(0, out(g, "Mul"))


def cycle(g: Graph) -> None:
    node(g, "Mul").set_input(0, apply("Tanh", out(g, "Mul")).outputs[0])


def cycle_in_body(g: Graph) -> None:
    tanh = body(g).nodes()[0]
    tanh.set_input(0, tanh.outputs[0])


def too_few_inputs(g: Graph) -> None:
    inner = body(g)
    inner.result.set_input(0, constant([[1.0]], "f32"))
    inner.inputs = ()


def captures_without_bodies(g: Graph) -> None:
    node(g, "If").bodies = {}


def other_capture(g: Graph) -> None:
    node(g, "If").set_input(1, g.inputs[0])


def too_few_names(g: Graph) -> None:
    g.result.attrs = {"names": ("y",)}


def names_twice(g: Graph) -> None:
    g.result.attrs = {"names": ("y", "y", "s")}


def inputs_twice(g: Graph) -> None:
    g.inputs[1].name = "z"


def input_twice(g: Graph) -> None:
    g.inputs = (*g.inputs, g.inputs[0])


def input_that_is_constant(g: Graph) -> None:
    g.inputs[0].const = from_array(np.array(True))


def constant_that_is_made(g: Graph) -> None:
    out(g, "Shape").const = from_array(np.array([1, 2]))


def wrong_constant(g: Graph) -> None:
    node(g, "Mul").inputs[1].type = TensorType("f32", (3,))  # type: ignore[union-attr]


def default_of_no_input(g: Graph) -> None:
    g.defaults[Value(name="stray")] = from_array(np.array(True))


def wrong_default(g: Graph) -> None:
    g.defaults[g.inputs[1]] = from_array(np.zeros((2, 5), np.float32))


def numpy_attribute(g: Graph) -> None:
    node(g, "Shape").attrs = {"start": np.int64(0)}


def list_attribute(g: Graph) -> None:
    node(g, "Shape").attrs = {"axes": [0, 1]}  # type: ignore[dict-item]


def nested_attribute(g: Graph) -> None:
    node(g, "Shape").attrs = {"axes": ((0,), 1)}  # type: ignore[dict-item]


def wrong_type(g: Graph) -> None:
    out(g, "Mul").type = TensorType("f64", out(g, "Mul").type.shape)  # type: ignore[union-attr]


def wrong_size(g: Graph) -> None:
    out(g, "Mul").type = TensorType("f32", (2, 5))


def wrong_rank(g: Graph) -> None:
    out(g, "Shape").type = TensorType("i64", ())


def misfit(g: Graph) -> None:
    node(g, "Mul").set_input(1, constant([1.0, 2.0], "f32"))


def missing_attribute(g: Graph) -> None:
    node(g, "Shape").op = "Softmax"


def wrong_contents(g: Graph) -> None:
    out(g, "Shape").contents = (1, 2, 3)


def no_return(g: Graph) -> None:
    g.result.op = "Tanh"


def same_output_twice(g: Graph) -> None:
    mul = node(g, "Mul")
    mul.outputs = (mul.outputs[0], mul.outputs[0])


def kept_twice(g: Graph) -> None:
    g.kept = (node(g, "Mul"), node(g, "Mul"))


def misnamed_function(g: Graph) -> None:
    found = g.functions.pop("local::F")
    g.functions["local::G"] = found


def broken_function(g: Graph) -> None:
    stray = Value(name="stray")
    g.functions["local::H"] = Function(
        "local", "local::H", (), Graph("H", (), return_node([stray], ["y"]))
    )


BROKEN: list[tuple[Callable[[Graph], Any], str]] = [
    (no_uses, "Mul 'w' reads 'z', which does not know of it"),
    (false_use, "'x' is said to be read by Mul 'w', which does not"),
    (wrong_index, "'x' is said to be read by Mul 'w', which does not"),
    (dangling_node, "'x' is said to be read by Tanh, which is elsewhere"),
    (wrong_producer, "'y' is made by Shape 's', which does not know of it"),
    (no_producer, "Mul 'w' gives 'w', which is said to be made by nothing"),
    (from_nowhere, "Mul 'w' reads 'stray', which nothing in its graph gives"),
    (from_outside, "in then_branch of If 'y': Tanh 'y' reads 'z', which nothing in its graph"),
    (node_of_outside, "in then_branch of If 'y': Mul 'w' stands in another graph too"),
    (cycle, "the graph has a cycle"),
    (cycle_in_body, "in then_branch of If 'y': the graph has a cycle"),
    (too_few_inputs, "If 'y' captures 1 values and its body then_branch has 0 inputs"),
    (captures_without_bodies, "If 'y' captures 1 values and has no body"),
    (other_capture, "then_branch of If 'y' captures 'c': f32[B, 4] is not bool"),
    (too_few_names, "3 outputs are called ('y',)"),
    (names_twice, "2 outputs are called 'y'"),
    (inputs_twice, "2 inputs are called 'z'"),
    (input_twice, "one value is two inputs"),
    (input_that_is_constant, "the input 'c' is made by a node, or is a constant"),
    (constant_that_is_made, "'s' is a constant and is made by Shape 's'"),
    (wrong_constant, "a constant is f32[3] and holds f32[4]"),
    (default_of_no_input, "'stray' has a default and is no input"),
    (wrong_default, "the default of 'x' does not fit it: f32[B, 4] is not f32[2, 5]"),
    (numpy_attribute, "the attribute start of Shape 's' is np.int64(0), which is no attribute"),
    (list_attribute, "the attribute axes of Shape 's' is [0, 1], which is no attribute"),
    (nested_attribute, "the attribute axes of Shape 's' is ((0,), 1), which is no attribute"),
    (wrong_type, "the type of 'w' is not what Mul 'w' gives: f64[B, 4] is not f32[B, 4]"),
    (wrong_size, "the type of 'w' is not what Mul 'w' gives: f32[2, 5] is not f32[B, 4]"),
    (wrong_rank, "the type of 's' is not what Shape 's' gives: i64 is not i64[2]"),
    (misfit, "Mul 'w' does not fit what it reads: sizes 4 and 2 do not broadcast"),
    (
        missing_attribute,
        "Softmax 's' does not fit what it reads: Softmax needs the attribute 'axis'",
    ),
    (wrong_contents, "'s' is i64[2], which cannot hold (1, 2, 3)"),
    (no_return, "the graph ends with Tanh, which is no return"),
    (same_output_twice, "Mul 'w' gives one value twice"),
    (kept_twice, "a node is kept twice"),
    (misnamed_function, "the function 'local::F' stands under the name 'local::G'"),
    (
        broken_function,
        "in the function 'local::H': return reads 'stray', which nothing in its graph",
    ),
]


@pytest.mark.parametrize(("break_it", "sentence"), BROKEN, ids=lambda p: getattr(p, "__name__", ""))
def test_what_is_broken_is_told(break_it: Callable[[Graph], Any], sentence: str) -> None:
    broken = graph()
    break_it(broken)
    found = list(problems(broken))
    assert any(said.startswith(sentence) for said in found), found
