"""Types become more precise once more is known, and never contradict what was."""

from __future__ import annotations

from graphwright.ir import operators as _rows  # noqa: F401, importing them fills the table
from graphwright.ir.dims import sym
from graphwright.ir.graph import Graph, Value
from graphwright.ir.ops import apply, constant, return_node
from graphwright.ir.retype import is_sharper, retype
from graphwright.ir.types import UNKNOWN, TensorType


def test_what_is_folded_sharpens_what_follows() -> None:
    x = Value(TensorType("f32", (sym("B"), 16)), name="x")
    pads = Value(TensorType("i64", (4,)))
    padded = apply("Pad", x, pads)
    padded.outputs[0].type = TensorType("f32", (sym("_0"), sym("_1")))  # as the file's hint was
    twice = apply("Add", padded.outputs[0], padded.outputs[0])
    graph = Graph("g", (x, pads), return_node([twice.outputs[0]], ["y"]))
    assert not retype(graph.reachable())
    graph.replace(pads, constant([0, 0, 0, 4], "i64"))
    assert retype(graph.reachable()) == 2
    assert str(graph.outputs[0].type if graph.outputs[0] else None) == "f32[B, 20]"
    assert not retype(graph.reachable())


def test_only_open_sizes_give_way() -> None:
    open_, named = TensorType("f32", (sym("_7"), 4)), TensorType("f32", (sym("B"), 4))
    assert is_sharper(named, open_)
    assert not is_sharper(open_, named)
    assert not is_sharper(TensorType("f32", (2, 4)), named)
    assert is_sharper(named, UNKNOWN)
    assert not is_sharper(TensorType("f16", (2, 4)), open_)
    assert open_.admits(named)
    assert not named.admits(open_)
