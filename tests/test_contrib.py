"""Operators of ONNX Runtime's own domain compute what the table says that they compute."""

from __future__ import annotations

import numpy as np
import pytest

from graphwright.ir import operators as _rows  # noqa: F401, importing them fills the table
from graphwright.ir.graph import Graph, Header, Value
from graphwright.ir.ops import OPS, node_of, return_node
from graphwright.ir.types import TensorType
from graphwright.runtime import Runtime

ATTRS = {"com.microsoft::QuickGelu": {"alpha": 1.25}}


@pytest.mark.parametrize("op", sorted(n for n, row in OPS.items() if "::" in n and row.numpy))
def test_the_runtime_and_the_row_agree(op: str) -> None:
    x = Value(TensorType("f32", (3, 40)), name="x")
    attrs = ATTRS.get(op, {})
    node = node_of(op, (x,), attrs)
    assert node.outputs[0].type == x.type
    graph = Graph("one", (x,), return_node(node.outputs, ["y"]))
    graph.header = Header(8, {"": 17})
    array = np.linspace(-6, 6, 120, dtype=np.float32).reshape(3, 40)
    row = OPS[op].numpy
    assert row is not None
    with Runtime(isolated=False) as runtime:
        ((got,),) = runtime.evaluate(graph, [{"x": array}])
    np.testing.assert_allclose(got, row(array.astype(np.float64), **attrs), rtol=1e-4, atol=1e-5)


def test_what_the_runtime_has_is_found_by_trying() -> None:
    with Runtime(isolated=True) as runtime:
        assert runtime.supports("com.microsoft::Gelu", "f32", 17)
        assert not runtime.supports("com.microsoft::NoSuchOperator", "f32", 17)
        assert not runtime.supports("com.microsoft::Gelu", "i64", 17)
