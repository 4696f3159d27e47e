"""Sizes that are too large formulas are not known, and are found so at once."""

from __future__ import annotations

import time
from functools import reduce
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import graphwright as gw
from graphwright.ir.dims import least, product, sym
from graphwright.ir.errors import TooLarge
from graphwright.ir.graph import Value
from graphwright.ir.ops import constant, contents_made

STEPS = {
    "squares": [("Mul", "v", "v")],
    "squared sums": [("Add", "v", "r"), ("Mul", "v", "v")],
    "quotients": [("Mul", "v", "v"), ("Add", "v", "r"), ("Div", "v", "three")],
}


def _model(steps: list[tuple[str, str, str]], size: str | int) -> onnx.ModelProto:
    nodes = [helper.make_node("Shape", ["x"], ["v0"]), helper.make_node("Shape", ["z"], ["r"])]
    three = helper.make_tensor("three", TensorProto.INT64, [1], [3])
    count = 0
    for op, a, b in 40 * steps:
        read = [name if name != "v" else f"v{count}" for name in (a, b)]
        count += 1
        nodes.append(helper.make_node(op, read, [f"v{count}"]))
    nodes.append(helper.make_node("Min", [f"v{count}", "three"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [size]),
            helper.make_tensor_value_info("z", TensorProto.FLOAT, ["R"]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [1])],
        [three],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("size", ["S", 5])
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_a_size_that_grows_without_end_takes_no_time(
    steps: list[tuple[str, str, str]], size: str | int, tmp_path: Path
) -> None:
    onnx.save(_model(steps, size), tmp_path / "m.onnx")
    start = time.perf_counter()
    graph = gw.load(tmp_path / "m.onnx")
    assert str(graph)
    assert time.perf_counter() - start < 2
    start = time.perf_counter()
    assert gw.optimize(graph).report.ok
    assert time.perf_counter() - start < 10


def test_a_size_has_few_names_and_factors() -> None:
    with pytest.raises(TooLarge):
        product([sym("S")] * 9)
    with pytest.raises(TooLarge):
        reduce(lambda dim, i: least(dim + 1, i), range(2, 100), sym("S"))
    with pytest.raises(TooLarge):
        sum((sym(f"s{i}") for i in range(257)), start=sym("S") * 1)


def test_contents_that_are_too_large_are_not_known() -> None:
    value = constant([1], "i64")
    assert isinstance(value, Value)
    held = Value(value.type, contents=(product([sym("S")] * 8),))
    assert contents_made("Mul", [held, held], {}) is None
    assert contents_made("Add", [held, held], {}) is not None
