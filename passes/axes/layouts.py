"""Operators that move elements about: which factors of their results what they read has too."""

from __future__ import annotations

from collections.abc import Sequence

from graphwright.ir.dims import Dim
from graphwright.ir.graph import Node
from graphwright.ir.operators.operands import axis_of
from graphwright.ir.ops import contents_of
from graphwright.ir.quotients import exact_quotient
from graphwright.passes.attention.factors import Factor, Unprovable, View, new_axis, regroup
from graphwright.passes.attention.steps import numbers, shape
from graphwright.passes.axes.working import How, Working, axes


def transposed(node: Node) -> Working:
    """Transpose."""
    given = axes(node.inputs[0])
    return Working([given], [[given[at] for at in numbers(node, "perm")]])


def regrouped(node: Node) -> Working:
    """Reshape and its kind: the same elements in their order, cut into other axes."""
    given, have, want = axes(node.inputs[0]), shape(node.inputs[0]), shape(node.outputs[0])
    sizes: list[View | None] = [None for _ in node.inputs[1:]]
    try:
        return Working([given, *sizes], [regroup((f for axis in given for f in axis), want)])
    except Unprovable:
        return _partly(have, want, sizes)


def _partly(have: Sequence[Dim], want: Sequence[Dim], sizes: list[View | None]) -> Working:
    """What can be said where some sizes have no common cut: the axes around those."""
    shorter = min(len(have), len(want))
    front = next((i for i in range(shorter) if have[i] != want[i]), shorter)
    most = shorter - front
    back = next((i for i in range(most) if have[-1 - i] != want[-1 - i]), most)
    given: View = [new_axis(dim) for dim in have]
    result: View = [new_axis(dim) for dim in want]
    result[:front] = given[:front]
    result[len(want) - back :] = given[len(have) - back :]
    found = Working([given, *sizes], [result])
    for view in (given, result):
        inner = view[front : len(view) - back]
        found.treats((f for axis in inner for f in axis), How.MIXES)
    return found


def expanded(node: Node) -> Working:
    """Expand: what is new is the same all along."""
    have, result = shape(node.inputs[0]), axes(node.outputs[0])
    want = shape(node.outputs[0])
    given: View = []
    new = len(want) - len(have)
    for dim, out, axis in zip(have, want[new:], result[new:], strict=True):
        if dim not in (1, out):
            raise Unprovable("an Expand that may or may not repeat")
        given.append(list(axis) if dim == out else [])
    return Working([given, None], [result])


def tiled(node: Node) -> Working:
    """Tile: an axis is its copies, times what is copied."""
    found = Working([None, None], [None])
    given: View = []
    result: View = []
    for dim, out in zip(shape(node.inputs[0]), shape(node.outputs[0]), strict=True):
        times = exact_quotient(out, dim)
        if times is None:
            raise Unprovable("a Tile by a number that is not known")
        axis, copies = new_axis(dim), new_axis(times)
        found.treats(copies, How.JOINS)
        given.append(axis)
        result.append([*copies, *axis])
    found.inputs[0], found.outputs[0] = given, result
    return found


def padded(node: Node) -> Working:
    """Pad: along the axes to which nothing is added, all stays."""
    given, result = axes(node.inputs[0]), axes(node.outputs[0])
    pads = contents_of(node.inputs[1]) if len(node.inputs) < 4 else None
    found = Working([given, *(None for _ in node.inputs[1:])], [result])
    for i, axis in enumerate(given):
        around = (pads[i], pads[i + len(given)]) if isinstance(pads, tuple) else None
        if around == (0, 0):
            result[i] = list(axis)
        else:
            found.treats((*axis, *result[i]), How.PLACES)
    return found


