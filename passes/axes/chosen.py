"""Rows that a Gather, Slice or GatherND chooses, and how they are chosen of other tensors."""

from __future__ import annotations

from dataclasses import dataclass, field

from graphwright.ir.dims import Dim, at_least, product
from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import constant, contents_of
from graphwright.passes.attention.factors import Factor, View, all_leaves, leaves
from graphwright.passes.attention.layout import arranged
from graphwright.passes.attention.steps import shape
from graphwright.passes.axes.rows import ELEMENTWISE
from graphwright.passes.axes.working import Working, axes
from graphwright.passes.rule import Builder, need
from graphwright.passes.shapes import dtype_of, listed, reshape


@dataclass
class Rows:
    """Rows chosen along one axis of what `root` reads, or in each batch its own (`batched`).

    `chosen` is that axis, behind the batch where there is one. Where it turns out to be several
    factors, the last keeps the place of the rows and the others become 1.
    """

    root: Node
    value: Value
    view: View
    chosen: list[Factor]
    count: Dim
    batched: bool = False
    made: dict[object, Value] = field(default_factory=dict)

    def leaves(self) -> list[Factor]:
        """The chosen factors as they are now."""
        return leaves(self.chosen)

    def sizes(self) -> dict[Factor, Dim]:
        """The sizes that the chosen factors get."""
        *others, home = self.leaves()
        return {**({} if self.batched else dict.fromkeys(others, 1)), home: self.count}

    def may(self, node: Node, worked: Working, index: int, present: set[Factor]) -> bool:
        """Whether an input with some of the factors only can be brought to the chosen rows."""
        if self.batched and present == set(self.leaves()[:-1]):
            return True  # it has all batches, in their order
        aligned = ELEMENTWISE | {"Attention"} if self.batched else ELEMENTWISE
        return node.op in aligned and self.root.op != "Slice"

    def of(self, op: Builder, value: Value, view: View, result: View) -> Value:
        """The chosen rows of a tensor that a node reads which gives `result`."""
        have = [f for f in self.leaves() if f in all_leaves(view)]
        if self.batched and have == self.leaves()[:-1]:
            return value
        for at, axis in enumerate(view):
            if leaves(axis) == have == self.leaves() and not self.batched:
                return self._along(op, value, at)
        apart = ([f for f in leaves(axis) if f not in have] for axis in view)
        rest = [axis for axis in apart if axis]
        lead = [[f] for f in have] if self.batched else [have]
        front = arranged(op, value, view, [*lead, *rest])
        picked = self._picked(op, front, have)
        rows = Factor(self.count)
        placed = self._placed(view, have, rows, result)
        behind = [self.leaves()[:-1], [rows]] if self.batched else [[rows]]
        return arranged(op, picked, [*behind, *rest], placed)

    def _placed(self, view: View, have: list[Factor], rows: Factor, result: View) -> View:
        """The axes of a tensor once its rows are chosen: where those were, or as the result's."""
        *others, home = self.leaves()
        stays = others if self.batched else []
        placed = [
            [rows if f is home else f for f in leaves(axis) if f not in others or f in stays]
            for axis in view
        ]
        wanted = {home: rows, **{f: f for f in stays}}
        missing = [f for f in wanted if f not in have]
        if missing:
            placed = [[] for _ in range(len(result) - len(view))] + placed
        for factor in missing:
            at = next((i for i, axis in enumerate(result) if leaves(axis) == [factor]), None)
            need(at is not None and not placed[at], "the chosen rows have no place of their own")
            assert at is not None
            placed[at] = [wanted[factor]]
        return placed

    def _along(self, op: Builder, value: Value, axis: int) -> Value:
        if self.root.op != "Slice":
            return op.Gather(value, self._index(op), axis=axis)
        cut = cut_of(self.root)
        assert cut is not None
        bounds = [constant([n], "i64") if isinstance(n, int) else n for n in (*cut[1:], axis)]
        return op.Slice(value, *bounds)

    def _picked(self, op: Builder, front: Value, have: list[Factor]) -> Value:
        """The rows of a tensor whose first axes are the factors that it has of the chosen."""
        if self.root.op == "Slice":
            return self._along(op, front, 0)
        if not self.batched:
            return op.Gather(front, self._part(op, have), axis=0)
        index = self._index(op)
        if have == self.leaves():
            batch, count = shape(index)[:2]
            return op.GatherND(front, reshape(op, index, (batch, count, 1)), batch_dims=1)
        return op.Gather(front, index, axis=0)

    def _index(self, op: Builder) -> Value:
        """The indices as a list; in each batch its own where they are batched."""
        index = self.root.inputs[1]
        assert index is not None
        if "index" not in self.made:
            held = contents_of(index) if index.const is not None else None
            wanted: tuple[Dim, ...] = (self.count,)
            if self.batched:
                wanted = (shape(index)[0], self.count)
            flat = isinstance(held, int)
            self.made["index"] = constant([held], "i64") if flat else reshape(op, index, wanted)
        return self.made["index"]

    def _part(self, op: Builder, have: list[Factor]) -> Value:
        """The indices into some of the factors that all together are indexed."""
        every = self.leaves()
        index = self._index(op)
        first, last = every.index(have[0]), every.index(have[-1])
        need(every[first : last + 1] == have, "it has chosen axes that are no neighbours")
        key = (first, last)
        if have != every and key not in self.made:
            kind = dtype_of(index)
            need(_is_positive(self.root.inputs[1]), "its indices may count from the end")
            behind = self._number(op, product(f.size for f in every[last + 1 :]), kind)
            found = op.Div(index, behind) if last + 1 < len(every) else index
            if first:
                whole = self._number(op, product(f.size for f in have), kind)
                found = op.Sub(found, op.Mul(op.Div(found, whole), whole))
            self.made[key] = found
        return self.made.get(key, index)

    def _number(self, op: Builder, size: Dim, kind: str) -> Value:
        number = listed(op, (size,))
        return number if dtype_of(number) == kind else op.Cast(number, to=kind)


