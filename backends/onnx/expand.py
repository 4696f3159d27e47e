"""Operators that a file's opset lacks, written out in operators that it has."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from graphwright.backends.onnx.rotary import rotary
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, Node, Value
from graphwright.ir.operators.attention import written_out
from graphwright.ir.ops import node_of
from graphwright.ir.types import TensorType

Body: TypeAlias = Callable[..., Value]


def _op(name: str, *inputs: Value | float, **attrs: Attr) -> Value:
    return node_of(name, inputs, attrs).outputs[0]


def gelu(x: Value, approximate: str = "none") -> Value:
    """The function x (1 + erf(x / sqrt 2)) / 2, or its tanh form."""
    if approximate == "none":
        return _op(
            "Mul", _op("Mul", x, 0.5), _op("Add", _op("Erf", _op("Div", x, math.sqrt(2))), 1.0)
        )
    # As exporters write it: ONNX Runtime knows the cube as a power only, and then runs one kernel.
    cube = _op("Mul", _op("Pow", x, 3.0), 0.044715)
    inner = _op("Mul", _op("Add", x, cube), math.sqrt(2 / math.pi))
    return _op("Mul", _op("Mul", x, 0.5), _op("Add", _op("Tanh", inner), 1.0))


def swish(x: Value, alpha: float = 1.0) -> Value:
    """The function x sigmoid(alpha x)."""
    return _op("Mul", x, _op("Sigmoid", x if alpha == 1 else _op("Mul", x, alpha)))


def layer_norm(
    x: Value,
    scale: Value,
    bias: Value | None = None,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Value:
    """(x - mean x) / sqrt(mean (x - mean x)^2 + epsilon) * scale + bias."""
    wide, back = _widened(x)
    axes = _trailing(x, axis)
    d = _op("Sub", wide, _op("ReduceMean", wide, axes=axes, keepdims=1))
    variance = _op("ReduceMean", _op("Pow", d, 2.0), axes=axes, keepdims=1)
    y = _op("Mul", back(_op("Div", d, _op("Sqrt", _op("Add", variance, epsilon)))), scale)
    return y if bias is None else _op("Add", y, bias)


def rms_norm(
    x: Value, scale: Value, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Value:
    """The function x / sqrt(mean x^2 + epsilon) * scale."""
    wide, back = _widened(x)
    mean = _op("ReduceMean", _op("Pow", wide, 2.0), axes=_trailing(x, axis), keepdims=1)
    return _op("Mul", back(_op("Div", wide, _op("Sqrt", _op("Add", mean, epsilon)))), scale)


def _widened(x: Value) -> tuple[Value, Callable[[Value], Value]]:
    """The value in float32 or wider, as the operators compute, and the way back."""
    dtype = x.type.dtype if isinstance(x.type, TensorType) else "f32"
    if dtype in ("f32", "f64"):
        return x, lambda y: y
    return _op("Cast", x, to="f32"), lambda y: _op("Cast", y, to=dtype)


def _trailing(x: Value, axis: int) -> tuple[int, ...]:
    if axis >= 0:
        rank = x.type.rank if isinstance(x.type, TensorType) else None
        if rank is None:
            raise ModelError(
                "a norm over an axis counted from the front of a tensor of unknown rank"
            )
        axis -= rank
    return tuple(range(axis, 0))


def softmax(x: Value, axis: int, op: str = "Softmax") -> Value:
    """Softmax over an axis that is brought to the end, and back."""
    rank = x.type.rank if isinstance(x.type, TensorType) else None
    if rank is None:
        raise ModelError(f"a {op} over axis {axis} of a tensor of unknown rank needs opset 13")
    order = list(range(rank))
    order[axis], order[-1] = order[-1], order[axis]
    moved = _op(op, _op("Transpose", x, perm=tuple(order)), axis=-1)
    return _op("Transpose", moved, perm=tuple(order))


def log_softmax(x: Value, axis: int) -> Value:
    """As `softmax`."""
    return softmax(x, axis, "LogSoftmax")


BODIES: dict[str, Body] = {
    "Softmax": softmax,
    "LogSoftmax": log_softmax,
    "Gelu": gelu,
    "Swish": swish,
    "LayerNormalization": layer_norm,
    "RMSNormalization": rms_norm,
    "Attention": partial(written_out, _op),
    "RotaryEmbedding": rotary,
}

NEVER = sys.maxsize
LATER = {
    "LayerNormalization": 17,
    "RMSNormalization": 23,
    "Gelu": 20,
    "Swish": 24,
    "Attention": NEVER,  # it is not ONNX's, whose masks and dead rows are others
}
"""Operators that rules make, and the first opset that has each."""


def is_later(node: Node, opset: int) -> bool:
    """Whether a node is of an operator that `opset` does not have yet."""
    return LATER.get(node.op, 0) > opset


FLATTENING = ("Softmax", "LogSoftmax", "Hardmax")
"""Operators that before opset 13 ran over all axes from their own to the last."""


def is_written_out(node: Node, own: int, opset: int) -> bool:
    """Whether a node of opset `own` is never one node of `opset`, nor a call of a function."""
    if node.op == "RotaryEmbedding":
        return True  # ours is no operator of ONNX's
    if own < 13 <= opset and node.op not in BODIES and _name(node) in FLATTENING:
        return True
    if node.op not in ("Softmax", "LogSoftmax") or opset >= 13:
        return False
    x, axis = node.inputs[0], node.attrs["axis"]
    rank = x.type.rank if x is not None and isinstance(x.type, TensorType) else None
    return axis != -1 and (rank is None or axis != rank - 1)


def expansion(node: Node) -> tuple[list[Value | None], Value]:
    """Stand-ins for the inputs of a node, and its first output made of them in other operators.

    The graph of the node is left alone. Raises ModelError when its other outputs are read.
    """
    if any(v.uses for v in node.outputs[1:]):
        raise ModelError(f"{node.op} with more than one output needs opset {LATER.get(node.op)}")
    fresh = [None if v is None else Value(v.type) for v in node.inputs]
    body = BODIES.get(node.op) or partial(_flattened, _name(node))
    return fresh, body(*fresh, **node.attrs, **node.bodies)


def _name(node: Node) -> str:
    return node.op.partition("@")[0]


def _flattened(op: str, x: Value, axis: int = 1) -> Value:
    """What an operator gave before opset 13, when it saw a matrix."""
    matrix = _op("Flatten", x, axis=axis)
    return _op("Reshape", _op(op, matrix, axis=-1), _op("Shape", x))
