"""What readings make graphs with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from graphwright.ir.const import from_array
from graphwright.ir.dims import Dim, Sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Header, Node, Value
from graphwright.ir.operators.operands import broadcast
from graphwright.ir.ops import constant, node_of, return_node
from graphwright.ir.provenance import NO_ORIGIN, Origin
from graphwright.ir.types import TensorType, Type

Number: TypeAlias = "int | float | Sym"
Operand: TypeAlias = "Value | int | float | Sym"
HEADER = Header(10, {"": 21})
SMALL = 1 << 12  # elements that a tensor has which is written down rather than computed


class NotRead(ModelError):
    """Why an operator, or a use of one, cannot be read."""


class Builder:
    """`b.Gelu(x)` makes a node and gives its first result.

    `origin` is where the nodes come from, and `results` the types that the operator at hand is
    promised to give; of those a reading relies on element types alone.
    """

    def __init__(self) -> None:
        self.origin: Origin = NO_ORIGIN
        self.results: tuple[Type, ...] = ()
        self.made: list[Node] = []

    def __getattr__(self, name: str) -> Callable[..., Value]:
        if not name[:1].isupper():
            raise AttributeError(name)
        return partial(self.call, name)

    def call(
        self, op: str, *inputs: Operand | None, types: Sequence[Type] = (), **attrs: Any
    ) -> Value:
        """What an operator gives; `types` are those of its results where it has no row."""
        return self.several(op, *inputs, types=types, **attrs)[0]

    def several(
        self,
        op: str,
        *inputs: Operand | None,
        count: int = 1,
        types: Sequence[Type] = (),
        **attrs: Any,
    ) -> tuple[Value, ...]:
        """All results of an operator."""
        given = [self.size(v) if isinstance(v, Sym) else v for v in inputs]
        node: Node = node_of(
            op, given, attrs, max(count, len(types)), self.origin, place=float(len(self.made))
        )
        self.made.append(node)
        for value, type_ in zip(node.outputs, types, strict=False):
            if not isinstance(value.type, TensorType) or value.type.shape is None:
                value.type = type_
        if len(types) > 1:  # which of them are read or not, ONNX wants names for all
            for i, value in enumerate(node.outputs):
                value.name = f"{op}_{len(self.made)}_{i}"
        return node.outputs

    def graph(
        self, inputs: Sequence[Value], outputs: Sequence[Value], names: Sequence[str]
    ) -> Graph:
        """The graph of what was made, without what nothing reads in the end."""
        found = Graph("torch", tuple(inputs), return_node(outputs, names), header=HEADER)
        read = set(found.reachable())
        for node in self.made:
            if node not in read:
                node.detach()
        return found

    @property
    def dtype(self) -> str:
        """The element type of what the operator at hand gives first."""
        found = self.results[0] if self.results else None
        if not isinstance(found, TensorType):
            raise NotRead("its result is no tensor")
        return found.dtype

    def constant(self, number: object, dtype: str) -> Value:
        """A constant: a number, a list of them, or an array."""
        return constant(number, dtype)

    def sizes(self, dims: Sequence[Dim]) -> Value:
        """A list of sizes: a constant, or what computes them when the model runs."""
        if all(isinstance(d, int) for d in dims):
            return constant(list(dims), "i64") if dims else constant(np.zeros(0, int), "i64")
        return self.Sizes(dims=tuple(dims))

    def size(self, dim: Dim) -> Value:
        """One size, as a scalar."""
        return constant(dim, "i64") if isinstance(dim, int) else self.Sizes(dims=dim)

    def tensor(self, x: Operand, dtype: str) -> Value:
        """`x` as a tensor of elements of `dtype`; a number becomes a scalar."""
        if isinstance(x, Value):
            return self.cast(x, dtype)
        if isinstance(x, Sym):
            return self.cast(self.size(x), dtype)
        if isinstance(x, float) and not dtype.startswith(("f", "bf", "c")):
            x = x if dtype == "bool" else math.trunc(x)
        return constant(x, dtype)

    def cast(self, x: Value, dtype: str) -> Value:
        """`x` with elements of `dtype`."""
        return x if dtype_of(x) == dtype else self.Cast(x, to=dtype)

    def filled(self, dims: Sequence[Dim], number: Operand, dtype: str) -> Value:
        """A tensor that holds one number everywhere."""
        if isinstance(number, Value | Sym):
            return self.Expand(self.tensor(number, dtype), self.sizes(dims))
        whole = self.tensor(number, dtype)
        assert whole.const is not None
        if not dims:
            return whole
        known = [d for d in dims if isinstance(d, int)]
        if len(known) == len(dims) and math.prod(known) <= SMALL:
            return constant(np.full(known, whole.const.load()), dtype)
        fill = from_array(whole.const.load().reshape(1))
        return self.ConstantOfShape(self.sizes(dims), value=fill)

    def reshape(self, x: Value, dims: Sequence[Dim]) -> Value:
        """`x` in another shape; one of `dims` may be -1."""
        if tuple(dims) == shape_of(x):
            return x
        if -1 not in dims and sum(isinstance(d, Sym) for d in dims) == 1 and 0 not in dims:
            # The one size that is not a number is what is left: no node need compute it.
            y = self.Reshape(x, self.sizes([-1 if isinstance(d, Sym) else d for d in dims]))
            y.type = TensorType(dtype_of(x), tuple(dims))
            return y
        if 0 in dims:
            return self.Reshape(x, self.sizes(dims), allowzero=1)
        return self.Reshape(x, self.sizes(dims))

    def expand(self, x: Value, dims: Sequence[Dim]) -> Value:
        """`x` repeated where it has size 1, or fewer axes than `dims`."""
        return x if tuple(dims) == shape_of(x) else self.Expand(x, self.sizes(dims))

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        """`x` with its axes in another order."""
        return x if list(perm) == list(range(len(perm))) else self.Transpose(x, perm=tuple(perm))

    def unsqueeze(self, x: Value, *axes: int) -> Value:
        """`x` with sizes of 1 at `axes` of the result."""
        return self.Unsqueeze(x, axes=tuple(axes)) if axes else x

    def slice(self, x: Value, axis: int, start: Dim, end: Dim, step: int = 1) -> Value:
        """A part of `x` along one axis."""
        parts = (self.sizes([each]) for each in (start, end, axis, step))
        return self.Slice(x, *parts)

    def split(self, x: Value, sizes: Sequence[Dim], axis: int) -> tuple[Value, ...]:
        """`x` cut into parts of `sizes` along one axis."""
        known = tuple(n for n in sizes if isinstance(n, int))
        if len(known) == len(sizes):
            if len(sizes) == 1:
                return (x,)
            return self.several("Split", x, count=len(sizes), axis=axis, split=known)
        parts: list[Value] = []
        start: Dim = 0
        for n in sizes:
            parts.append(self.slice(x, axis, start, start + n))
            start = start + n
        return tuple(parts)


def type_of(x: Value) -> TensorType:
    """The type of a tensor."""
    if not isinstance(x.type, TensorType):
        raise NotRead("an operand's type is not known")
    return x.type


def dtype_of(x: Value) -> str:
    """The element type of a tensor."""
    return type_of(x).dtype


def shape_of(x: Value) -> tuple[Dim, ...]:
    """The shape of a tensor whose rank has to be known."""
    shape = type_of(x).shape
    if shape is None:
        raise NotRead("an operand's rank is not known")
    return shape


def rank_of(x: Value) -> int:
    """How many axes a tensor has."""
    return len(shape_of(x))


def axis_of(x: Value, axis: int, extra: int = 0) -> int:
    """An axis counted from the front; `extra` axes are there beside those of `x`."""
    rank = rank_of(x) + extra
    if not -max(rank, 1) <= axis < max(rank, 1):
        raise NotRead(f"there is no axis {axis} in a tensor of rank {rank}")
    return axis % rank if rank else 0


def axes_of(x: Value, axes: int | Sequence[int] | None) -> tuple[int, ...]:
    """Axes counted from the front; None and none named stand for all."""
    if axes is None or (not isinstance(axes, int) and not axes):
        return tuple(range(rank_of(x)))
    given = [axes] if isinstance(axes, int) else axes
    return tuple(sorted({axis_of(x, a) for a in given})) if rank_of(x) else ()


def ints_of(dims: Sequence[Any]) -> tuple[int, ...]:
    """Numbers that have to be known before the model runs."""
    if not all(isinstance(d, int) for d in dims):
        raise NotRead("a size is known only when the model runs")
    return tuple(dims)


def together(*operands: Operand) -> tuple[Dim, ...]:
    """The shape that operands broadcast to."""
    return broadcast(*(shape_of(x) if isinstance(x, Value) else () for x in operands))