def rows_of(node: Node) -> Rows:
    """The rows that a node chooses of what it reads. Raises NoMatch where it chooses otherwise."""
    value = node.inputs[0]
    assert value is not None
    view = axes(value)
    if node.op == "Slice":
        found = cut_of(node)
        need(found is not None, "it does not cut one axis by numbers that are known")
        assert found is not None
        at = found[0]
        return Rows(node, value, view, view[at], shape(node.outputs[0])[at])
    index = node.inputs[1]
    assert index is not None
    if node.op == "Gather":
        axis = node.attrs["axis"]
        assert isinstance(axis, int)
        at = axis % len(view)
        count = product(shape(index))
        need(_are_fewer(index, count, shape(value)[at]), "it may choose more rows than there are")
        return Rows(node, value, view, view[at], count)
    one_each = node.attrs.get("batch_dims", 0) == 1 and shape(index)[-1] == 1
    need(one_each and len(shape(index)) in (2, 3), "it does not choose along one axis")
    need(shape(index)[0] == shape(value)[0] != 1, "its batches are not known to be equal")
    count = product(shape(index)[1:])
    need(count == 1, "it may choose more rows than there are")
    return Rows(node, value, view, [*view[0], *view[1]], count, batched=True)


def cut_of(node: Node) -> tuple[int, int | Value, int | Value] | None:
    """Axis, start and end of a Slice that cuts one axis in steps of one."""
    have, want = shape(node.inputs[0]), shape(node.outputs[0])
    given = [*node.inputs[1:], None, None][:4]
    lists = [contents_of(v) for v in given]
    starts, ends, along, steps = lists
    count = len(starts) if isinstance(starts, tuple) else 0
    along = along if isinstance(along, tuple) else tuple(range(count))
    steps = steps if isinstance(steps, tuple) else (1,) * count
    unknown = given[3] is not None and lists[3] is None
    if not isinstance(starts, tuple) or not isinstance(ends, tuple) or unknown:
        return None
    cuts = [
        (axis % len(have), (start, node.inputs[1]), (end, node.inputs[2]))
        for axis, start, end in zip(along, starts, ends, strict=True)
        if isinstance(axis, int) and have[axis] != want[axis]
    ]
    if len(cuts) != 1 or any(step != 1 for step in steps):
        return None
    axis, *bounds = cuts[0]
    found = [n if isinstance(n, int) else v if count == 1 else None for n, v in bounds]
    first, last = found
    return None if first is None or last is None else (axis, first, last)


def _are_fewer(index: Value, count: Dim, size: Dim) -> bool:
    """Whether an index surely chooses no more rows than there are, as far as its kind tells."""
    if count == 1:
        return True
    if isinstance(count, int) and isinstance(size, int):
        return count < size
    held = contents_of(index)
    if isinstance(held, tuple):
        return len(set(held)) == len(held) and all(isinstance(n, int) and n >= 0 for n in held)
    return not isinstance(size, int) and _source(index) in DISTINCT


def _is_positive(index: Value | None) -> bool:
    """Whether no index counts from the end."""
    assert index is not None
    held = contents_of(index)
    numbers = held if isinstance(held, tuple) else (held,)
    return _source(index) in ("NonZero", "ArgMax") or all(
        n is not None and at_least(n) >= 0 for n in numbers
    )


DISTINCT = frozenset({"", "NonZero", "ArgMax", "TopK"})
"""What gives indices that are given by the user, or each at most once."""


def _source(value: Value) -> str:
    """The operator that an index comes of, behind casts and layout; none for an input."""
    while value.producer is not None:
        node = value.producer
        if node.op not in ("Cast", "Reshape", "Squeeze", "Unsqueeze", "Transpose"):
            return node.op
        assert node.inputs[0] is not None
        value = node.inputs[0]
    return ""
