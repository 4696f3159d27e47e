"""What the report says of operators that a file can neither have nor hold as functions."""

from __future__ import annotations

from collections import Counter

import onnx
import pytest
from tests.onnx_building import info, model, node, ops, weight, whole

import graphwright as gw
from graphwright.frontends.onnx import from_proto
from graphwright.ir.types import TensorType
from graphwright.report import count_operators
from graphwright.summary import runs_on

GELU = [
    node("Div", ["x", "root"], ["d"]),
    node("Erf", ["d"], ["e"]),
    node("Add", ["e", "one"], ["a"]),
    node("Mul", ["x", "a"], ["m"]),
    node("Mul", ["m", "half"], ["y"]),
]
NUMBERS = [weight("root", 2**0.5), weight("one", 1.0), weight("half", 0.5)]


@pytest.mark.parametrize(("ir", "how"), [(7, "in place"), (8, "as a function")])
def test_operators_are_counted_as_they_are_written(ir: int, how: str) -> None:
    proto = model(GELU, [info("x", "B", 8)], [info("y", "B", 8)], NUMBERS, opset=14, ir=ir)
    graph = gw.optimize(from_proto(proto)).graph
    assert any(n.op == "Gelu" for n in graph.nodes())
    written = Counter(op for op in ops(whole(graph).graph) if op != "Constant")
    assert count_operators(graph) == written
    assert f"; Gelu written out {how}" in runs_on(graph, None)


def test_an_output_that_a_function_gives_has_a_type_where_the_file_gave_none() -> None:
    proto = model(GELU, [info("x", "B", 8)], [onnx.ValueInfoProto(name="y")], NUMBERS, opset=14)
    again = from_proto(whole(gw.optimize(from_proto(proto)).graph))
    (output,) = again.outputs
    assert output is not None
    assert isinstance(output.type, TensorType)
    assert output.type.rank == 2
