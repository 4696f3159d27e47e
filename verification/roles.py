"""What the inputs of a graph are for, told by what reads them: indices, masks, sizes, numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from graphwright.ir.dims import Dim
from graphwright.ir.graph import Graph, Node, Use, Value
from graphwright.ir.ops import scalar
from graphwright.ir.types import FLOATS, INTS, TensorType

PENALTY = 1e3  # what is multiplied by more is no data
STEPS = 400

# Their first operand comes out again: moved, repeated, picked from.
MOVES = frozenset(
    {"Reshape", "Unsqueeze", "Squeeze", "Transpose", "Expand", "Identity", "Slice", "Flatten"}
    | {"Split", "Tile", "Gather", "GatherND", "GatherElements", "Pad", "Trilu", "Clip", "Abs"}
    | {"ReduceMax", "ReduceMin", "Dropout", "Compress"}
)
JOINS = frozenset({"Concat", "Max", "Min", "Sum", "ScatterND", "ScatterElements"})
LOGIC = frozenset({"And", "Or", "Xor", "Not"})
COMPARISONS = frozenset({"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"})
SIZED = {
    "Reshape": (1,), "Expand": (1,), "ConstantOfShape": (0,), "Tile": (1,), "Slice": (1, 2, 3, 4),
    "Range": (0, 1, 2), "TopK": (1,), "Squeeze": (1,), "Unsqueeze": (1,), "CumSum": (1,),
    "Split": (1,), "Pad": (1,), "Trilu": (1,), "Resize": (3,), "OneHot": (1,),
    "com.microsoft::GroupQueryAttention": (5, 6),
}  # fmt: skip
"""Operands that say how large or where, and not what."""

BIASES = {"Attention": (3,), "com.microsoft::MultiHeadAttention": (5,)}
TABLES = {
    "RotaryEmbedding": {3: (1, 0)},
    "com.microsoft::RotaryEmbedding": {1: (2, 0)},
    "com.microsoft::EmbedLayerNormalization": {0: (2, 0), 1: (4, 0)},
}
"""By operand that holds indices: the operand they point into, and along which axis."""


@dataclass(frozen=True, slots=True)
class Bound:
    """`scale * x + shift`, with shifts from `low` to `high`, points into an axis of `size`."""

    scale: int
    low: int
    high: int
    size: Dim


@dataclass
class Role:
    """What was seen of the readers of one input; with each use for a size, where in the list."""

    bounds: list[Bound] = field(default_factory=list)
    compared: set[int] = field(default_factory=set)
    sizes: list[tuple[Use, int]] = field(default_factory=list)
    is_mask: bool = False
    is_bias: bool = False


@dataclass(frozen=True, slots=True)
class At:
    """A value on the way from an input: `scale` times it plus from `low` to `high`.

    `added`: something was added to it. `place`: which element of the value is the input's first.
    """

    value: Value
    scale: int = 1
    low: int = 0
    high: int = 0
    added: bool = False
    place: int = 0


def role_of(graph: Graph, value: Value) -> Role:
    """What `value`, an input of `graph`, is read for."""
    role = Role()
    waiting, seen = [At(value)], {value}
    while waiting and len(seen) < STEPS:
        at = waiting.pop()
        for use in at.value.uses:
            for following in _read(graph, at, use, role):
                if following.value not in seen:
                    seen.add(following.value)
                    waiting.append(following)
    return role


def _read(graph: Graph, at: At, use: Use, role: Role) -> Iterator[At]:
    node, index = use
    if not node.outputs:  # the node that returns
        return
    if (node.bodies and node.op not in BIASES) or node.op in graph.functions:
        yield from _entered(graph, at, use)
        return
    op = node.op.partition("@")[0]
    if index in SIZED.get(op, ()):
        role.sizes.append((use, at.place))
    elif (bound := _pointed(node, index)) is not None:
        role.bounds.append(Bound(at.scale, at.low, at.high, bound))
    elif index in BIASES.get(op, ()) or (op in ("Softmax", "LogSoftmax") and at.added):
        role.is_bias = True
        role.is_mask = role.is_mask or op in BIASES
    elif op in LOGIC or (op == "Where" and index == 0):
        role.is_mask = True
    elif op in COMPARISONS:
        number = scalar(node.inputs[1 - index])
        role.compared |= set() if number is None else {int(number)}
    else:
        yield from _passed(node, op, index, at, role)


def _entered(graph: Graph, at: At, use: Use) -> Iterator[At]:
    """Where the value stands in the bodies that capture it, or in the function called."""
    node, index = use
    function = graph.functions.get(node.op)
    if function is not None:
        if index < len(function.body.inputs):
            yield replace(at, value=function.body.inputs[index])
        return
    captured = index - len(node.inputs)
    for body in node.bodies.values():
        if captured >= 0:
            inside = body.inputs[len(body.inputs) - len(node.captures) + captured]
            yield replace(at, value=inside)


def _pointed(node: Node, index: int) -> Dim | None:
    """The size of the axis that an operand points into, where it holds indices."""
    op = node.op.partition("@")[0]
    axis = node.attrs.get("axis", 0)
    if op in ("Gather", "GatherElements", "ScatterElements") and index == 1:
        return _size(node.inputs[0], axis if isinstance(axis, int) else 0)
    if op in ("GatherND", "ScatterND") and index == 1:
        return _least(node)
    table = TABLES.get(op, {}).get(index)
    if table is None or table[0] >= len(node.inputs):
        return None
    return _size(node.inputs[table[0]], table[1])


def _size(value: Value | None, axis: int) -> Dim | None:
    shape = value.type.shape if value is not None and isinstance(value.type, TensorType) else None
    return shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else 1


def _least(node: Node) -> Dim:
    """The smallest of the axes that the last axis of the indices points into."""
    batch = node.attrs.get("batch_dims", 0)
    data, at = node.inputs[0], node.inputs[1]
    count = _size(at, -1)
    shape = data.type.shape if data is not None and isinstance(data.type, TensorType) else None
    if shape is None or not isinstance(batch, int) or not isinstance(count, int):
        return 1
    numbers = [d for d in shape[batch : batch + count] if isinstance(d, int)]
    return min(numbers) if numbers else shape[batch]


def _passed(node: Node, op: str, index: int, at: At, role: Role) -> Iterator[At]:
    """The outputs that still hold the input's elements."""
    out = node.outputs[0]
    if (op in MOVES and index == 0) or op in JOINS or op == "Where":
        place = at.place + (_before(node, index) if op == "Concat" else 0)
        yield from (replace(at, value=o, place=place) for o in node.outputs)
    elif op == "Cast":
        role.is_mask = role.is_mask or node.attrs.get("to") == "bool"
        yield replace(at, value=out)
    elif op in ("Add", "Sub", "Mul", "Div"):
        yield from _computed(node, op, index, at, role)


