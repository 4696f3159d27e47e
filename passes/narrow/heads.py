"""Where the heads of an attention go: the product that mixes them, and which channels are whose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphwright.ir.const import Array
from graphwright.ir.graph import Node, Value
from graphwright.passes.attention.contractions import contraction
from graphwright.passes.attention.factors import Unprovable
from graphwright.passes.attention.steps import REGROUPING
from graphwright.passes.axes.rows import ELEMENTWISE
from graphwright.passes.narrow.marks import Marks, Numbers, regrouped
from graphwright.passes.narrow.narrowing import Narrowing, narrowed
from graphwright.passes.narrow.ways import Kept, dims
from graphwright.passes.rule import Replacement, need
from graphwright.passes.technique import Work
from graphwright.passes.weights import computed, is_constant

LOOK = 16


@dataclass(frozen=True)
class Heads:
    """An attention of `count` heads, `group` to a key head, and the `product` that mixes them.

    `owners` says which head each element along the `axis` of what the product reads is of, and
    `beside` which axis of its other factor those meet.
    """

    attention: Node
    count: int
    group: int
    product: Node
    at: int
    axis: int
    owners: Numbers
    beside: int

    @property
    def x(self) -> Value:
        """What the product reads of the heads."""
        found = self.product.inputs[self.at]
        assert found is not None
        return found

    @property
    def weight(self) -> Value:
        """The other factor."""
        found = self.product.inputs[1 - self.at]
        assert found is not None
        return found

    def matrix(self) -> Array:
        """The weight, [channels, results]. Refuses one that is no constant matrix."""
        why = "its heads are not weighed by a constant matrix; name those to be cut by @heads"
        plain = len(dims(self.weight)) == 2 and self.axis == len(dims(self.x)) - 1
        need(plain and is_constant(self.weight), why)
        return np.moveaxis(computed(self.weight), self.beside, 0)

    def cut(self, work: Work, gone: Kept) -> Replacement:
        """The product without some of the heads, which nothing computes any more."""
        need(len(set(gone)) < self.count, "one head has to stay")
        kept = tuple(np.flatnonzero(~np.isin(self.owners, gone)).tolist())

        def make(on: Narrowing) -> Value:
            factors = [
                on.keep(self.x, self.axis, kept),
                on.keep(self.weight, self.beside, kept),
            ]
            rest = [v if v is None else on.read(v) for v in self.product.inputs[2:]]
            attrs: dict[str, Any] = dict(self.product.attrs)
            op = on.builder(self.product)
            return op.call(self.product.op, *(factors[:: -1 if self.at else 1]), *rest, **attrs)

        return narrowed(work, self.product, make)


def heads_of(attention: Node) -> Heads:
    """Where the heads of an attention go. Refuses what mixes them otherwise than in a product."""
    value = attention.outputs[0]
    shape = dims(value)
    count, shared = shape[-3], dims(attention.inputs[1])[-3]
    need(isinstance(count, int) and isinstance(shared, int), "its heads are counted at run time")
    assert isinstance(count, int)
    assert isinstance(shared, int)
    marks = Marks(len(shape) - 3, np.arange(count))
    for _ in range(LOOK):
        need(len(value.uses) == 1, "others read what it gives")
        (use,) = value.uses
        need(use.node.op != "return", "its heads are an output, and are not mixed")
        found = _met(use.node, use.index, marks)
        if found is not None:
            axis, beside = found
            parts = (attention, count, count // shared, use.node, use.index)
            return Heads(*parts, axis, marks.numbers, beside)
        moved = _onward(use.node, use.index, value, marks)
        need(moved is not None, f"its heads go through {use.node.op} before they are mixed")
        assert moved is not None
        value, marks = use.node.outputs[0], moved
    need(condition=False, why="its heads are nowhere mixed")
    raise AssertionError


def _met(node: Node, at: int, marks: Marks) -> tuple[int, int] | None:
    """Along which axes of both factors a product sums over the heads; None if it does not."""
    if node.op in ("Linear", "Gemm"):
        across = node.attrs.get("transposed", node.attrs.get("transB", 0))
        plain = at == 0 and not node.attrs.get("transA")
        last = len(dims(node.inputs[0])) - 1
        return (last, 1 if across else 0) if plain and marks.axis == last else None
    try:
        found = contraction(node)
    except Unprovable:
        return None
    if found is None or at > 1:
        return None
    label = found.operands[at][marks.axis]
    other = found.operands[1 - at]
    return None if label in found.result or label not in other else (marks.axis, other.index(label))


def _onward(node: Node, at: int, value: Value, marks: Marks) -> Marks | None:
    """The marks on what a node makes of a value that has them."""
    if node.op == "Transpose":
        perm: Any = node.attrs["perm"]
        return Marks(perm.index(marks.axis), marks.numbers)
    if node.op in REGROUPING and at == 0:
        return regrouped(marks, dims(value), dims(node.outputs[0]))
    if node.op in ELEMENTWISE and dims(node.outputs[0]) == dims(value):
        return marks
    return None
