"""What the installed ONNX Runtime can do, learnt by trying it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx.helper import make_node, make_opsetid, make_tensor_value_info

from graphwright.backends.ort.pack import Packed
from graphwright.backends.ort.worker import Worker
from graphwright.ir.errors import ModelError
from graphwright.ir.onnx_types import NUMBERS
from graphwright.ir.types import NUMPY

SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "BiasGelu": ((2, 4), (4,)),
    "FastGelu": ((2, 4), (4,)),
    "LayerNormalization": ((2, 4), (4,), (4,)),
    "RMSNormalization": ((2, 4), (4,)),
    "SimplifiedLayerNormalization": ((2, 4), (4,)),
    "SkipLayerNormalization": ((2, 3, 4), (2, 3, 4), (4,), (4,)),
    "Attention": ((1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4)),
    "MultiHeadAttention": ((1, 2, 4), (1, 3, 4), (1, 3, 4)),
    "MatMul": ((2, 4), (4, 3)),
    "FusedMatMul": ((2, 4), (4, 3)),
    "RotaryEmbedding": ((1, 2, 3, 4), (1, 3, 2), (1, 3, 2)),
    "com.microsoft::RotaryEmbedding": ((1, 2, 3, 4), (1,), (4, 2), (4, 2)),
}
"""The shapes of what operators read that are not content with one matrix."""
POSITIONS = {"com.microsoft::RotaryEmbedding": 1}
"""Which operand holds integers."""

ATTRS: dict[str, dict[str, Any]] = {"MultiHeadAttention": {"num_heads": 2}}
"""The attributes that operators cannot do without."""

Evaluate: TypeAlias = Callable[[Packed, Sequence[Any]], list[list[Any]]]
OLDEST_IR = 3
KNOWN: dict[tuple[str, ...], bool] = {}


def supports(
    op: str,
    domain: str = "",
    opset: int = 21,
    dtype: str = "f32",
    *,
    evaluate: Evaluate | None = None,
) -> bool:
    """Whether the installed runtime runs an operator of a domain in a model of ONNX's `opset`.

    It is asked once, by `evaluate`, or else in a child process.
    """
    key = (runtime_version(), op, domain, str(opset), dtype)
    if key not in KNOWN:
        if evaluate is not None:
            KNOWN[key] = _runs(evaluate, op, domain, opset, dtype)
        else:
            with Worker() as worker:
                KNOWN[key] = _runs(worker.evaluate, op, domain, opset, dtype)
    return KNOWN[key]


def runtime_version() -> str:
    """The version of the installed ONNX Runtime; "" where that is not told."""
    for name in ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""


def _runs(evaluate: Evaluate, op: str, domain: str, opset: int, dtype: str) -> bool:
    try:
        evaluate(Packed(_one_node(op, domain, opset, dtype)), [_feed(op, domain, dtype)])
    except ModelError:
        return False
    return True


def _one_node(op: str, domain: str, opset: int, dtype: str) -> bytes:
    operands = _operands(op, domain, dtype)
    graph = onnx.GraphProto(name="probe")
    graph.node.append(make_node(op, [*operands], ["y"], domain=domain, **ATTRS.get(op, {})))
    for name, (shape, kind) in operands.items():
        graph.input.append(make_tensor_value_info(name, NUMBERS[kind], shape))
    graph.output.add(name="y")
    model = onnx.ModelProto(ir_version=_ir_version(opset))
    model.graph.CopyFrom(graph)
    model.opset_import.append(make_opsetid("", opset))
    if domain:
        model.opset_import.append(make_opsetid(domain, 1))
    data: bytes = model.SerializeToString()
    return data


def _ir_version(opset: int) -> int:
    known = onnx.helper.OP_SET_ID_VERSION_MAP
    return max(known.get(("ai.onnx", opset), onnx.IR_VERSION), OLDEST_IR)


def _feed(op: str, domain: str, dtype: str) -> dict[str, Any]:
    operands = _operands(op, domain, dtype)
    return {name: np.ones(shape).astype(NUMPY[kind]) for name, (shape, kind) in operands.items()}


def _operands(op: str, domain: str, dtype: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """What the operator is tried on: names, and the shape and element type of each."""
    full = f"{domain}::{op}"
    shapes = SHAPES.get(full) or SHAPES.get(op) or ((2, 4),)
    kinds = ["i64" if i == POSITIONS.get(full) else dtype for i in range(len(shapes))]
    return {f"x{i}": each for i, each in enumerate(zip(shapes, kinds, strict=True))}
