"""What opsets lack is written so that ONNX Runtime makes one operator of it: norms, and Gelu."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from tests.onnx_building import info, model, weight

import graphwright as gw


def _node(op: str, reads: str, gives: str, **attrs: object) -> onnx.NodeProto:
    return onnx.helper.make_node(op, reads.split(), [gives], **attrs)


def _norm(kind: str, gain: bool) -> list[onnx.NodeProto]:
    centred = [
        _node("ReduceMean", "x", "mean", axes=[-1], keepdims=1),
        _node("Sub", "x mean", "d"),
    ]
    d = "d" if kind == "layer" else "x"
    return [
        *(centred if kind == "layer" else []),
        _node("Pow", f"{d} two", "square"),
        _node("ReduceMean", "square", "v", axes=[-1], keepdims=1),
        _node("Add", "v eps", "w"),
        _node("Sqrt", "w", "root"),
        _node("Div", f"{d} root", "n" if gain else "y"),
        *([_node("Mul", "n g", "m"), _node("Add", "m b", "y")] if gain else []),
    ]


def _graph(kind: str, gain: bool, path: Path) -> gw.Graph:
    weights = [weight("two", 2.0), weight("eps", 1e-5)]
    if gain:
        weights += [weight("g", np.linspace(0.5, 2, 64)), weight("b", np.linspace(-1, 1, 64))]
    proto = model(
        _norm(kind, gain), [info("x", "B", "S", 64)], [info("y", "B", "S", 64)], weights, opset=16
    )
    onnx.save(proto, path)
    return gw.load(path)


def _run_as(path: Path) -> Counter[str]:
    """The operators that ONNX Runtime runs the file as."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path.with_suffix(".optimized.onnx"))
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Counter(n.op_type for n in onnx.load(options.optimized_model_filepath).graph.node)


@pytest.mark.parametrize(
    ("kind", "ours", "theirs"),
    [
        ("layer", "LayerNormalization", "LayerNormalization"),
        ("root mean square", "RMSNormalization", "SimplifiedLayerNormalization"),
    ],
)
def test_the_runtime_knows_a_norm_that_is_written_out(
    kind: str, ours: str, theirs: str, tmp_path: Path
) -> None:
    done = gw.optimize(_graph(kind, True, tmp_path / "before.onnx"))
    assert done.report.nodes_after[ours] == 1
    gw.save(done.graph, tmp_path / "after.onnx")
    assert _run_as(tmp_path / "after.onnx")[theirs] == 1


@pytest.mark.parametrize("kind", ["layer", "root mean square"])
def test_no_ones_are_written_out(kind: str, tmp_path: Path) -> None:
    graph = _graph(kind, False, tmp_path / "before.onnx")
    assert gw.optimize(graph).report.nodes_after["Div"] == 1


def test_the_runtime_knows_a_tanh_gelu_that_is_written_out(tmp_path: Path) -> None:
    nodes = [
        _node("Relu", "given", "x"),
        _node("Mul", "x x", "square"),
        _node("Mul", "square x", "cube"),
        _node("Mul", "cube small", "bent"),
        _node("Add", "x bent", "sum"),
        _node("Mul", "sum root", "inner"),
        _node("Tanh", "inner", "t"),
        _node("Add", "t one", "both"),
        _node("Mul", "x both", "twice"),
        _node("Mul", "twice half", "g"),
        _node("Relu", "g", "y"),
    ]
    numbers = {"small": 0.044715, "root": (2 / np.pi) ** 0.5, "one": 1.0, "half": 0.5}
    weights = [weight(name, value) for name, value in numbers.items()]
    given, gives = [info("given", "B", "S", 64)], [info("y", "B", "S", 64)]
    onnx.save(model(nodes, given, gives, weights, opset=17), tmp_path / "before.onnx")
    done = gw.optimize(tmp_path / "before.onnx")
    assert done.report.nodes_after["Gelu"] == 1
    gw.save(done.graph, tmp_path / "after.onnx")
    assert _run_as(tmp_path / "after.onnx")["FastGelu"] == 1
