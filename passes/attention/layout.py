"""Tensors laid out anew: their factors brought into the axes that are wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from graphwright.ir.dims import Dim
from graphwright.ir.graph import Node, Value
from graphwright.passes.attention.factors import Factor, Unprovable, View, all_leaves, leaves, size
from graphwright.passes.attention.steps import STEPS, first, scaled, step_back
from graphwright.passes.rule import Builder, need
from graphwright.passes.shapes import expand, reshape, shape_of

LOOK = 8


@dataclass(frozen=True)
class Laid:
    """A tensor, which factors its axes are, and the scalar that multiplies it."""

    value: Value
    view: View
    scale: float = 1.0


def nearest_source(value: Value, view: View, *, scales: bool = False) -> Laid:
    """Back through layout, and scalars if they may be left out, as far as factors stay whole.

    Stops at casts and at slices, for what is before them is of another type, or holds more; and
    before a product with a scalar that others read, which would be computed twice.
    """
    scale = 1.0
    while True:
        found = scaled(value) if scales and len(value.uses) == 1 else None
        if found is not None:
            value, scale = found[0], scale * found[1]
            continue
        if value.producer is None or value.producer.op == "Cast":
            return Laid(value, view, scale)
        try:
            before, moved = step_back(value, view)
        except Unprovable:
            return Laid(value, view, scale)
        if any(leaf.index is not None or leaf.segment for leaf in all_leaves(moved)):
            return Laid(value, view, scale)
        value, view = before, moved


def node_behind(value: Value | None, ops: Collection[str]) -> Node | None:
    """What of `ops` gives `value`, but for its layout: a quick look, without any axes."""
    for _ in range(LOOK):
        node = None if value is None else value.producer
        if node is None or node.op in ops:
            return node
        if node.op not in STEPS:
            return None
        value = node.inputs[0]
    return None


def laid_alike(op: Builder, other: Value, value: Value, source: Value) -> Value:
    """What becomes of `other` by the layout that makes `value` of `source`, of the same type."""
    path: list[Node] = []
    while value is not source:
        assert value.producer is not None
        path.append(value.producer)
        value = first(value.producer)
    for node in reversed(path):
        given = [other if v is value else v for v in node.inputs]
        value, other = node.outputs[0], op.call(node.op, *given, **node.attrs)
    return other


def arranged(op: Builder, value: Value, view: View, axes: Sequence[Iterable[Factor]]) -> Value:
    """`value`, whose axes are the factors `view`, with axes made of the factors `axes`.

    An axis none of whose factors it has is of size 1; where it has some of them, it is repeated
    along the others. Refuses where sizes cannot be told, or a factor would have no place.
    """
    have = [leaf for axis in view for leaf in leaves(axis)]
    wanted = [leaves(axis) for axis in axes]
    blocks = _blocks(have, wanted)
    need(sum(map(len, blocks)) == len(have), "an axis would have no place")
    place = {leaf: i for i, leaf in enumerate(have)}
    before = sorted(blocks, key=lambda block: place[block[0]])
    perm = tuple(before.index(block) for block in blocks)
    if perm != tuple(sorted(perm)):
        value = reshape(op, value, tuple(size(block) for block in before))
        value = op.Transpose(value, perm=perm)
    return _shaped(op, value, set(have), wanted)


def _blocks(have: list[Factor], wanted: list[list[Factor]]) -> list[list[Factor]]:
    """The factors in the order wanted; in one block what stands side by side before and after."""
    following = dict(pairwise(have))
    blocks: list[list[Factor]] = []
    for axis in wanted:
        last = None
        for leaf in axis:
            if leaf not in following and leaf is not (have[-1] if have else None):
                last = None  # it is not here
            elif last is not None and following.get(last) is leaf:
                blocks[-1].append(leaf)
                last = leaf
            else:
                blocks.append([leaf])
                last = leaf
    return blocks


def _shaped(op: Builder, value: Value, have: set[Factor], wanted: list[list[Factor]]) -> Value:
    """Axes put together of blocks in their order, repeated along factors that are not there."""
    missing = [bool(have & set(axis)) and bool(set(axis) - have) for axis in wanted]
    if any(missing):
        apart = [leaf for axis in wanted for leaf in axis]
        alone: list[Dim] = [leaf.size if leaf in have else 1 for leaf in apart]
        repeated: list[Dim] = []
        for axis, lacks in zip(wanted, missing, strict=True):
            repeated += [leaf.size if lacks or leaf in have else 1 for leaf in axis]
        value = expand(op, reshape(op, value, tuple(alone)), tuple(repeated))
    shape = tuple(size(axis) if have & set(axis) else 1 for axis in wanted)
    return value if shape_of(value) == shape else reshape(op, value, shape)
