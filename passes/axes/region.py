"""The part of a graph of which only chosen rows are read, grown from where they are chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from graphwright.ir.dims import Dim, product
from graphwright.ir.graph import Node, Use, Value
from graphwright.ir.ops import is_pure
from graphwright.passes.attention.factors import Factor, View, all_leaves, join, leaves
from graphwright.passes.attention.steps import REGROUPING
from graphwright.passes.axes.table import working
from graphwright.passes.axes.working import Working

Place: TypeAlias = "tuple[tuple[int, Dim], ...]"
May: TypeAlias = "Callable[[Node, Working, int, set[Factor]], bool]"
"""Whether a node, at an input that has only some of the chosen factors, can do with chosen rows."""


LAYOUT = REGROUPING | {"Transpose"}


@dataclass
class Region:
    """All that `root` reads chosen rows of: nodes pointwise along the `chosen` factors.

    `reads` says by which use the region reads a value that has chosen factors, and along which
    axes; `entered` holds the values that are made anew, readers first, with how their nodes work.
    """

    root: Node
    value: Value
    chosen: list[Factor]
    reads: dict[Value, dict[Use, View]] = field(default_factory=dict)
    entered: dict[Value, Working] = field(default_factory=dict)

    def leaves(self) -> list[Factor]:
        """The chosen factors as they are now."""
        return leaves(self.chosen)

    def nodes(self) -> list[Node]:
        """The nodes that are made anew, readers first."""
        found = [value.producer for value in self.entered]
        return [node for node in dict.fromkeys(found) if node is not None]


def grown(root: Node, value: Value, view: View, chosen: list[Factor], may: May) -> Region:
    """The region of which `root`, which reads `value` along `view`, picks `chosen`."""
    region = Region(root, value, chosen, {value: {Use(root, 0): view}})
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if each not in region.entered and _is_covered(region, each) and _enter(region, each, may):
            node = each.producer
            assert node is not None
            waiting += [v for v in node.inputs if v is not None and v in region.reads]
    _leave_layout(region)
    return region


def _leave_layout(region: Region) -> None:
    """Let go of the farthest nodes that only move elements: rows are as well chosen behind them."""
    for value in reversed(list(region.entered)):
        node = value.producer
        if node is not None and node.op in LAYOUT and node.inputs[0] not in region.entered:
            del region.entered[value]


def _is_covered(region: Region, value: Value) -> bool:
    """Whether all that read a value need chosen rows of it only, and the same ones."""
    views = region.reads[value]
    for use in value.uses:
        made = (out for out in use.node.outputs if out.uses)
        inside = use.node is region.root or all(out in region.entered for out in made)
        if use not in views or not inside:
            return False
    return len({place(view, region) for view in views.values()}) == 1


def place(view: View, region: Region) -> Place:
    """Where the chosen factors stand in a view: at which axis, behind elements of which number."""
    chosen = set(region.leaves())
    found: list[tuple[int, Dim]] = []
    for at, axis in enumerate(view):
        parts = leaves(axis)
        found += [
            (at, product(f.size for f in parts[:i])) for i, f in enumerate(parts) if f in chosen
        ]
    return tuple(found)


def _enter(region: Region, value: Value, may: May) -> bool:
    """Take in the node that gives a value, if it is pointwise along all that is chosen."""
    node = value.producer
    if node is None or node.bodies or not is_pure(node):
        return False
    worked = working(node)
    result = worked.outputs[node.outputs.index(value)]
    others = any(out.uses and out is not value for out in node.outputs)
    if result is None or (others and node.op != "Split"):
        return False
    for read in region.reads[value].values():
        for own, other in zip(result, read, strict=True):
            join(other, own)
    chosen = set(region.leaves())
    if not chosen <= all_leaves(result) or chosen & set(worked.treatment()):
        return False
    for i, view in enumerate(worked.inputs):
        present = chosen & all_leaves(view or [])
        if present and present != chosen and not may(node, worked, i, present):
            return False
    region.entered[value] = worked
    for i, (given, view) in enumerate(zip(node.inputs, worked.inputs, strict=True)):
        if given is not None and view is not None and chosen & all_leaves(view):
            region.reads.setdefault(given, {})[Use(node, i)] = view
    return True
