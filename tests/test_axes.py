"""What is said of axes is true: along a pointwise one, choosing before is choosing after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models import encoder

from graphwright.backends.onnx.reference import evaluate64
from graphwright.frontends.onnx import from_proto
from graphwright.ir.const import from_array
from graphwright.ir.dims import sym
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import OPS, infer, node_of, return_node
from graphwright.ir.parse import parse
from graphwright.ir.text import same, show, weights_of
from graphwright.ir.types import TensorType
from graphwright.passes.attention.factors import Factor, View, leaves
from graphwright.passes.axes.naming import axes_of
from graphwright.passes.axes.remaking import remade
from graphwright.passes.axes.rows import ELEMENTWISE
from graphwright.passes.axes.table import READERS, working
from graphwright.passes.axes.working import How, Working
from graphwright.passes.rule import Budget, Builder, Match

Case = tuple[str, list[Any], dict[str, Any]]
RNG = np.random.default_rng(7)
UNARY = {op for op in ELEMENTWISE if op in OPS and OPS[op].alike is None} | {"Elu", "LeakyRelu"}
BINARY = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Equal", "Less", "LessOrEqual", "Greater"}
BINARY |= {"GreaterOrEqual", "Sum", "Mean", "Pow", "PRelu"}
LOGIC = {"And", "Or", "Xor"}


def floats(*shape: int) -> Any:
    return RNG.uniform(0.2, 2.0, shape)


def ints(high: int, *shape: int) -> Any:
    return RNG.integers(0, high, shape)


def bools(*shape: int) -> Any:
    return RNG.random(shape) < 0.6


def sizes(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


SPECIAL = {
    "Cast": {"to": "f32"},
    "Gelu": {"approximate": "none"},
    "com.microsoft::QuickGelu": {"alpha": 1.7},
}
SCALARS = {"cap": 0.0, "filler": -np.inf, "guard": 0, "precision": ""}
CASES: list[Case] = [
    *((op, [floats(2, 3, 5)], SPECIAL.get(op, {})) for op in sorted(UNARY - {"Not"})),
    ("Not", [bools(2, 3)], {}),
    ("IsInf", [floats(2, 3)], {}),
    ("HardSwish", [floats(2, 3)], {}),
    ("HardSigmoid", [floats(2, 3)], {}),
    ("Selu", [floats(2, 3)], {}),
    *((op, [floats(2, 3, 5), floats(3, 1)], {}) for op in sorted(BINARY)),
    *((op, [bools(2, 3, 5), bools(3, 1)], {}) for op in sorted(LOGIC)),
    ("Mod", [ints(9, 2, 3, 5), ints(4, 3, 1) + 1], {}),
    ("Where", [bools(3, 1), floats(2, 3, 5), floats(2, 1, 5)], {}),
    ("Clip", [floats(2, 3), np.array(0.5), np.array(1.0)], {}),
    ("com.microsoft::FastGelu", [floats(2, 3, 5), floats(5)], {}),
    ("Dropout", [floats(2, 3)], {}),
    *((op, [floats(2, 3, 5)], {"axes": (1,), "keepdims": 0}) for op in READERS if "Reduce" in op),
    ("ReduceSum", [floats(2, 3, 5)], {"axes": (-1, 0), "keepdims": 1}),
    ("ReduceMax", [floats(2, 3)], {"keepdims": 1}),
    ("ArgMax", [floats(2, 3, 5)], {"axis": 1, "keepdims": 0}),
    ("ArgMin", [floats(2, 3, 5)], {"axis": -1, "keepdims": 1}),
    ("Softmax", [floats(2, 3, 5)], {"axis": 1}),
    ("LogSoftmax", [floats(2, 3, 5)], {"axis": -1}),
    ("TopK", [floats(2, 3, 5), sizes(2)], {"axis": 1}),
    ("LayerNormalization", [floats(2, 3, 5), floats(5), floats(5)], {"axis": -1, "epsilon": 1e-5}),
    ("LayerNormalization", [floats(2, 3, 5), floats(3, 5)], {"axis": 1, "epsilon": 1e-5}),
    ("RMSNormalization", [floats(2, 3, 5), floats(5)], {"axis": -1, "epsilon": 1e-5}),
    ("BatchNormalization", [floats(2, 3, 5), *(floats(3) for _ in range(4))], {}),
    ("Conv", [floats(2, 3, 6), floats(4, 3, 2), floats(4)], {}),
    ("MaxPool", [floats(2, 3, 6)], {"kernel_shape": (2,)}),
    ("AveragePool", [floats(2, 3, 6)], {"kernel_shape": (2,)}),
    ("GlobalAveragePool", [floats(2, 3, 6)], {}),
    ("CumSum", [floats(2, 3, 5), np.array(1)], {"exclusive": 0, "reverse": 0}),
    ("CumSum", [floats(2, 3, 5), np.array(-1)], {"exclusive": 1, "reverse": 1}),
    ("Trilu", [floats(2, 3, 5)], {"upper": 1}),
    (
        "RotaryEmbedding",
        [floats(2, 3, 5, 4), floats(5, 4), floats(2, 1, 5, 4)],
        {"interleaved": 0, "width": 4},
    ),
    ("Shape", [floats(2, 3)], {}),
    ("Size", [floats(2, 3)], {}),
    ("Sizes", [], {"dims": (2, 3)}),
    ("Range", [np.array(0), np.array(5), np.array(1)], {}),
    ("ConstantOfShape", [sizes(2, 3)], {"value": from_array(np.array([1.5]))}),
    ("Reshape", [floats(2, 12), sizes(2, 3, 4)], {"allowzero": 0}),
    ("Reshape", [floats(2, 3, 4, 5), sizes(6, 20)], {"allowzero": 0}),
    ("Reshape", [floats(2, 6, 10, 3), sizes(2, 4, 15, 3)], {"allowzero": 0}),
    ("Reshape", [floats(6, 4), sizes(3, 8)], {"allowzero": 0}),
    ("Flatten", [floats(2, 3, 4)], {"axis": 2}),
    ("Squeeze", [floats(2, 1, 4)], {"axes": (1,)}),
    ("Unsqueeze", [floats(2, 4)], {"axes": (1, 3)}),
    ("Transpose", [floats(2, 3, 5)], {"perm": (2, 0, 1)}),
    ("Expand", [floats(3, 1), sizes(2, 3, 5)], {}),
    ("Tile", [floats(2, 3), sizes(1, 4)], {}),
    ("Pad", [floats(2, 3, 5), sizes(0, 1, 0, 0, 2, 0), np.array(0.5)], {"mode": "constant"}),
    ("Slice", [floats(2, 7, 3), sizes(1), sizes(6), sizes(1), sizes(2)], {}),
    ("Slice", [floats(5, 3), sizes(-1), sizes(-9), sizes(0), sizes(-1)], {}),
    ("Split", [floats(2, 7, 3)], {"split": (3, 4), "axis": 1}),
    ("Concat", [floats(2, 3, 5), floats(2, 4, 5)], {"axis": 1}),
    ("Gather", [floats(4, 7, 3), ints(7, 2, 5)], {"axis": 1}),
    ("Gather", [floats(4, 7, 3), np.array(2)], {"axis": 1}),
    ("GatherElements", [floats(4, 7, 3), ints(7, 4, 2, 3)], {"axis": 1}),
    ("GatherElements", [floats(4, 7, 3), ints(7, 2, 2, 3)], {"axis": 1}),
    ("GatherND", [floats(2, 3, 4, 5), ints(3, 2, 6, 1)], {"batch_dims": 1}),
    ("GatherND", [floats(2, 3, 5), ints(2, 6, 2)], {"batch_dims": 0}),
    ("MatMul", [floats(2, 1, 3, 4), floats(5, 4, 6)], {}),
    ("MatMul", [floats(2, 3, 4), floats(4)], {}),
    ("MatMul", [floats(4), floats(2, 4, 3)], {}),
    ("com.microsoft::FusedMatMul", [floats(2, 4, 3), floats(5, 4)], {"transA": 1, "transB": 1}),
    ("Gemm", [floats(4, 2), floats(4, 5), floats(5)], {"transA": 1, "transB": 0}),
    ("Gemm", [floats(2, 4), floats(5, 4), floats(2, 1)], {"transA": 0, "transB": 1}),
    ("Linear", [floats(2, 3, 4), floats(4, 5), floats(5)], {"transposed": 0}),
    ("Einsum", [floats(2, 3, 4), floats(2, 5, 4)], {"equation": "bsd,btd->bst"}),
    (
        "Attention",
        [floats(2, 6, 5, 4), floats(2, 3, 7, 4), floats(2, 3, 7, 8), floats(2, 1, 5, 7)],
        {"scale": 0.5, **SCALARS},
    ),
    (
        "Attention",
        [
            floats(1, 2, 5, 4),
            floats(3, 2, 7, 4),
            floats(3, 2, 7, 8),
            floats(1, 2, 1, 7),
            np.ones((1, 1, 1, 7), bool),
            floats(1, 2, 1, 1),
        ],
        {"scale": 0.5, **SCALARS},
    ),
]
SILENT = {op for op in OPS if op.startswith("com.microsoft::")} - set(READERS)
SILENT |= {"ScatterND", "ScatterElements"}
"""Operators of which nothing is said; those of ONNX Runtime are written out by `unfuse`."""


def of(case: Case) -> tuple[Node, list[Any]]:
    """A node with inputs of the shapes of arrays, whose small lists of integers are constants."""
    op, arrays, attrs = case
    values = []
    for array in arrays:
        const = from_array(np.asarray(array))
        held = array.ndim < 2 and array.dtype == np.int64
        values.append(Value(const.type, const=const if held else None))
    node = node_of(op, values, attrs, count=len(attrs.get("split", "1")))
    if op in OPS and OPS[op].numpy is not None:
        return node, arrays
    if infer(op, values, attrs)[0] != node.outputs[0].type or not _known(node):
        node.outputs[0].type = TensorType("f64", computed(node, arrays)[0].shape)
    return node, arrays


def _known(node: Node) -> bool:
    return all(isinstance(v.type, TensorType) for v in node.outputs)


def computed(node: Node, arrays: list[Any], outputs: Any = None) -> list[Any]:
    inputs = [v for v in node.inputs if v is not None and v.const is None]
    feed = {}
    for i, value in enumerate(inputs):
        value.name = f"x{i}"
    for value, array in zip([v for v in node.inputs if v is not None], arrays, strict=True):
        if value.const is None:
            feed[value.name] = array
    wanted = outputs or node.outputs
    graph = Graph("g", tuple(inputs), return_node(wanted, [f"y{i}" for i in range(len(wanted))]))
    found = evaluate64(graph, [feed])[0]
    for value in wanted:  # the graph goes, and reads them no more
        value.uses.clear()
    return list(found)


def chosen(array: Any, view: View | None, factor: Factor, index: list[int]) -> Any:
    """What of an array stands at `index` along one of the factors of its axes."""
    flat = [] if view is None else [leaf for axis in view for leaf in leaves(axis)]
    if factor not in flat or view is None:
        return array
    whole = np.take(array.reshape([f.size for f in flat]), index, flat.index(factor))
    lengths = [[len(index) if f is factor else f.size for f in leaves(axis)] for axis in view]
    return whole.reshape([int(np.prod(each)) for each in lengths])


def builder(node: Node) -> Builder:
    return Builder(Match(node.outputs[0], {}), "a-test", Budget(lambda n: None))  # type: ignore[arg-type, return-value]  # nothing is folded


def holds(case: Case, found: Working, node: Node, factor: Factor, index: list[int]) -> None:
    _, arrays, _ = case
    some = [chosen(a, v, factor, index) for a, v in zip(arrays, found.inputs, strict=True)]
    values = [
        v if v.const is not None and array is before else Value(from_array(np.asarray(array)).type)
        for v, array, before in zip(node.inputs, some, arrays, strict=True)
        if v is not None
    ]
    want = computed(node, arrays)
    for i, view in enumerate(found.outputs):
        new = remade(builder(node), node, found, values, {factor: len(index)}, i)
        if not isinstance(new.type, TensorType):
            new.type = node.outputs[i].type
        producer = new.producer
        if producer is None:  # a Reshape to the shape that there is
            np.testing.assert_array_equal(some[0], chosen(want[i], view, factor, index))
            continue
        fed = [a for v, a in zip(values, some, strict=True) if v in producer.inputs]
        extra = [v.const.load() for v in producer.inputs[len(fed) :] if v is not None and v.const]
        (have,) = computed(producer, [*fed, *extra], [new])
        np.testing.assert_allclose(have, chosen(want[i], view, factor, index), rtol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{len(c[1])}")
@given(data=st.data())
@settings(max_examples=4, deadline=None)
def test_choosing_before_is_choosing_after(case: Case, data: st.DataObject) -> None:
    node, _ = of(case)
    found = working(node)
    for factor in found.pointwise():
        assert isinstance(factor.size, int)
        index = st.lists(st.integers(0, factor.size - 1), min_size=1, max_size=6)
        holds(case, found, node, factor, data.draw(index))


def test_every_operator_of_the_table_is_tried() -> None:
    tried = {op for op, _, _ in CASES}
    assert set(OPS) - SILENT - tried == set()
    assert set(READERS) - tried == set()


NEAR: list[tuple[Case, How]] = [
    (("Softmax", [floats(2, 3, 5)], {"axis": 1}), How.MIXES),
    (("LayerNormalization", [floats(2, 3, 5), floats(3, 5)], {"axis": 1}), How.MIXES),
    (("CumSum", [floats(2, 3, 5), np.array(1)], {"exclusive": 0, "reverse": 0}), How.CAUSAL),
    (("CumSum", [floats(2, 3, 5), np.array(1)], {"exclusive": 0, "reverse": 1}), How.MIXES),
    (("Conv", [floats(2, 3, 6), floats(4, 3, 2)], {}), How.MIXES),
    (("Trilu", [floats(2, 3, 5)], {"upper": 1}), How.PLACES),
    (("ReduceSum", [floats(2, 3, 5)], {"axes": (1,), "keepdims": 0}), How.REDUCES),
    (("Reshape", [floats(2, 6, 10, 3), sizes(2, 4, 15, 3)], {"allowzero": 0}), How.MIXES),
    (("Slice", [floats(2, 5), sizes(-1), sizes(-9), sizes(1), sizes(-1)], {}), How.PERMUTES),
    (("Concat", [floats(2, 3, 5), floats(2, 4, 5)], {"axis": 1}), How.JOINS),
    (("foo::Bar", [floats(2, 3, 5)], {}), How.MIXES),
]


@pytest.mark.parametrize(("case", "how"), NEAR, ids=lambda c: str(c)[:12])
def test_what_is_not_pointwise_is_said(case: Case, how: How) -> None:
    op, arrays, attrs = case
    values = [from_array(np.asarray(a)) for a in arrays]
    node = node_of(op, [Value(c.type, const=c) for c in values], attrs)
    found = working(node)
    view = found.inputs[0]
    assert view is not None
    middle = leaves(view[1])
    assert [found.treatment()[f] for f in middle] == [how] * len(middle)
    assert not set(middle) & set(found.pointwise())


def test_statistics_that_are_given_leave_tokens_alone_but_not_channels() -> None:
    """Over an axis of tokens its statistics go along, which a constant cannot."""
    node, _ = of(("BatchNormalization", [floats(2, 3, 5), *(floats(3) for _ in range(4))], {}))
    found = working(node)
    assert found.inputs[0] is not None
    assert found.inputs[1] == [found.inputs[0][1]]
    training = node_of("BatchNormalization", node.inputs, {"training_mode": 1}, 3)
    assert working(training).pointwise() == []


def test_axes_that_may_broadcast_are_said_to_mix() -> None:
    a, b = (Value(TensorType("f64", (sym(name), 4))) for name in "ST")
    found = working(node_of("Add", (a, b), {}))
    assert [f.size for f in found.pointwise()] == [4]


def test_the_axes_of_a_model_have_names() -> None:
    graph = from_proto(encoder(layers=2))
    found = axes_of(graph)
    said = {"tokens": "seq", "heads": "2", "width": "4", "channels": "8", "entries": "23"}
    assert said.items() <= found.legend().items()
    softmax = next(n for n in graph.nodes() if n.op == "Softmax")
    assert found.remark(softmax) == (
        "[batch, heads, tokens, tokens]; pointwise along batch, heads, tokens; mixes tokens"
    )
    text = show(graph, {softmax: found.remark(softmax)})
    assert same(parse(text, weights_of(graph)), graph)
