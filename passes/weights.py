"""The constant matrices that a model multiplies by, and the masks that stand beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from graphwright.ir.const import Array, Const, from_array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import OPS
from graphwright.ir.types import FLOATS, NUMPY, TensorType
from graphwright.passes.padding import laid, padding, rows
from graphwright.passes.rule import Builder, Replacement, need
from graphwright.passes.shapes import dtype_of, shape_of
from graphwright.passes.technique import Tap, Work

Mask = np.ndarray[Any, np.dtype[np.bool_]]


class Weight(NamedTuple):
    """A product with a constant, which is summed over its axis `along`."""

    node: Node
    along: int

    @property
    def x(self) -> Value:
        """What the constant multiplies."""
        found = self.node.inputs[0]
        assert found is not None
        return found

    @property
    def value(self) -> Value:
        """The constant as the product reads it, with its masks."""
        found = self.node.inputs[1]
        assert found is not None
        return found

    @property
    def data(self) -> Array:
        """What it holds, along axis -2 what is summed over."""
        found = computed(self.value)
        return np.moveaxis(found, self.along, -2)

    def masked(self, work: Work, kept: Mask) -> Replacement:
        """The product with only what is `kept` of its weight, by a mask beside it."""
        beside = mask(np.moveaxis(kept, -2, self.along), dtype_of(self.value))
        return self._with(work, lambda op: op.Mul(self.value, beside))

    def replaced(self, work: Work, data: Array) -> Replacement:
        """The product with another weight, laid out as `data`; what a mask hides stays 0."""
        if self.value.const is None:
            data = np.where(self.data == 0, 0, data)
        return self._with(work, lambda op: self.holding(data))

    def holding(self, data: Array) -> Value:
        """A constant of the same type and name, laid out as `data`."""
        array = np.moveaxis(data, -2, self.along).astype(NUMPY[dtype_of(self.value)])
        const = from_array(np.ascontiguousarray(array))
        return Value(const.type, const=const, name=self.value.name)

    def _with(self, work: Work, weight: Callable[[Builder], Value]) -> Replacement:
        _, _, *rest = self.node.inputs
        leaves = (self.x, *(v for v in rest if v is not None))
        op = work.at(self.node.outputs[0], leaves)
        attrs: dict[str, Any] = dict(self.node.attrs)
        new = op.call(self.node.op, self.x, weight(op), *rest, **attrs)
        return Replacement(self.node.outputs[0], new, leaves)


def weights(graph: Graph, work: Work) -> Iterator[Weight]:
    """The products with constants in the layers that were asked for; what is none is noted."""
    need_whole(work)
    found = work.layers_of(graph)
    for node in graph.nodes():
        if node.op in PRODUCTS and len(node.inputs) > 1:
            layer = found.get(node)
            if work.places.holds(layer):
                with work.trying(node):
                    yield weight_of(node)


def need_whole(work: Work) -> None:
    """Raise ModelError where heads were asked for, of what has none."""
    if work.places.heads is not None:
        raise ModelError(f"{work.name} takes whole matrices: leave @heads out")


def weight_of(node: Node) -> Weight:
    """The weight of a product. Refuses where it is no constant matrix."""
    value = node.inputs[1]
    assert value is not None
    need(dtype_of(value) in FLOATS, "its weight is of integers")
    need(is_constant(value), "its weight is no constant, or one that is stored otherwise")
    shape = shape_of(value) or ()
    plain = len(shape) > 1 and all(isinstance(d, int) and d > 1 for d in shape[-2:])
    need(plain, "its weight is no matrix")
    need(not node.attrs.get("transA"), "it reads its channels along the first axis")
    return Weight(node, PRODUCTS[node.op](node) % len(shape))


PRODUCTS: dict[str, Callable[[Node], int]] = {
    "MatMul": lambda node: -2,
    "Gemm": lambda node: -1 if node.attrs["transB"] else -2,
    "Linear": lambda node: -1 if node.attrs["transposed"] else -2,
}
"""Products of what is read with a weight, and along which axis of the weight they sum."""

CHAIN = frozenset({"Mul", "Transpose", "Reshape", "Identity", "Squeeze", "Unsqueeze"})
"""What masks and layout make of a constant."""


def is_constant(value: Value) -> bool:
    """Whether it is made of constants by masks and by layout."""
    if value.const is not None:
        return True
    node = value.producer
    if node is None or node.op not in CHAIN:
        return False
    return all(v is None or is_constant(v) for v in node.inputs)


def computed(value: Value) -> Array:
    """What is made of constants by masks and by layout."""
    if value.const is not None:
        return value.const.load()
    assert value.producer is not None
    meaning = OPS[value.producer.op].numpy
    assert meaning is not None
    given = [computed(v) for v in value.producer.inputs if v is not None]
    return np.asarray(meaning(*given, **value.producer.attrs))


def mask(kept: Mask, dtype: str) -> Value:
    """A constant of ones where something is kept, and zeros elsewhere; it is held in bytes."""
    kind = TensorType(dtype, kept.shape)
    return Value(kind, const=Const(kind, lambda: kept.astype(NUMPY[dtype])))


def norms(graph: Graph, found: list[Weight], work: Work) -> list[Array]:
    """Of each product the root of the sum of squares of each channel that it reads, on the data.

    Tokens that are padding do not count.
    Source: Sun et al. 2024, "A Simple and Effective Pruning Approach for Large Language Models",
    arXiv:2306.11695, equation 1: the factor beside the weight.
    """
    read = list(dict.fromkeys(w.x for w in found))
    if not read:
        return []
    with padding(graph, work) as known:
        taps = [Tap((x, *known.of(laid(x))), np.zeros(()), _squares) for x in read]
        states = dict(zip(read, known.observe(taps), strict=True))
    return [np.sqrt(states[w.x]) for w in found]


def _squares(state: Array, x: Array, *real: Array) -> Array:
    wide = rows(x, *real).astype(np.float64)
    return np.asarray(state + np.einsum("ij,ij->j", wide, wide))


def share(name: str, number: float) -> None:
    """Raise ModelError where a knob is no share."""
    if not 0 <= number <= 1:
        raise ModelError(f"{name} is a share from 0 to 1, not {number:g}")


def largest(scores: Array, count: int) -> Mask:
    """Where the `count` largest scores of each column lie, the first of equal ones; axis -2."""
    rows = scores.shape[-2]
    if not 0 < count < rows:
        return np.full(scores.shape, count > 0)
    least = np.partition(scores, rows - count, axis=-2)[..., rows - count, None, :]
    above, equal = scores > least, scores == least
    room = count - above.sum(-2, keepdims=True)
    return np.asarray(above | (equal & (equal.cumsum(-2) <= room)))
