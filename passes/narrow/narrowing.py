"""Tensors with only some of the elements along an axis, computed with no more than those.

The choice is carried back through what works element by element, lays out anew or multiplies, as
far as constants, which are cut. Where it can be carried no farther the elements are picked out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from graphwright.ir.const import Const
from graphwright.ir.graph import Node, Use, Value
from graphwright.ir.ops import constant
from graphwright.ir.types import TensorType
from graphwright.passes.layers import is_cache
from graphwright.passes.narrow.ways import WAYS, Kept, dims
from graphwright.passes.rule import Builder, NoMatch, Replacement
from graphwright.passes.technique import Work


@dataclass
class Narrowing:
    """One replacement in the making, of what `root` gives.

    `leaves` are what is read as it is, `through` the nodes that were made anew, and `whole` the
    values that are not, since others read them as they are.
    """

    work: Work
    root: Node
    whole: frozenset[Value] = frozenset()
    leaves: dict[Value, None] = field(default_factory=dict)
    through: dict[Node, None] = field(default_factory=dict)
    made: dict[tuple[Value, int, Kept], Value] = field(default_factory=dict)
    builders: list[Builder] = field(default_factory=list)

    def keep(self, value: Value, axis: int, kept: Kept) -> Value:
        """`value` with the elements `kept` along `axis`, in that order."""
        key = (value, axis, kept)
        if key not in self.made:
            self.made[key] = self._kept(value, axis, kept)
        return self.made[key]

    def _kept(self, value: Value, axis: int, kept: Kept) -> Value:
        size = dims(value)[axis]
        if isinstance(size, int) and kept == tuple(range(size)):
            return self.read(value)
        if value.const is not None:
            return _cut(value.const, axis, kept)
        node = value.producer
        way = None if node is None else WAYS.get(node.op)
        if node is not None and way is not None and value not in self.whole:
            op = self.builder(node)
            found = way(self, op, value, axis, kept)
            if found is not None:
                self.through[node] = None
                return found
        return self.picked(value, axis, kept)

    def picked(self, value: Value, axis: int, kept: Kept) -> Value:
        """The elements picked out of the whole."""
        self.read(value)
        op = self.builder(value.producer or self.root)
        if kept == tuple(range(kept[0], kept[-1] + 1)):
            bounds = (constant([n], "i64") for n in (kept[0], kept[-1] + 1, axis))
            return op.Slice(value, *bounds)
        return op.Gather(value, constant(kept, "i64"), axis=axis)

    def read(self, value: Value) -> Value:
        """`value` as it is."""
        if value.const is None:
            self.leaves[value] = None
        return value

    def inside(self, known: dict[tuple[Value, int, Kept], Value]) -> Narrowing:
        """One for a body, in which some values are known already."""
        return Narrowing(self.work, self.root, made=known, builders=self.builders)

    def builder(self, node: Node) -> Builder:
        """What makes a node anew, in its place and of its origin."""
        operands = [v for v in node.operands() if v is not None]
        self.builders.append(self.work.at(node.outputs[0], operands))
        return self.builders[-1]

    def discard(self, wanted: Value | None = None) -> None:
        """Undo the making of all that `wanted` does not need."""
        made = [node for op in self.builders for node in op.made]
        while True:
            loose = [n for n in made if not n.is_read() and wanted not in n.outputs]
            if not loose:
                return
            for node in loose:
                node.detach()
            made = [node for node in made if node not in loose]


def narrowed(work: Work, root: Node, make: Callable[[Narrowing], Value]) -> Replacement:
    """What `make` gives in place of what `root` does, of what they both read.

    What others read is not computed twice: it stays, and what is kept of it is picked out. Only a
    cache that is an output is made anew, since the model is then to give no more of it.
    """
    whole: frozenset[Value] = frozenset()
    while True:
        found = Narrowing(work, root, whole, through={root: None})
        try:
            made = make(found)
        except NoMatch:
            found.discard()
            raise
        anew = {value for value, _, _ in found.made if value.producer in found.through}
        shared = {v for v in anew if any(_is_outside(use, v, found) for use in v.uses)}
        if not shared:
            found.discard(made)
            return Replacement(root.outputs[0], made, tuple(found.leaves))
        found.discard()
        whole |= _last(shared)


def _is_outside(use: Use, value: Value, on: Narrowing) -> bool:
    given_back = use.node.op == "return" and is_cache(value)
    return use.node not in on.through and not given_back


def _last(values: set[Value]) -> frozenset[Value]:
    """Those of `values` that no other of them is made of: what is before them may be free then."""
    behind: set[Value] = set()
    for value in values:
        work = [value]
        while work:
            node = work.pop().producer
            read = [] if node is None else [v for v in node.operands() if v is not None]
            fresh = [v for v in read if v not in behind]
            behind.update(fresh)
            work += fresh
    return frozenset(v for v in values if v not in behind)


def _cut(const: Const, axis: int, kept: Kept) -> Value:
    shape = const.type.shape or ()
    kind = TensorType(const.type.dtype, (*shape[:axis], len(kept), *shape[axis + 1 :]))
    rows = np.array(kept)
    return Value(kind, const=Const(kind, lambda: np.take(const.load(), rows, axis)))
