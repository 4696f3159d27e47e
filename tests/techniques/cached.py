"""A small decoder with a cache and shared keys, as exporters write one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from tests.models import Builder

from graphwright.ir.const import Array

LAYERS, WIDTH, HEADS, KEYS, DEPTH, WORDS = 2, 32, 4, 2, 8, 19


def decoder(path: Path, dead: tuple[int, ...] = ()) -> dict[str, Array]:
    """Write the model to a file; inputs for it. Heads that are `dead` add nothing."""
    b = Builder(7)
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", 1])]
    outputs = [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["batch", 1, WIDTH])]
    x = b.op("Gather", b.weight(WORDS, WIDTH), "ids")
    for layer in range(LAYERS):
        x = b.op("Add", x, _attention(b, b.norm(x, WIDTH), layer, dead))
        x = b.op("Add", x, b.op("Tanh", b.linear(b.norm(x, WIDTH), WIDTH, WIDTH)))
        for kind in ("key", "value"):
            for name, size, into in (("past", "past", inputs), ("present", "total", outputs)):
                shape = ["batch", KEYS, size, DEPTH]
                said = helper.make_tensor_value_info(
                    f"{name}.{layer}.{kind}", TensorProto.FLOAT, shape
                )
                into.append(said)
    b.nodes.append(helper.make_node("Identity", [x], ["hidden"]))
    graph = helper.make_graph(b.nodes, "decoder", inputs, outputs, b.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    rng = np.random.default_rng(1)
    past = {
        f"past.{layer}.{kind}": rng.normal(size=(3, KEYS, 5, DEPTH)).astype(np.float32)
        for layer in range(LAYERS)
        for kind in ("key", "value")
    }
    return {"ids": rng.integers(0, WORDS, (3, 1)), **past}


def _attention(b: Builder, x: str, layer: int, dead: tuple[int, ...]) -> str:
    q = _split(b, b.linear(x, WIDTH, HEADS * DEPTH), HEADS)
    cached = []
    for kind in ("key", "value"):
        new = _split(b, b.linear(x, WIDTH, KEYS * DEPTH), KEYS)
        present = f"present.{layer}.{kind}"
        b.nodes.append(helper.make_node("Concat", [f"past.{layer}.{kind}", new], [present], axis=2))
        cached.append(_repeated(b, present))
    keys = b.op("Transpose", cached[0], perm=[0, 1, 3, 2])
    scores = b.op("Mul", b.op("MatMul", q, keys), b.constant(DEPTH**-0.5))
    mixed = b.op("MatMul", b.op("Softmax", scores, axis=-1), cached[1])
    rows = b.op("Transpose", mixed, perm=[0, 2, 1, 3])
    joined = b.op("Reshape", rows, b.constant([0, 0, HEADS * DEPTH], np.int64))
    weight = b.rng.normal(size=(HEADS, DEPTH, WIDTH)) / WIDTH**0.5
    weight[list(dead)] = 0
    return b.op("MatMul", joined, b.constant(weight.reshape(HEADS * DEPTH, WIDTH)))


def _split(b: Builder, x: str, heads: int) -> str:
    apart = b.op("Reshape", x, b.constant([0, 0, heads, DEPTH], np.int64))
    return b.op("Transpose", apart, perm=[0, 2, 1, 3])


def _repeated(b: Builder, x: str) -> str:
    """Each head of keys for each of the heads that share it."""
    size = b.op("Shape", x)
    at = [b.op("Gather", size, b.constant([i], np.int64)) for i in (0, 2)]
    count, shared, width = (b.constant([n], np.int64) for n in (KEYS, HEADS // KEYS, DEPTH))
    shape = b.op("Concat", at[0], count, shared, at[1], width, axis=0)
    wide = b.op("Expand", b.op("Unsqueeze", x, b.constant([2], np.int64)), shape)
    whole = b.op("Concat", at[0], b.constant([HEADS], np.int64), at[1], width, axis=0)
    return b.op("Reshape", wide, whole)