def sliced(node: Node) -> Working:
    """Slice: along the axes that it does not cut, all stays."""
    given = axes(node.inputs[0])
    have, want = shape(node.inputs[0]), shape(node.outputs[0])
    lists = [contents_of(v) for v in node.inputs[1:]]
    along = lists[2] if len(lists) > 2 and node.inputs[3] is not None else None
    if along is None and len(node.inputs) > 3 and node.inputs[3] is not None:
        raise Unprovable("a Slice along axes that are computed")
    cut = along if isinstance(along, tuple) else tuple(range(len(given)))
    steps = lists[3] if len(lists) > 3 and node.inputs[4] is not None else (1,) * len(cut)
    found = Working([given, *(None for _ in node.inputs[1:])], [list(given)])
    for i, axis in enumerate(cut):
        at = axis_of(axis if isinstance(axis, int) else None, len(given))
        step = steps[i] if isinstance(steps, tuple) and i < len(steps) else None
        if have[at] != want[at] or step != 1:
            turned = have[at] == want[at] and step == -1
            _cut(found, at, want[at], How.PERMUTES if turned else How.PICKS)
    return found


def _cut(found: Working, at: int, size: Dim, how: How) -> None:
    given, result = found.inputs[0], found.outputs[0]
    assert given is not None
    assert result is not None
    result[at] = given[at] if how is How.PERMUTES else new_axis(size)
    found.treats((*given[at], *result[at]), how)


def split(node: Node) -> Working:
    """Split: the parts have their own factor along the axis."""
    given = axes(node.inputs[0])
    at = axis_of(node.attrs["axis"], len(given))
    found = Working([given, *(None for _ in node.inputs[1:])], [])
    found.treats(given[at], How.PICKS)
    for value in node.outputs:
        part = new_axis(shape(value)[at])
        found.treats(part, How.PICKS)
        found.outputs.append([*given[:at], part, *given[at + 1 :]])
    return found


def joined(node: Node) -> Working:
    """Concat: all inputs share what they are not joined along."""
    result, want = axes(node.outputs[0]), shape(node.outputs[0])
    at = axis_of(node.attrs["axis"], len(result))
    found = Working([], [result])
    found.treats(result[at], How.JOINS)
    for value in node.inputs:
        view: View = []
        for i, dim in enumerate(shape(value)):
            if i == at or dim != want[i]:
                own = new_axis(dim)
                found.treats(own, How.JOINS if i == at else How.MIXES)
                if i != at:
                    found.treats(result[i], How.MIXES)
                view.append(own)
            else:
                view.append(list(result[i]))
        found.inputs.append(view)
    return found


def gathered(node: Node) -> Working:
    """Gather: a look-up is pointwise along the indices, and along all that it does not look up."""
    given, at = axes(node.inputs[0]), axes(node.inputs[1])
    axis = axis_of(node.attrs["axis"], len(given))
    found = Working([given, at], [[*given[:axis], *at, *given[axis + 1 :]]])
    found.treats(given[axis], How.PICKS)
    return found


def gathered_elements(node: Node) -> Working:
    """GatherElements: pointwise along what both have alike, and along its indices."""
    given, at = axes(node.inputs[0]), axes(node.inputs[1])
    axis = axis_of(node.attrs.get("axis", 0), len(given))
    found = Working([given, at], [at])
    found.treats(given[axis], How.PICKS)
    for i, (dim, want) in enumerate(zip(shape(node.inputs[0]), shape(node.inputs[1]), strict=True)):
        if i != axis and dim == want:
            given[i] = list(at[i])
        elif i != axis:
            found.treats((*given[i], *at[i]), How.PLACES)
    return found


def gathered_rows(node: Node) -> Working:
    """GatherND: pointwise along its batches, its lists of indices, and what each of them picks."""
    given, at = axes(node.inputs[0]), axes(node.inputs[1])
    count, batch = shape(node.inputs[1])[-1], node.attrs.get("batch_dims", 0)
    if not isinstance(count, int) or not isinstance(batch, int):
        raise Unprovable("a GatherND of as many axes as are known only at run time")
    if shape(node.inputs[0])[:batch] != shape(node.inputs[1])[:batch]:
        raise Unprovable("a GatherND whose batches are not known to be equal")
    at[:batch] = given[:batch]
    found = Working([given, at], [[*at[:-1], *given[batch + count :]]])
    looked_up: list[Factor] = [f for axis in given[batch : batch + count] for f in axis]
    found.treats((*looked_up, *at[-1]), How.PICKS)
    return found
