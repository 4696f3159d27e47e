"""The operator table against onnx.reference: what operators compute, and what types they give."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from graphwright.frontends.onnx import from_proto
from graphwright.ir.graph import Node
from graphwright.ir.ops import OPS
from graphwright.ir.substitution import evaluate
from graphwright.ir.types import NAMES, TensorType

OPSET = 23
SHAPES = [(), (1,), (3,), (2, 3), (2, 1, 4), (0, 3), (2, 0)]
PAIRS = [
    ((2, 3), (3,)),
    ((2, 1, 3), (4, 1)),
    ((), (2, 3)),
    ((0, 3), (1, 3)),
    ((1,), (0,)),
    ((), ()),
]
FLOATS = ["f4", "f8", "f2"]
CLOSE = {"float16": 2e-2, "float32": 1e-5, "float64": 1e-12}
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Case:
    """One node: arrays that are its inputs, and which of them a file holds as constants."""

    op: str
    inputs: Sequence[Array | None]
    attrs: dict[str, Any] = field(default_factory=dict)
    constant: int = 99  # this input and all after it
    outputs: int = 1

    def __str__(self) -> str:
        given = ",".join("-" if a is None else f"{a.dtype}{list(a.shape)}" for a in self.inputs)
        return f"{self.op}({given}){self.attrs or ''}"

    def model(self, symbols: bool) -> onnx.ModelProto:
        names = ["" if a is None else f"x{i}" for i, a in enumerate(self.inputs)]
        node = helper.make_node(
            self.op, names, [f"y{i}" for i in range(self.outputs)], name="node", **self.attrs
        )
        inputs, weights = [], []
        for i, (name, array) in enumerate(zip(names, self.inputs, strict=True)):
            if array is not None and i >= self.constant:
                weights.append(numpy_helper.from_array(array, name))
            elif array is not None:
                kind = helper.np_dtype_to_tensor_dtype(array.dtype)
                dims = [f"n{d}" if symbols and d > 1 else d for d in array.shape]
                inputs.append(helper.make_tensor_value_info(name, kind, dims))
        outputs = [helper.make_empty_tensor_value_info(o) for o in node.output]
        graph = helper.make_graph([node], "one", inputs, outputs, weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])


def some(shape: Sequence[int], dtype: str, low: float = -3, high: float = 3) -> Array:
    rng = np.random.default_rng(sum(shape) + len(shape))
    drawn = rng.uniform(low, high, shape)
    return np.asarray(np.rint(drawn) if dtype[0] in "iu" else drawn).astype(dtype)


def whole(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


def unary() -> Iterator[Case]:
    positive = {"Sqrt", "Log", "Reciprocal"}
    functions = "Sqrt Exp Log Sin Cos Tanh Erf Sigmoid Reciprocal Softplus Floor Ceil Round Gelu"
    for op in [*functions.split(), "Neg", "Abs", "Sign", "Relu", "Identity", "IsNaN"]:
        for dtype in FLOATS:
            for shape in SHAPES:
                yield Case(op, [some(shape, dtype, 0.1 if op in positive else -3)])
        if op in ("Neg", "Abs", "Sign", "Relu", "Identity"):
            yield Case(op, [some((2, 3), "i8")])
    for op in ("Round", "Floor", "Ceil"):
        yield Case(op, [np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, -0.0], np.float32)])
    yield Case("Gelu", [some((2, 3), "f4")], {"approximate": "tanh"})
    yield Case("Sigmoid", [np.array([-1000, -90, 0, 90, 1000], np.float32)])
    yield Case("Not", [np.array([True, False])])


def binary() -> Iterator[Case]:
    for a, b in PAIRS:
        for dtype in [*FLOATS, "i8", "i4", "u1"]:
            low = 0 if dtype == "u1" else -3
            x, y = some(a, dtype, low), some(b, dtype, low)
            for op in ("Add", "Mul", "Max", "Min"):
                yield Case(op, [x, y])
            for op in ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"):
                yield Case(op, [x, y])
            yield Case("Sub", [x, y] if dtype != "u1" else [x + 9, y])
            yield Case("Div", [x * 5, np.where(y == 0, y.dtype.type(2), y)])
            yield Case("Pow", [abs(x), abs(y)])
        for op in ("And", "Or", "Xor"):
            yield Case(op, [some(a, "i8") > 0, some(b, "i8") > 0])
        yield Case("Where", [some(a, "i8") > 0, some(b, "f4"), some((), "f4")])
        yield Case("Where", [np.array(True), some(a, "i8"), some(b, "i8")])
    yield Case("Max", [some((3,), "f4"), some((2, 1), "f4"), some((), "f4")])
    yield Case("Pow", [some((3,), "f4"), whole(2)])


def reductions() -> Iterator[Case]:
    names = "Sum Mean Max Min Prod L1 L2 SumSquare LogSum LogSumExp"
    for name in names.split():
        for keepdims in (0, 1):
            for axes in ([], [1], [-1, 0]):
                given = [whole(*axes)] if axes else []
                for dtype in ("f4", "f8"):
                    x = some((2, 3, 4), dtype, 0.1)
                    yield Case(f"Reduce{name}", [x, *given], {"keepdims": keepdims}, 1)
                yield Case(f"Reduce{name}", [some((2, 1), "f4", 1), *given], {"keepdims": 1}, 1)
        if name != "Mean":
            yield Case(f"Reduce{name}", [some((2, 0, 4), "f4"), whole(1)], {}, 1)
    for name in ("Sum", "Max", "Min", "Prod"):
        yield Case(f"Reduce{name}", [some((2, 3), "i8"), whole(1)], {}, 1)
    yield Case("ReduceMax", [some((2, 3), "i8") > 0, whole(1)], {}, 1)
    yield Case("ReduceSum", [some((2, 3), "f4"), whole()], {}, 1)


def normalizations() -> Iterator[Case]:
    for dtype in FLOATS:
        for axis in (-1, 1, 0):
            for shape in ((2, 3, 4), (1, 1, 1), (2, 3, 0), (0, 3, 4)):
                yield Case("Softmax", [some(shape, dtype)], {"axis": axis})
                yield Case("LogSoftmax", [some(shape, dtype)], {"axis": axis})
    for dtype in ("f4", "f8"):
        x = some((2, 3, 4), dtype)
        for axis in (-1, 1):
            wide = x.shape[axis:]
            scale = some(wide, dtype, 0.5)
            yield Case("LayerNormalization", [x, scale], {"axis": axis})
            given = [x, scale, some(wide, dtype)]
            if dtype == "f4":
                norm = {"axis": axis, "epsilon": 0.1}
                yield Case("LayerNormalization", given, norm, outputs=3)
                yield Case("RMSNormalization", [x, scale], {"axis": axis, "epsilon": 1e-3})
    for exclusive in (0, 1):
        for reverse in (0, 1):
            given = {"exclusive": exclusive, "reverse": reverse}
            yield Case("CumSum", [some((2, 3), "f4"), np.array(1)], given)
            yield Case("CumSum", [some((4,), "i8"), np.array(-1)], given)


def contractions() -> Iterator[Case]:
    shapes = [
        ((2, 3), (3, 4)),
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 4)),
        ((5, 1, 2, 3), (4, 3, 2)),
    ]
    for a, b in [*shapes, ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((3,), (2, 3, 4))]:
        for dtype in ("f4", "f8", "i8"):
            yield Case("MatMul", [some(a, dtype), some(b, dtype)])
    for left in (0, 1):
        for right in (0, 1):
            a, b = some((3, 2) if left else (2, 3), "f4"), some((4, 3) if right else (3, 4), "f4")
            flags = {"transA": left, "transB": right}
            yield Case("Gemm", [a, b], flags)
            yield Case("Gemm", [a, b, some((4,), "f4")], {**flags, "alpha": 0.5, "beta": 2.0})


def views() -> Iterator[Case]:
    x = some((2, 3, 4), "f4")
    yield Case("Transpose", [x], {"perm": [2, 0, 1]})
    yield Case("Transpose", [x])
    shapes = [(6, 4), (-1,), (0, -1), (0, 0, 2, 2), (1, 2, -1, 1), (24,)]
    yield from (Case("Reshape", [x, whole(*shape)], {}, 1) for shape in shapes)
    yield Case("Reshape", [some((0, 3), "f4"), whole(0, 3)], {"allowzero": 1}, 1)
    yield Case("Reshape", [some((0, 3), "f4"), whole(3, 0, 2)], {"allowzero": 1}, 1)
    yield Case("Reshape", [some((1,), "f4"), whole()], {}, 1)
    yield Case("Squeeze", [some((1, 3, 1), "f4")])
    yield Case("Squeeze", [some((1, 3, 1), "f4"), whole(-1)], {}, 1)
    yield Case("Unsqueeze", [x, whole(0, -1, 2)], {}, 1)
    yield Case("Unsqueeze", [some((), "i8"), whole(0)], {}, 1)
    yield Case("Expand", [some((3, 1), "f4"), whole(2, 1, 6)], {}, 1)
    yield Case("Expand", [some((3, 1), "f4"), whole()], {}, 1)
    yield Case("Expand", [some((1, 1), "f4"), whole(0, 2)], {}, 1)
    yield Case("Tile", [some((2, 3), "f4"), whole(2, 0)], {}, 1)
    yield Case("Tile", [some((2, 1), "f4"), whole(1, 3)], {}, 1)


def cuts() -> Iterator[Case]:
    x = some((4, 5), "f4")
    yield Case("Concat", [some((2, n), "f4") for n in (1, 0, 3)], {"axis": -1})
    yield Case("Concat", [some((2,), "i8")], {"axis": 0})
    yield Case("Split", [x, whole(2, 0, 3)], {"axis": 1}, 1, 3)
    yield Case("Split", [x], {"axis": 0, "num_outputs": 3}, outputs=3)
    ends = [(0, 4, 1), (1, 100, 2), (-3, -1, 1), (2, 1, 1), (5, 9, 1), (0, 2**62, 1)]
    for start, end, step in [*ends, (-1, -100, -1), (3, 0, -2), (-1, -5, -3)]:
        yield Case("Slice", [x, whole(start), whole(end), whole(1), whole(step)], {}, 1)
    yield Case("Slice", [x, whole(1, 2), whole(3, 4)], {}, 1)
    yield Case("Slice", [x, whole(-2, 1), whole(9, -1), whole(1, 0)], {}, 1)
    for at in (np.array(1), whole(-1, 0), whole().reshape(0), whole(1, 2, 0, 0).reshape(2, 2)):
        yield Case("Gather", [x, at], {"axis": 1})
        yield Case("Gather", [x, at])
    yield Case("GatherElements", [x, whole(0, -1, 2, 3).reshape(4, 1)], {"axis": 1})
    yield Case("GatherElements", [x, whole(0, 3, 2, 1, 0).reshape(1, 5)], {"axis": 0})
    for upper in (0, 1):
        yield Case("Trilu", [some((2, 3, 4), "f4")], {"upper": upper})
        yield Case("Trilu", [some((3, 3), "i8"), np.array(-1)], {"upper": upper})


def sizes() -> Iterator[Case]:
    for shape in SHAPES:
        yield Case("Shape", [some(shape, "f4")])
        yield Case("Size", [some(shape, "f4")])
    yield Case("Shape", [some((2, 3, 4), "f4")], {"start": 1})
    yield Case("Shape", [some((2, 3, 4), "f4")], {"start": -3, "end": -1})
    yield Case("ConstantOfShape", [whole(2, 3)], {}, 0)
    fill = numpy_helper.from_array(whole(7))
    yield Case("ConstantOfShape", [whole(0, 3)], {"value": fill}, 0)
    yield Case("ConstantOfShape", [whole()], {"value": fill}, 0)
    for start, end, step in ((0, 5, 1), (5, 0, -2), (3, 3, 1), (4, 1, 1)):
        yield Case("Range", [np.array(start), np.array(end), np.array(step)], {}, 0)
    yield Case("Range", [np.array(n, np.float32) for n in (0.5, 2, 0.25)], {}, 0)
    for to in (1, 6, 7, 9, 10, 11):
        yield Case("Cast", [some((2, 3), "f4")], {"to": to})
        yield Case("Cast", [some((2, 3), "i8")], {"to": to})
    yield Case("Cast", [np.array([True, False])], {"to": 1})
    yield Case("Cast", [some((2, 3), "f4")], {"to": 16})


GROUPS = (unary, binary, reductions, normalizations, contractions, views, cuts, sizes)
CASES: dict[str, list[Case]] = {}
for group in GROUPS:
    for case in group():
        CASES.setdefault(case.op, []).append(case)
LATER = {"Swish"}  # than the opset that is tried here


def test_every_row_with_a_meaning_is_tried() -> None:
    wanted = {name for name, row in OPS.items() if row.numpy is not None and not row.own}
    contrib = {name for name in wanted if "::" in name}  # see test_contrib.py
    assert wanted - LATER - contrib == CASES.keys()


def compute(node: Node, arrays: Sequence[Array | None]) -> tuple[Array, ...]:
    row = OPS[node.op]
    assert row.numpy is not None
    with np.errstate(all="ignore"):
        found = row.numpy(*arrays[: len(node.inputs)], **node.attrs)
    return found if isinstance(found, tuple) else (found,)


@cache
def references(op: str) -> list[list[Array]]:
    """What onnx.reference gives for each case."""
    found = []
    for case in CASES[op]:
        given = {f"x{i}": a for i, a in enumerate(case.inputs[: case.constant]) if a is not None}
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.append(ReferenceEvaluator(case.model(False)).run(None, given))
    return [[np.asarray(array) for array in outputs] for outputs in found]


def only_node(model: onnx.ModelProto) -> Node:
    (node,) = from_proto(model).nodes()
    return node


@pytest.mark.parametrize("op", CASES)
def test_numpy_computes_what_the_reference_does(op: str) -> None:
    for case, expected in zip(CASES[op], references(op), strict=True):
        node = only_node(case.model(False))
        assert node.op == case.op, case
        for array, wanted in zip(compute(node, case.inputs), expected, strict=False):
            assert np.asarray(array).dtype == wanted.dtype, case
            assert np.shape(array) == wanted.shape, case
            if OPS[node.op].exact or wanted.dtype.kind not in "f":
                np.testing.assert_array_equal(array, wanted, str(case))
            else:
                close = CLOSE.get(str(wanted.dtype), 1e-2)
                if op in ("Erf", "Gelu"):
                    close = max(close, 1e-6)  # the reference's erf is a float32
                np.testing.assert_allclose(array, wanted, close, close / 10, err_msg=str(case))


def test_a_logarithm_of_softmax_does_not_underflow() -> None:
    log_softmax = OPS["LogSoftmax"].numpy
    assert log_softmax is not None
    x = np.array([[-500, 0, 500]], np.float32)
    np.testing.assert_array_equal(log_softmax(x, axis=-1), [[-1000, -500, 0]])


@pytest.mark.parametrize("symbols", [False, True], ids=["numbers", "symbols"])
@pytest.mark.parametrize("op", CASES)
def test_types_are_those_of_the_arrays(op: str, symbols: bool) -> None:
    names = {f"n{n}": n for n in range(100)}
    for case, expected in zip(CASES[op], references(op), strict=True):
        node = only_node(case.model(symbols))
        for value, wanted in zip(node.outputs, expected, strict=True):
            assert isinstance(value.type, TensorType)
            assert value.type.dtype == NAMES[wanted.dtype], case
            if value.type.shape is None:
                assert symbols, f"{case}: with numbers everything is known"
                continue
            assert len(value.type.shape) == wanted.ndim, case
            for dim, size in zip(value.type.shape, wanted.shape, strict=True):
                unknown = str(dim).startswith("_")
                assert unknown or evaluate(dim, names) == size, case
