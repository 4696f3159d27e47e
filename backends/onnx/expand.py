"""Operators that a file's opset lacks, written out in operators that it has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from graphwright.ir.dims import Atom, Dim, Floor, Joint, Least, Sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, Node, Value
from graphwright.ir.ops import apply, constant
from graphwright.ir.types import TensorType

Body: TypeAlias = Callable[..., Value]


def _op(name: str, *inputs: Value | float, **attrs: Attr) -> Value:
    return apply(name, *inputs, **attrs).outputs[0]


def gelu(x: Value, approximate: str = "none") -> Value:
    """x (1 + erf(x / sqrt 2)) / 2, or its tanh form."""
    if approximate == "none":
        return _op(
            "Mul", _op("Mul", x, 0.5), _op("Add", _op("Erf", _op("Div", x, math.sqrt(2))), 1.0)
        )
    cube = _op("Mul", _op("Mul", x, x), x)
    inner = _op("Mul", _op("Add", x, _op("Mul", cube, 0.044715)), math.sqrt(2 / math.pi))
    return _op("Mul", _op("Mul", x, 0.5), _op("Add", _op("Tanh", inner), 1.0))


def swish(x: Value, alpha: float = 1.0) -> Value:
    """x sigmoid(alpha x)."""
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
    variance = _op("ReduceMean", _op("Mul", d, d), axes=axes, keepdims=1)
    y = _op("Mul", back(_op("Div", d, _op("Sqrt", _op("Add", variance, epsilon)))), scale)
    return y if bias is None else _op("Add", y, bias)


def rms_norm(
    x: Value, scale: Value, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Value:
    """x / sqrt(mean x^2 + epsilon) * scale."""
    wide, back = _widened(x)
    mean = _op("ReduceMean", _op("Mul", wide, wide), axes=_trailing(x, axis), keepdims=1)
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


def linear(x: Value, w: Value, b: Value | None = None, transposed: int = 0) -> Value:
    """x @ w + b: one Gemm for a matrix, else MatMul and Add."""
    if isinstance(x.type, TensorType) and x.type.rank == 2:
        given = [x, w] if b is None else [x, w, b]
        return _op("Gemm", *given, alpha=1.0, beta=1.0, transA=0, transB=transposed)
    y = _op("MatMul", x, _op("Transpose", w, perm=(1, 0)) if transposed else w)
    return y if b is None else _op("Add", y, b)


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
    "Linear": linear,
}


def expanded(node: Node) -> Value:
    """What a node's first output is, in other operators, of the node's own inputs."""
    inputs = [v for v in node.inputs if v is not None]
    return BODIES[node.op](*inputs, **node.attrs)


SizeOf: TypeAlias = Callable[[str], Value]


def computed_sizes(dims: Sequence[Dim] | Dim, size_of: SizeOf) -> Value:
    """Sizes as nodes that compute them; `size_of` gives a list of one for each name."""
    if not isinstance(dims, tuple):
        return _op("Squeeze", _vector(dims, size_of), axes=(0,))  # type: ignore[arg-type]
    parts: list[Value] = []
    numbers: list[int] = []
    for dim in dims:
        if isinstance(dim, int):
            numbers.append(dim)
            continue
        if numbers:
            parts.append(constant(np.array(numbers), "i64"))
            numbers = []
        parts.append(_vector(dim, size_of))
    if numbers or not parts:
        parts.append(constant(np.array(numbers, np.int64), "i64"))
    return parts[0] if len(parts) == 1 else _op("Concat", *parts, axis=0)


def _vector(dim: Dim, size_of: SizeOf) -> Value:
    if isinstance(dim, int):
        return constant([dim], "i64")
    total: Value | None = None
    for atoms, n in dim.terms:
        factor: Value | None = None
        for atom in atoms:
            here = _atom(atom, size_of)
            factor = here if factor is None else _op("Mul", factor, here)
        if factor is None:
            factor = constant([n], "i64")
        elif n != 1:
            factor = _op("Mul", factor, constant([n], "i64"))
        total = factor if total is None else _op("Add", total, factor)
    assert total is not None
    return total


def _atom(atom: Atom, size_of: SizeOf) -> Value:
    match atom:
        case Floor(dim, by):
            return _op("Div", _vector(dim, size_of), constant([by], "i64"))
        case Least(dim, bound):
            size, most = _vector(dim, size_of), constant([bound], "i64")
            return _op("Where", _op("Less", size, most), size, most)
        case Joint(a, b):
            one, other = _vector(a, size_of), _vector(b, size_of)
            return _op("Where", _op("Equal", one, constant([1], "i64")), other, one)
        case str():
            return size_of(atom)


def reshape_list(node: Node, dims: tuple[Dim, ...]) -> list[int] | None:
    """The numbers that tell a Reshape its shape without computing sizes; None where they can't.

    0 copies a size of the input; one -1 stands for a size when all the others are positive.
    """
    x = node.inputs[0]
    have = x.type.shape if x is not None and isinstance(x.type, TensorType) else None
    if node.attrs.get("allowzero") or any(d == 0 for d in dims):
        return None
    found: list[Any] = []
    for i, dim in enumerate(dims):
        if isinstance(dim, Sym) and have is not None and i < len(have) and have[i] == dim:
            found.append(0)
        else:
            found.append(dim)
    open_ = [i for i, d in enumerate(found) if isinstance(d, Sym)]
    if not open_:
        return found
    if len(open_) == 1 and all(
        isinstance(d, int) and d > 0 for i, d in enumerate(found) if i != open_[0]
    ):
        return [-1 if isinstance(d, Sym) else d for d in found]
    return None
