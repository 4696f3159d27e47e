"""Small whole models, built here so that no test needs a file."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TYPES = 2
POSITIONS = 40


class Builder:
    """Nodes and weights of one model; `op` gives the name of what it makes."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.names: set[str] = set()
        self.rng = np.random.default_rng(seed)

    def op(self, kind: str, *inputs: str, name: str = "", **attrs: object) -> str:
        label = name if name and name not in self.names else f"{name or kind}_{len(self.nodes)}"
        self.names.add(label)
        self.nodes.append(helper.make_node(kind, inputs, [f"{label}_out"], label, **attrs))
        return f"{label}_out"

    def constant(self, value: object, dtype: type = np.float32) -> str:
        name = f"const_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def weight(self, *shape: int) -> str:
        return self.constant(self.rng.normal(size=shape) / np.sqrt(shape[0]))

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        return self.op(
            "Add", self.op("MatMul", x, self.weight(inputs, outputs)), self.weight(outputs)
        )

    def norm(self, x: str, width: int) -> str:
        return self.op(
            "LayerNormalization", x, self.weight(width), self.weight(width), epsilon=1e-5
        )


def encoder(
    layers: int = 1, width: int = 8, heads: int = 2, words: int = 23, opset: int = 17
) -> onnx.ModelProto:
    """A BERT: ids, token types and a padding mask, all [batch, seq], into hidden states and logits.

    Written as exporters write it: attention with a mask that is added, norms, and GELU by Erf.
    """
    b = Builder()
    x = _embedded(b, words, width)
    mask = _additive(b)
    for _ in range(layers):
        x = b.norm(b.op("Add", x, _attention(b, x, mask, width, heads)), width)
        x = b.norm(b.op("Add", x, feed_forward(b, x, width)), width)
    b.op("Identity", x, name="hidden")
    b.nodes[-1].output[0] = "hidden"
    b.nodes.append(
        helper.make_node("MatMul", ["hidden", b.weight(width, words)], ["logits"], "head")
    )
    return _model(b, width, words, opset)


def _embedded(b: Builder, words: int, width: int) -> str:
    ids = b.op("Gather", b.weight(words, width), "input_ids", name="word_embedding")
    kinds = b.op("Gather", b.weight(TYPES, width), "token_type_ids", name="type_embedding")
    length = b.op("Gather", b.op("Shape", "input_ids"), b.constant(1, np.int64))
    zero, one = b.constant(0, np.int64), b.constant(1, np.int64)
    places = b.op("Gather", b.weight(POSITIONS, width), b.op("Range", zero, length, one))
    return b.norm(b.op("Add", b.op("Add", ids, kinds), places), width)


def _additive(b: Builder) -> str:
    """[batch, seq] of 0 and 1 into [batch, 1, 1, seq] of 0 and the lowest float."""
    wide = b.op("Unsqueeze", "attention_mask", b.constant([1, 2], np.int64))
    hidden = b.op("Sub", b.constant(1.0), b.op("Cast", wide, to=TensorProto.FLOAT))
    return b.op("Mul", hidden, b.constant(np.finfo(np.float32).min), name="mask")


def _attention(b: Builder, x: str, mask: str, width: int, heads: int) -> str:
    depth = width // heads
    split = b.constant([0, 0, heads, depth], np.int64)
    parts = [b.op("Reshape", b.linear(x, width, width), split) for _ in range(3)]
    q, v = (b.op("Transpose", parts[i], perm=[0, 2, 1, 3]) for i in (0, 2))
    k = b.op("Transpose", parts[1], perm=[0, 2, 3, 1])
    scores = b.op("Div", b.op("MatMul", q, k), b.constant(np.sqrt(depth)))
    weights = b.op("Softmax", b.op("Add", scores, mask), axis=-1, name="weights")
    mixed = b.op("Transpose", b.op("MatMul", weights, v), perm=[0, 2, 1, 3])
    joined = b.op("Reshape", mixed, b.constant([0, 0, width], np.int64))
    return b.linear(joined, width, width)


def feed_forward(b: Builder, x: str, width: int) -> str:
    h = b.linear(x, width, 4 * width)
    erf = b.op("Erf", b.op("Div", h, b.constant(np.sqrt(2))))
    gelu = b.op(
        "Mul", b.op("Mul", h, b.op("Add", erf, b.constant(1.0))), b.constant(0.5), name="gelu"
    )
    return b.linear(gelu, 4 * width, width)


def _model(b: Builder, width: int, words: int, opset: int) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "seq"])
        for name in ("input_ids", "token_type_ids", "attention_mask")
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "seq", size])
        for name, size in (("hidden", width), ("logits", words))
    ]
    graph = helper.make_graph(b.nodes, "encoder", inputs, outputs, b.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model
