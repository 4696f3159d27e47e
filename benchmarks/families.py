"""Large ONNX models for the speed benchmarks: deep, wide, many constants, sparse weights.

Every builder takes about how many nodes are wanted and writes whole repeated units, so the
count that comes out is close to, not exactly, the one asked for; ``len(model.graph.node)`` is
the number to divide by.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 14  # the last one where the legacy PyTorch exporter spelled LayerNorm out
HIDDEN = 8
HEADS = 2
JOINED = 16  # branches of the wide model that meet in one Concat

Dims = Sequence[str | int]


class GraphWriter:
    """Appends nodes to a GraphProto in place; ``make_node`` and a copy would double the cost."""

    def __init__(self, name: str) -> None:
        self.graph = onnx.GraphProto(name=name)
        self.scope = ""

    def node(self, op: str, inputs: Sequence[str], label: str = "", **ints: int) -> str:
        """Add one node in the current scope and return the name of its only output."""
        path = f"{self.scope}/{label or op}"
        output = f"{path}_output_0"
        added = self.graph.node.add(op_type=op, name=path, input=inputs, output=(output,))
        for key, value in ints.items():
            added.attribute.add(name=key, i=value, type=onnx.AttributeProto.INT)
        return output

    def listed(self, op: str, inputs: Sequence[str], label: str, key: str, *ints: int) -> str:
        """As ``node``, with one attribute that is a list of integers."""
        output = self.node(op, inputs, label)
        made = self.graph.node[-1].attribute.add(name=key, type=onnx.AttributeProto.INTS)
        made.ints.extend(ints)
        return output

    def constant(self, value: np.ndarray, label: str) -> str:
        """Add a Constant node, as the exporter writes every Python number it met."""
        output = self.node("Constant", (), label)
        made = self.graph.node[-1].attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
        kind = TensorProto.INT64 if value.dtype == np.int64 else TensorProto.FLOAT
        made.t.data_type = kind
        made.t.dims.extend(value.shape)
        made.t.raw_data = value.tobytes()
        return output

    def scalar(self, value: float, label: str) -> str:
        return self.constant(np.array(value, np.float32), label)

    def integers(self, value: int | Sequence[int], label: str) -> str:
        return self.constant(np.array(value, np.int64), label)

    def weight(self, name: str, value: np.ndarray) -> str:
        self.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
        return name

    def model(self, result: str, dims: Dims, out: Dims = ()) -> onnx.ModelProto:
        """Close the graph: one input ``x`` of ``dims``; ``result`` becomes the output ``y``."""
        self.graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, dims))
        self.graph.node.add(op_type="Identity", name="/out", input=(result,), output=("y",))
        self.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, out or dims))
        made = onnx.ModelProto(ir_version=8, producer_name="graphwright-benchmarks")
        made.opset_import.add(version=OPSET)
        made.graph.CopyFrom(self.graph)
        return made


def _repeat(writer: GraphWriter, nodes: int, unit: Callable[[int, str], str], first: str) -> str:
    """Write ``unit`` after ``unit``, each fed by the one before, until ``nodes`` are there."""
    current, index = first, 0
    while index == 0 or len(writer.graph.node) < nodes:
        current = unit(index, current)
        index += 1
    return current


def deep(nodes: int) -> onnx.ModelProto:
    """A transformer of as many post-norm encoder blocks as ``nodes`` asks for.

    Weights are shared between the blocks, so a file of a million nodes holds kilobytes of them.
    """
    writer = GraphWriter("deep")
    rng = np.random.default_rng(0)
    for name in ("query", "key", "value", "dense", "up", "down"):
        writer.weight(f"{name}.weight", rng.normal(0, 0.3, (HIDDEN, HIDDEN)))
        writer.weight(f"{name}.bias", rng.normal(0, 0.1, HIDDEN))
    writer.weight("norm.weight", rng.normal(1, 0.1, HIDDEN))
    writer.weight("norm.bias", rng.normal(0, 0.1, HIDDEN))
    result = _repeat(writer, nodes, lambda i, x: _block(writer, i, x), "x")
    return writer.model(result, ("B", "S", HIDDEN))


def _block(writer: GraphWriter, index: int, x: str) -> str:
    root = f"/encoder/layer.{index}"
    writer.scope = f"{root}/attention"
    attended = _linear(writer, _attention(writer, root, x), "dense", f"{root}/attention/output")
    writer.scope = f"{root}/attention/output/LayerNorm"
    x = _layer_norm(writer, writer.node("Add", (attended, x), "residual"))
    up = _linear(writer, x, "up", f"{root}/intermediate")
    writer.scope = f"{root}/intermediate/act"
    down = _linear(writer, _gelu(writer, up), "down", f"{root}/output")
    writer.scope = f"{root}/output/LayerNorm"
    return _layer_norm(writer, writer.node("Add", (down, x), "residual"))


def _linear(writer: GraphWriter, x: str, name: str, root: str) -> str:
    writer.scope = f"{root}/{name}"
    product = writer.node("MatMul", (x, f"{name}.weight"))
    return writer.node("Add", (f"{name}.bias", product))


def _layer_norm(writer: GraphWriter, x: str) -> str:
    mean = writer.listed("ReduceMean", (x,), "ReduceMean", "axes", -1)
    centred = writer.node("Sub", (x, mean))
    square = writer.node("Pow", (centred, writer.scalar(2.0, "Constant")))
    variance = writer.listed("ReduceMean", (square,), "ReduceMean_1", "axes", -1)
    shifted = writer.node("Add", (variance, writer.scalar(1e-5, "Constant_1")))
    scaled = writer.node("Div", (centred, writer.node("Sqrt", (shifted,))))
    return writer.node("Add", (writer.node("Mul", (scaled, "norm.weight")), "norm.bias"), "Add_1")


def _gelu(writer: GraphWriter, x: str) -> str:
    erf = writer.node("Erf", (writer.node("Div", (x, writer.scalar(2**0.5, "Constant"))),))
    shifted = writer.node("Add", (erf, writer.scalar(1.0, "Constant_1")))
    product = writer.node("Mul", (x, shifted))
    return writer.node("Mul", (product, writer.scalar(0.5, "Constant_2")), "Mul_1")


def _attention(writer: GraphWriter, root: str, x: str) -> str:
    scope = f"{root}/attention/self"
    query, key, value = (_heads(writer, x, name, scope) for name in ("query", "key", "value"))
    writer.scope = scope
    turned = writer.listed("Transpose", (key,), "Transpose", "perm", 0, 1, 3, 2)
    scores = writer.node("MatMul", (query, turned))
    root_of_width = writer.scalar((HIDDEN // HEADS) ** 0.5, "Constant")
    weights = writer.node("Softmax", (writer.node("Div", (scores, root_of_width)),), axis=-1)
    mixed = writer.node("MatMul", (weights, value), "MatMul_1")
    back = writer.listed("Transpose", (mixed,), "Transpose_1", "perm", 0, 2, 1, 3)
    shape = _leading_shape(writer, back, (HIDDEN,))
    return writer.node("Reshape", (back, shape))


def _heads(writer: GraphWriter, x: str, name: str, scope: str) -> str:
    projected = _linear(writer, x, name, scope)
    shape = _leading_shape(writer, projected, (HEADS, HIDDEN // HEADS))
    split = writer.node("Reshape", (projected, shape))
    return writer.listed("Transpose", (split,), "Transpose", "perm", 0, 2, 1, 3)


def _leading_shape(writer: GraphWriter, x: str, tail: Sequence[int]) -> str:
    """``x.shape[:2] + tail`` the way tracing leaves it: one Shape, Gather, Unsqueeze per size."""
    parts = []
    for axis in (0, 1):
        shape = writer.node("Shape", (x,), f"Shape_{axis}")
        which = writer.integers(axis, f"index_{axis}")
        size = writer.node("Gather", (shape, which), f"Gather_{axis}", axis=0)
        axes = writer.integers((0,), f"axes_{axis}")
        parts.append(writer.node("Unsqueeze", (size, axes), f"Unsqueeze_{axis}"))
    parts += [writer.integers((size,), f"size_{i}") for i, size in enumerate(tail)]
    return writer.node("Concat", parts, axis=0)


def wide(nodes: int) -> onnx.ModelProto:
    """Many parallel branches of one input, joined by Concats and a tree of Adds.

    Each branch has a factor of its own: equal branches would vanish as common subexpressions.
    """
    writer = GraphWriter("wide")
    rng = np.random.default_rng(0)
    writer.weight("bias", rng.normal(0, 0.1, HIDDEN))
    writer.weight("project", rng.normal(0, 0.3, (HIDDEN, HIDDEN)))
    level: list[str] = []
    joined = 0
    while not level or joined + len(level) < nodes:  # the tree adds one Add per group, less one
        group = [_branch(writer, len(level) * JOINED + i) for i in range(JOINED)]
        writer.scope = f"/join.{len(level)}"
        level.append(writer.node("Concat", group, axis=-1))
        joined = len(writer.graph.node)
    return writer.model(_add_tree(writer, level), ("B", "S", HIDDEN), ("B", "S", HIDDEN * JOINED))


def _branch(writer: GraphWriter, index: int) -> str:
    writer.scope = f"/branch.{index}"
    factor = writer.weight(f"factor.{index}", np.array(0.5 + index * 1e-6))
    scaled = writer.node("Mul", ("x", factor))
    hidden = writer.node("Add", (writer.node("MatMul", (scaled, "project")), "bias"))
    gate = writer.node("Sigmoid", (hidden,))
    return writer.node("Mul", (hidden, gate), "Mul_1")


def _add_tree(writer: GraphWriter, level: list[str]) -> str:
    depth = 0
    while len(level) > 1:
        writer.scope = f"/tree.{depth}"
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [writer.node("Add", pair, f"Add_{i}") for i, pair in enumerate(pairs)]
        level, depth = above + level[len(above) * 2 :], depth + 1
    return level[0]


def constants(nodes: int) -> onnx.ModelProto:
    """Mostly Constant nodes: scalar arithmetic and shape vectors that all fold away."""
    writer = GraphWriter("constants")
    result = _repeat(writer, nodes, lambda i, x: _folding(writer, i, x), "x")
    return writer.model(result, ("B", HIDDEN))


def _folding(writer: GraphWriter, index: int, x: str) -> str:
    writer.scope = f"/fold.{index}"
    factor = 1.0 + (index % 97 + 1) / 128
    inverse = writer.scalar(1.0 / factor, "Constant")
    unit = writer.node("Mul", (inverse, writer.scalar(factor, "Constant_1")))
    x = writer.node("Mul", (x, unit), "Mul_1")
    step = writer.constant(np.linspace(-1, 1, HIDDEN, dtype=np.float32), "Constant_2")
    offset = writer.node("Mul", (step, writer.scalar(1e-4 * factor, "Constant_3")), "Mul_2")
    x = writer.node("Add", (x, writer.node("Neg", (offset,))))
    width = writer.node("Mul", (writer.integers((2,), "a"), writer.integers((4,), "b")), "Mul_3")
    shape = writer.node("Concat", (writer.integers((-1,), "c"), width), axis=0)
    return writer.node("Reshape", (x, shape))


def sparse_weights(path: str | os.PathLike[str], gib: float = 8, width: int = 1024) -> int:
    """Save MatMul+Add+GELU layers whose external weights are a sparse file of ``gib`` GiB.

    The file takes next to no disk; what reads it all still pays for its full size in memory.
    Returns the number of nodes.
    """
    writer, target = GraphWriter("sparse"), Path(path)
    stored, size = f"{target.name}.data", int(gib * 2**30)
    layer_bytes = (width * width + width) * 4
    current, offset = "x", 0
    for index in range(max(1, size // layer_bytes)):
        writer.scope = f"/layer.{index}"
        names = f"layer.{index}.weight", f"layer.{index}.bias"
        for name, dims in zip(names, ((width, width), (width,)), strict=True):
            offset = _external(writer.graph, name, dims, stored, offset)
        product = writer.node("MatMul", (current, names[0]))
        current = _gelu(writer, writer.node("Add", (product, names[1]), "bias"))
    model = writer.model(current, ("B", "S", width))
    target.write_bytes(model.SerializeToString())
    with open(target.with_name(stored), "wb") as weights:
        weights.truncate(max(size, offset))
    return len(model.graph.node)


def _external(graph: onnx.GraphProto, name: str, dims: Iterable[int], file: str, at: int) -> int:
    """Record a float tensor that lies at byte ``at`` of ``file``; return where it ends."""
    tensor = graph.initializer.add(name=name, dims=dims, data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    length = int(np.prod(tensor.dims)) * 4
    for key, value in (("location", file), ("offset", at), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return at + length


FAMILIES: dict[str, Callable[[int], onnx.ModelProto]] = {
    "deep": deep,
    "wide": wide,
    "constants": constants,
}
