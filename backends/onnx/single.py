"""One node computed by ONNX's reference implementation, where our table gives no meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx.reference import ReferenceEvaluator

from graphwright.backends.onnx.write import to_proto
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, Graph, Header, Node, Value
from graphwright.ir.ops import return_node
from graphwright.ir.types import TensorType

RANDOM = ("RandomNormal", "RandomUniform", "Multinomial", "Bernoulli")


def one_node(node: Node, attrs: Mapping[str, Attr], opset: int) -> Callable[..., tuple[Any, ...]]:
    """What computes `node` from its operands. Raises ModelError where ONNX gives no meaning."""
    if "::" in node.op:
        raise ModelError(f"the operator {node.op} is not ONNX's, and what it computes is not known")
    if node.op.startswith(RANDOM):
        raise ModelError(f"the operator {node.op} is random")
    evaluator = _evaluator(node, attrs, opset)
    names = list(evaluator.input_names)

    def compute(*operands: Any, **_: Any) -> tuple[Any, ...]:
        given = [x for x in _hidden(node, operands) if x is not None]
        found = evaluator.run(None, dict(zip(names, given, strict=True)))
        return _placed(node, list(found))

    return compute


def _hidden(node: Node, operands: Sequence[Any]) -> Sequence[Any]:
    """The operands, with -inf for the lowest number of its type where that is an Attention's mask.

    ONNX Runtime takes the two for the same, so that rows of nothing else give 0 and no average; in
    float64 the lowest number of a narrow type would be one like any other.
    """
    if node.op.partition("@")[0] != "Attention" or len(operands) < 4 or operands[3] is None:
        return operands
    mask, type_ = np.asarray(operands[3]), getattr(node.inputs[3], "type", None)
    if mask.dtype != np.float64 or not isinstance(type_, TensorType):
        return operands
    lowest = -65504.0 if type_.dtype == "f16" else float(np.finfo(np.float32).min)
    return [*operands[:3], np.where(mask <= lowest, -np.inf, mask), *operands[4:]]


def _evaluator(node: Node, attrs: Mapping[str, Attr], opset: int) -> ReferenceEvaluator:
    _, _, given = node.op.partition("@")
    inputs = [None if v is None else Value(name=f"x{i}") for i, v in enumerate(node.inputs)]
    outputs = tuple(Value() for _ in node.outputs)
    Node(node.op, tuple(inputs), dict(attrs), outputs)
    read = [copy for copy, v in zip(outputs, node.outputs, strict=True) if v.uses]
    graph = Graph(
        "one",
        tuple(v for v in inputs if v is not None),
        return_node(read, [f"y{i}" for i in range(len(read))]),
        header=Header(10, {"": int(given) if given else opset}),
    )
    proto, _ = to_proto(graph)
    try:
        return ReferenceEvaluator(proto)
    except Exception as error:  # it raises what it likes
        raise ModelError(f"ONNX's reference has no {node.op}: {error}") from None


def _placed(node: Node, found: list[Any]) -> tuple[Any, ...]:
    results = iter(found)
    return tuple(next(results) if v.uses else None for v in node.outputs)
