from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from graphwright.backends.onnx.reference import evaluate64
from graphwright.backends.ort import pack
from graphwright.backends.ort.session import evaluate
from graphwright.ir.const import from_array
from graphwright.ir.contracts import Approximate, Contract, Exact, Tolerance
from graphwright.ir.dims import Dim, sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Header, Value
from graphwright.ir.ops import apply, return_node
from graphwright.ir.parse import parse
from graphwright.ir.types import SequenceType, TensorType
from graphwright.verification.batches import batched, merged
from graphwright.verification.fragments import Fragment, check_fragments
from graphwright.verification.judge import Verdict

CONTRACT = Tolerance()


class Runtime:
    """ONNX Runtime in this process, and how often it was asked."""

    def __init__(self) -> None:
        self.graphs: list[Graph] = []
        self.truths = 0

    def evaluate(self, graph: Graph, feeds: Sequence[Any]) -> list[list[Any]]:
        self.graphs.append(graph)
        return evaluate(pack(graph), feeds)

    def evaluate64(self, graph: Graph, feeds: Sequence[Any]) -> list[list[Any]]:
        self.truths += 1
        return evaluate64(graph, feeds)

    def check(self, *fragments: Fragment) -> list[Verdict]:
        return check_fragments(fragments, self.evaluate, self.evaluate64)


def fragment(
    before: str, after: str, given: str = "x: f32[B, S, 8]", contract: Contract = CONTRACT
) -> Fragment:
    graphs = []
    for body in (before, after):
        *lines, last = body.split("; ")
        graphs.append(parse("\n    ".join([f"def g({given}):", *lines, f"return {last}"])))
    return Fragment(graphs[0], graphs[1], contract)


GELU = "0.5 * x * (1 + Erf(x / 1.4142135))"
RIGHT = [
    fragment(GELU, "Gelu(x, approximate='none')"),
    fragment("x * 2", "x + x", contract=Exact()),
    fragment("Exp(x) / ReduceSum(Exp(x), axes=(-1,), keepdims=1)", "Softmax(x, axis=-1)"),
    fragment("Sqrt(x * x)", "Abs(x)"),
    fragment("Softmax(x + y, axis=-1)", "Softmax(y + x, axis=-1)", "x: f32[B, S], y: f32[1, S]"),
    fragment("x / Sqrt(y)", "x * Reciprocal(Sqrt(y))", "x: f32[B, S], y: f32[B, S]"),
    fragment(
        "Where(m, x, f32(-1e9))", "Where(Not(m), f32(-1e9), x)", "m: bool[B, S], x: f32[B, S]"
    ),
    fragment("Gather(t, i, axis=0) * 2", "Gather(t * 2, i, axis=0)", "t: f32[7, 3], i: i64[B, S]"),
    fragment("Transpose(Exp(x), perm=(0, 2, 1))", "Exp(Transpose(x, perm=(0, 2, 1)))"),
    fragment("x * 3 / 3", "x", "x: f16[B, 8]"),
    fragment("Max(x, f32(0.0))", "Relu(x)"),
]
SIZED = """
def g(x: f32[B*S, 4], sizes: bool[B, S]):
    return Exp(Reshape(x, Sizes(dims={})))
"""
WRONG = {
    "scale": fragment(GELU, "x * Sigmoid(1.702 * x)"),
    "sign": fragment("x - y", "y - x", "x: f32[B, 4], y: f32[B, 4]"),
    "axis": fragment("Softmax(x, axis=-1)", "Softmax(x, axis=1)"),
    "axis seen by sizes only": fragment(
        "ReduceSum(x, axes=(0,), keepdims=0)", "ReduceSum(x, axes=(1,), keepdims=0)", "x: f32[A, B]"
    ),
    "only on negatives": fragment("Abs(x)", "x"),
    "only for large numbers": fragment("Softmax(x, axis=-1)", "Min(Softmax(x, axis=-1), f32(0.9))"),
    "only for zero": fragment("Where(Equal(x, f32(0.0)), f32(1.0), x)", "x"),
    "overflow": fragment(
        "Softmax(x, axis=-1)", "Exp(x) / ReduceSum(Exp(x), axes=(-1,), keepdims=1)"
    ),
    "bits": fragment("x * 3 / 3", "x", contract=Exact()),
    "bits of zero": fragment("Max(x, f32(0.0))", "Relu(x)", contract=Exact()),
    "type": fragment("Cast(x, to='f16')", "x"),
    "mask": fragment(
        "Softmax(Where(m, x, f32(-1e30)), axis=-1)",
        "Softmax(Where(m, x, f32(0.0)), axis=-1)",
        "m: bool[B, 1, S, S], x: f32[B, 2, S, S]",
    ),
    "dead rows": fragment(
        "Softmax(x + m, axis=-1)",
        "Where(IsNaN(Softmax(x + m, axis=-1)), f32(0.0), Softmax(x + m, axis=-1))",
        "x: f32[B, 2, S, S], m: f32[B, 1, 1, S]",
    ),
    "approximation": fragment("Exp(x)", "Exp(x) + 0.1", contract=Approximate("max_abs", 0.05)),
}


