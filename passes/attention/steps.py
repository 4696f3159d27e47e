"""One step against the flow: from the view of what a layout operator gives to what it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from graphwright.ir.dims import Dim
from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import contents_of, scalar
from graphwright.ir.quotients import exact_quotient
from graphwright.ir.types import FLOATS, TensorType
from graphwright.passes.attention.factors import Factor, Unprovable, View, regroup

Step: TypeAlias = Callable[[Node, View], "tuple[Value, View]"]


def shape(value: Value | None) -> tuple[Dim, ...]:
    """The shape of a tensor; Unprovable when its rank is not known."""
    if value is None or not isinstance(value.type, TensorType) or value.type.shape is None:
        raise Unprovable("a tensor of unknown rank")
    return value.type.shape


def numbers(node: Node, name: str) -> tuple[int, ...]:
    """An attribute that is a list of numbers."""
    found = node.attrs[name]
    if not isinstance(found, tuple):
        raise Unprovable(f"{node.op} without {name}")
    return tuple([n for n in found if isinstance(n, int)])


def axis_of(node: Node, rank: int) -> int:
    """The axis that an operator works along, counted from the front."""
    axis = node.attrs["axis"]
    if not isinstance(axis, int):
        raise Unprovable(f"{node.op} along an axis that is not known")
    return axis % rank


def step_back(value: Value, view: View) -> tuple[Value, View]:
    """The tensor that a layout operator moved about to give `value`, and its view.

    Raises Unprovable where `value` is no such result.
    """
    node = value.producer
    step = STEPS.get(node.op) if node is not None else None
    if node is None or step is None:
        raise Unprovable(f"{node.op if node else 'an input'} computes")
    if node.op != "Split" and value is not node.outputs[0]:
        raise Unprovable(f"another output of {node.op}")
    return step(node, view) if node.op != "Split" else _split(value, view)


def source(value: Value, view: View) -> tuple[Value, View, float]:
    """Back through layout and scalar factors to where data comes from, and their product.

    Stopping early is always sound.
    """
    scale = 1.0
    while True:
        found = scaled(value)
        if found is not None:
            value, by = found
            scale *= by
            continue
        try:
            value, view = step_back(value, view)
        except Unprovable:
            return value, view, scale


def scaled(value: Value) -> tuple[Value, float] | None:
    """A tensor, and the scalar that it is multiplied by to give `value`."""
    node = value.producer
    if node is None or node.op not in ("Mul", "Div"):
        return None
    a, b = node.inputs
    for x, by in ((a, scalar(b)), (b, scalar(a) if node.op == "Mul" else None)):
        if x is not None and by and x.type == value.type:
            return x, (1 / by if node.op == "Div" else by)
    return None


def first(node: Node) -> Value:
    """The data that a layout operator moves."""
    value = node.inputs[0]
    assert value is not None
    return value


def _same(node: Node, view: View) -> tuple[Value, View]:
    return first(node), view


def _cast(node: Node, view: View) -> tuple[Value, View]:
    x = first(node)
    if (
        not isinstance(x.type, TensorType)
        or x.type.dtype not in FLOATS
        or node.attrs["to"] not in FLOATS
    ):
        raise Unprovable("a cast that is not between floats")
    return x, view


def _regrouped(node: Node, view: View) -> tuple[Value, View]:
    x = first(node)
    return x, regroup([f for axis in view for f in axis], shape(x))


def _transposed(node: Node, view: View) -> tuple[Value, View]:
    found: View = [[] for _ in view]
    for axis, at in enumerate(numbers(node, "perm")):
        found[at] = view[axis]
    return first(node), found


def _expanded(node: Node, view: View) -> tuple[Value, View]:
    x = first(node)
    have, want = shape(x), shape(node.outputs[0])
    offset = len(want) - len(have)
    found: View = []
    for axis, dim in enumerate(have):
        if dim != 1 and dim != want[offset + axis]:
            raise Unprovable("an Expand that may or may not repeat")
        found.append(view[offset + axis] if dim == want[offset + axis] else [])
    return x, found


def _tiled(node: Node, view: View) -> tuple[Value, View]:
    x = first(node)
    found = list(view)
    for axis, (have, want) in enumerate(zip(shape(x), shape(node.outputs[0]), strict=True)):
        if have != want:
            found[axis] = _second(view[axis], want, have)
    return x, found


def _second(axis: list[Factor], whole: Dim, fast: Dim) -> list[Factor]:
    times = exact_quotient(whole, fast)
    if times is None:
        raise Unprovable("a repeat by a number that is not known")
    return regroup(axis, [times, fast])[1]


def _block(axis: list[Factor], start: Dim, whole: Dim, part: Dim) -> list[Factor]:
    """The axis that a block of size `part`, cut out from `start` on, was part of."""
    count, index = exact_quotient(whole, part), exact_quotient(start, part)
    if not isinstance(index, int) or not isinstance(count, int):
        raise Unprovable("a slice that is no block")
    return [Factor(count, index=index), *axis]


def _sliced(node: Node, view: View) -> tuple[Value, View]:
    x = first(node)
    have, want = shape(x), shape(node.outputs[0])
    starts, axes = (
        contents_of(node.inputs[1]),
        contents_of(node.inputs[3] if len(node.inputs) > 3 else None),
    )
    steps = contents_of(node.inputs[4]) if len(node.inputs) > 4 and node.inputs[4] else None
    if not isinstance(starts, tuple) or (isinstance(steps, tuple) and any(s != 1 for s in steps)):
        raise Unprovable("a slice with steps, or one computed at run time")
    at = axes if isinstance(axes, tuple) else tuple(range(len(starts)))
    found = list(view)
    for axis, start in zip(at, starts, strict=True):
        if not isinstance(axis, int):
            raise Unprovable("a slice along an axis that is not known")
        axis %= len(have)
        if have[axis] == want[axis]:
            continue
        if isinstance(start, int) and start < 0:
            start = have[axis] + start
        found[axis] = _block(view[axis], start, have[axis], want[axis])
    return x, found


def _split(value: Value, view: View) -> tuple[Value, View]:
    node = value.producer
    assert node is not None
    x = first(node)
    axis, sizes = axis_of(node, len(view)), numbers(node, "split")
    index = node.outputs.index(value)
    block = _block(view[axis], sum(sizes[:index]), shape(x)[axis], sizes[index])
    return x, _with(view, axis, block)


def _gathered(node: Node, view: View) -> tuple[Value, View]:
    x, at = first(node), contents_of(node.inputs[1])
    axis = axis_of(node, len(shape(x)))
    whole = shape(x)[axis]
    if isinstance(at, int) and isinstance(whole, int):
        return x, [*view[:axis], [Factor(whole, index=at % whole)], *view[axis:]]
    if isinstance(at, tuple) and isinstance(whole, int) and whole and len(at) % whole == 0:
        times = len(at) // whole
        if list(at) == [i // times for i in range(len(at))]:
            return x, _with(view, axis, regroup(view[axis], [whole, times])[0])
        if list(at) == list(range(whole)) * times:
            return x, _with(view, axis, regroup(view[axis], [times, whole])[1])
    raise Unprovable("a Gather of elements chosen at run time")


def _joined(node: Node, view: View) -> tuple[Value, View]:
    """A Concat of one tensor with itself repeats it; any other is where its data comes from."""
    x = first(node)
    if any(v is not x for v in node.inputs) or len(node.inputs) < 2:
        raise Unprovable("a Concat of several tensors")
    axis = axis_of(node, len(view))
    return x, _with(view, axis, _second(view[axis], shape(node.outputs[0])[axis], shape(x)[axis]))


def _with(view: View, axis: int, factors: list[Factor]) -> View:
    return [*view[:axis], factors, *view[axis + 1 :]]


STEPS: dict[str, Step] = {
    "Identity": _same,
    "Cast": _cast,
    "Reshape": _regrouped,
    "Flatten": _regrouped,
    "Squeeze": _regrouped,
    "Unsqueeze": _regrouped,
    "Transpose": _transposed,
    "Expand": _expanded,
    "Tile": _tiled,
    "Slice": _sliced,
    "Split": _same,
    "Gather": _gathered,
    "Concat": _joined,
}

REGROUPING = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})