def _computed(node: Node, op: str, index: int, at: At, role: Role) -> Iterator[At]:
    other, out = node.inputs[1 - index], node.outputs[0]
    number = scalar(other)
    if op == "Sub" and index == 1:
        role.is_mask = role.is_mask or number == 1
    if op == "Mul" and (other is None or other.const is None or abs(number or 0) >= PENALTY):
        role.is_mask = True  # what data is multiplied by chooses, as what becomes a penalty does
    if _is(out, FLOATS):
        shared = op == "Add" and _stands_beside_scores(at.value, other, index)
        yield replace(at, value=out, added=at.added or shared)
    elif _is(out, INTS) and op == "Mul" and number is not None and number > 0:
        scale = int(number)
        moved = replace(at, value=out, low=at.low * scale, high=at.high * scale)
        yield replace(moved, scale=at.scale * scale)
    elif op in ("Add", "Sub") and (op == "Add" or index == 0):
        low, high = _range(other) if op == "Add" else tuple(-n for n in reversed(_range(other)))
        yield replace(at, value=out, low=at.low + low, high=at.high + high)


def _before(node: Node, index: int) -> int:
    """How many elements stand before operand `index` of a Concat of lists."""
    sizes = [_size(v, 0) for v in node.inputs[:index]]
    return sum(n for n in sizes if isinstance(n, int))


def _stands_beside_scores(value: Value, other: Value | None, index: int) -> bool:
    """Whether, of the two operands of an Add, `value` is the mask rather than the scores."""
    shapes = [
        v.type.shape if v is not None and isinstance(v.type, TensorType) else None
        for v in (value, other)
    ]
    if other is None or other.const is not None:
        return False
    if shapes[0] == shapes[1] or None in shapes:
        return index == 1
    return len(shapes[0] or ()) < len(shapes[1] or ()) or 1 in (shapes[0] or ())


def _range(value: Value | None) -> tuple[int, int]:
    """The least and the greatest element of a constant of integers; 0 and 0 of what is computed."""
    if value is None or value.const is None or not _is(value, INTS):
        return 0, 0
    array = value.const.load()
    return (int(array.min()), int(array.max())) if array.size else (0, 0)


def _is(value: Value, kinds: frozenset[str]) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype in kinds