@pytest.mark.parametrize("right", RIGHT)
def test_a_right_rewrite_passes(right: Fragment) -> None:
    (verdict,) = Runtime().check(right)
    assert verdict.ok, verdict.why


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_rewrite_is_caught(name: str) -> None:
    (verdict,) = Runtime().check(WRONG[name])
    assert not verdict.ok
    assert verdict.why
    assert not verdict.why.startswith("could not be checked")


def test_an_approximation_is_held_to_ordinary_numbers() -> None:
    close = fragment("Exp(x)", "Min(Exp(x), f32(90.0))", contract=Approximate("relative", 0.01))
    assert Runtime().check(close)[0].ok


def test_the_verdict_names_the_inputs() -> None:
    (verdict,) = Runtime().check(WRONG["axis"])
    assert "B=2, S=5" in verdict.why
    assert verdict.distance is not None
    assert verdict.distance.max_abs > 0.1


def test_many_are_judged_in_one_run_as_each_alone() -> None:
    runtime = Runtime()
    together = runtime.check(*RIGHT, *WRONG.values())
    assert [v.ok for v in together] == [True] * len(RIGHT) + [False] * len(WRONG)
    assert len(runtime.graphs) == 2


def test_parts_of_equal_content_share_one_check() -> None:
    runtime = Runtime()
    other = fragment(
        "0.5 * y * (1 + Erf(y / 1.4142135))", "Gelu(y, approximate='none')", "y: f32[N, T, 8]"
    )
    found = runtime.check(RIGHT[0], other, RIGHT[0])
    assert found[0] is found[1] is found[2]
    assert all(len(graph.inputs) == 1 for graph in runtime.graphs)
    unlike = Fragment(other.before, other.after, Exact())
    assert not runtime.check(RIGHT[0], unlike)[1].ok


def test_equal_graphs_are_not_run() -> None:
    runtime = Runtime()
    same = fragment("Exp(x)", "Exp(x)", contract=Exact())
    assert runtime.check(same)[0].ok
    assert not runtime.graphs


def test_the_truth_is_computed_only_where_it_matters() -> None:
    runtime = Runtime()
    assert runtime.check(fragment("x * 2", "x + x"))[0].ok
    assert not runtime.truths
    assert not runtime.check(fragment("x * 2", "x * 2.01"))[0].ok
    assert runtime.truths


def test_one_that_fails_does_not_spoil_the_others() -> None:
    runtime = Runtime()
    bad = fragment("com_microsoft(x)", "x")
    found = runtime.check(*RIGHT, bad, *WRONG.values())
    assert [v.ok for v in found] == [True] * len(RIGHT) + [False] * (1 + len(WRONG))
    assert found[len(RIGHT)].why.startswith("could not be checked: ONNX Runtime refuses")


def test_a_new_part_that_does_not_run_is_refused() -> None:
    (verdict,) = Runtime().check(fragment("Exp(x)", "NoSuchOperator(x)"))
    assert verdict.why.startswith("the new part cannot be run: ONNX Runtime refuses")


def test_other_sizes_are_tried_where_the_likeliest_do_not_run() -> None:
    """x can be reshaped to the shape of y only where A is B, and nothing in the graph says so."""
    given = "x: f32[A, 2], y: f32[B, 2]"
    sum_ = "Reshape(x, Shape(y), allowzero=0)"
    (verdict,) = Runtime().check(fragment(f"{sum_} * 2", f"{sum_} + {sum_}", given))
    assert verdict.ok, verdict.why


