"""Operators of ONNX Runtime's own domain compute what the table says that they compute."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from graphwright.ir import operators as _rows  # noqa: F401, importing them fills the table
from graphwright.ir.graph import Graph, Header, Value
from graphwright.ir.ops import OPS, node_of, return_node
from graphwright.ir.types import TensorType
from graphwright.runtime import Runtime

MHA = "com.microsoft::MultiHeadAttention"
PRODUCT = "com.microsoft::FusedMatMul"
ATTRS = {
    "com.microsoft::QuickGelu": {"alpha": 1.25},
    MHA: {"num_heads": 4, "scale": 0.7},
    PRODUCT: {"alpha": 0.5, "transA": 1, "transB": 1},
}
SHAPES = {
    PRODUCT: ((2, 5, 3), (4, 5)),
    MHA: ((2, 5, 12), (2, 4, 7, 3), (2, 4, 7, 3), None, None, (1, 4, 5, 7)),
}
ROTARY = "com.microsoft::RotaryEmbedding"


@pytest.mark.parametrize(
    "op", sorted(n for n, row in OPS.items() if "::" in n and row.numpy and n != ROTARY)
)
def test_the_runtime_and_the_row_agree(op: str) -> None:
    shapes = SHAPES.get(op, ((3, 40),))
    given = [s and Value(TensorType("f32", s), name=f"x{i}") for i, s in enumerate(shapes)]
    attrs = ATTRS.get(op, {})
    node = node_of(op, given, attrs)
    graph = Graph("one", tuple(v for v in given if v), return_node(node.outputs, ["y"]))
    graph.header = Header(8, {"": 17})
    arrays = [s and np.linspace(-6, 6, prod(s)).reshape(s) for s in shapes]
    row = OPS[op].numpy
    assert row is not None
    feed = {f"x{i}": a.astype(np.float32) for i, a in enumerate(arrays) if a is not None}
    with Runtime(isolated=False) as runtime:
        ((got,),) = runtime.evaluate(graph, [feed])
    assert node.outputs[0].type == TensorType("f32", got.shape)
    np.testing.assert_allclose(got, row(*arrays, **attrs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("width", [8, 4])
@pytest.mark.parametrize("shape", [(2, 3, 5, 8), (2, 5, 24)])
@pytest.mark.parametrize("positions", [[1], [[0, 1, 2, 3, 4], [5, 3, 0, 1, 2]]])
def test_rotary_embedding(
    interleaved: int, width: int, shape: tuple[int, ...], positions: list[int]
) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "x": random.standard_normal(shape).astype(np.float32),
        "positions": np.array(positions, np.int64),
        "cos": random.standard_normal((6, width // 2)).astype(np.float32),
        "sin": random.standard_normal((6, width // 2)).astype(np.float32),
    }
    attrs = {"interleaved": interleaved, "num_heads": 3}
    attrs |= {"rotary_embedding_dim": width} if width < 8 else {}
    kinds = {"f": "f32", "i": "i64"}
    given = tuple(
        Value(TensorType(kinds[a.dtype.kind], a.shape), name=name) for name, a in arrays.items()
    )
    node = node_of(ROTARY, given, attrs)
    assert node.outputs[0].type == given[0].type
    graph = Graph("one", given, return_node(node.outputs, ["y"]))
    graph.header = Header(8, {"": 17})
    row = OPS[ROTARY].numpy
    assert row is not None
    with Runtime(isolated=False) as runtime:
        ((got,),) = runtime.evaluate(graph, [arrays])
    np.testing.assert_allclose(got, row(*arrays.values(), **attrs), rtol=1e-4, atol=1e-5)


def test_what_the_runtime_has_is_found_by_trying() -> None:
    with Runtime(isolated=True) as runtime:
        assert runtime.supports("com.microsoft::Gelu", "f32", 17)
        assert not runtime.supports("com.microsoft::NoSuchOperator", "f32", 17)
        assert not runtime.supports("com.microsoft::Gelu", "i64", 17)