def test_what_cannot_be_checked_is_not_ok() -> None:
    x = Value(SequenceType(TensorType("f32", (2,))), name="x")
    graph = Graph("g", (x,), return_node([apply("Any", x).outputs[0]], ["y"]))
    other = Graph("g", (x,), return_node([x], ["y"]))
    (verdict,) = Runtime().check(Fragment(graph, other, Exact()))
    assert verdict.why.startswith("could not be checked: no value of type Seq")
    (verdict,) = Runtime().check(fragment("Log(Abs(x) * -1 - 1)", "Log(Abs(x) * -1 - 2)"))
    assert verdict.why == "could not be checked: it gives nothing but NaN on the inputs made for it"


def test_both_parts_take_and_give_the_same() -> None:
    one = parse("def g(x: f32[2]):\n    return Exp(x)")
    two = parse("def g(x: f32[2], y: f32[2]):\n    return x + y")
    three = parse("def g(x: f32[2]):\n    return x, x")
    assert "the same inputs" in Runtime().check(Fragment(one, two, Exact()))[0].why
    assert "the same outputs" in Runtime().check(Fragment(one, three, Exact()))[0].why


def test_parts_of_models_of_several_versions_run_in_several_sessions() -> None:
    runtime, fragments = Runtime(), []
    for opset in (17, 21):
        each = fragment("x * 2", "x + x", contract=Exact())
        each.before.header = each.after.header = Header(8, {"": opset})
        fragments.append(each)
    assert all(v.ok for v in runtime.check(*fragments))
    assert {g.header.opsets[""] for g in runtime.graphs if g.header} == {17, 21}


def test_parts_that_compute_with_sizes_are_checked() -> None:
    rows, columns = sym("B"), sym("S")

    def reshaped(*dims: Dim) -> Graph:
        x = Value(TensorType("f32", (rows * columns, 4)), name="x")
        sizes = Value(TensorType("bool", (rows, columns)), name="sizes")
        shape = apply("Sizes", dims=dims).outputs[0]
        y = apply("Reshape", apply("Exp", x).outputs[0], shape).outputs[0]
        return Graph("g", (x, sizes), return_node([y], ["y"]))

    before = reshaped(rows, columns, 4)
    right = Fragment(before, parse(SIZED.format("(B, S, 4)")), Exact())
    wrong = Fragment(before, parse(SIZED.format("(S, B, 4)")), Exact())
    assert [v.ok for v in Runtime().check(right, wrong)] == [True, False]


def test_batches_are_bounded() -> None:
    sized = [(i, 100 << 20) for i in range(5)] + [(9, 1 << 40)]
    assert list(batched(sized)) == [[0, 1], [2, 3], [4], [9]]
    assert [len(batch) for batch in batched([(i, 0) for i in range(150)])] == [64, 64, 22]


def test_merging_leaves_the_parts_as_they_are() -> None:
    part = RIGHT[0].before
    uses = {value: len(value.uses) for node in part.nodes() for value in node.outputs}
    whole = merged([part, part])
    assert [v.name for v in whole.graph.inputs] == ["in0", "in1"]
    assert [v.name for v in part.inputs] == ["x"]
    assert uses == {value: len(value.uses) for node in part.nodes() for value in node.outputs}


def test_hundreds_of_parts_take_a_few_sessions() -> None:
    parts = []
    for i in range(200):
        weight = from_array(np.full((8, 8), i, np.float32))
        graphs = []
        for op in ("Mul", "Add"):
            x = Value(TensorType("f32", (sym("B"), 8)), name="x")
            y = apply("MatMul", x, Value(weight.type, const=weight)).outputs[0]
            z = apply(op, y, 2.0 if op == "Mul" else y).outputs[0]
            graphs.append(Graph("g", (x,), return_node([z], ["z"])))
        parts.append(Fragment(graphs[0], graphs[1], Exact()))
    runtime = Runtime()
    assert all(v.ok for v in runtime.check(*parts))
    assert len(runtime.graphs) == 8


def test_an_evaluation_that_fails_is_a_verdict_and_no_crash() -> None:
    def fails(graph: Graph, feeds: Sequence[Any]) -> list[list[Any]]:
        raise ModelError("out of order")

    (verdict,) = check_fragments([RIGHT[0]], fails, evaluate64)
    assert verdict.why == "could not be checked: out of order"
