"""How a choice of elements is carried back through each operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from graphwright.ir.dims import Dim
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import constant, contents_of, return_node
from graphwright.ir.types import TensorType
from graphwright.passes.attention.contractions import contraction
from graphwright.passes.attention.factors import Unprovable
from graphwright.passes.attention.steps import REGROUPING
from graphwright.passes.axes.rows import ELEMENTWISE
from graphwright.passes.narrow.marks import Marks, regrouped
from graphwright.passes.rule import Builder, need
from graphwright.passes.shapes import expand, reshape, shape_of

if TYPE_CHECKING:
    from graphwright.passes.narrow.narrowing import Narrowing

Kept: TypeAlias = "tuple[int, ...]"
Way: TypeAlias = "Callable[[Narrowing, Builder, Value, int, Kept], Value | None]"
"""What makes a value anew with what is kept along an axis; None where it knows no way."""


def dims(value: Value | None) -> tuple[Dim, ...]:
    """The shape. Refuses where the rank is not known."""
    found = shape_of(value)
    need(found is not None, "the shape of what it reads is not known")
    assert found is not None
    return found


def _node(value: Value) -> Node:
    assert value.producer is not None
    return value.producer


def _first(value: Value) -> Value:
    found = _node(value).inputs[0]
    assert found is not None
    return found


def _again(op: Builder, value: Value, inputs: Sequence[Value | None], **bodies: Graph) -> Value:
    node = _node(value)
    attrs: dict[str, Any] = dict(node.attrs)
    return op.call(node.op, *inputs, **attrs, **bodies)


def _along(value: Value, axis: int, kept: Kept) -> tuple[Dim, ...]:
    """The shape of what is left."""
    shape = dims(value)
    return (*shape[:axis], len(kept), *shape[axis + 1 :])


def beside(on: Narrowing, operand: Value | None, value: Value, axis: int, kept: Kept) -> Any:
    """An operand that broadcasts to `value`, with what is kept of it where it has the axis."""
    if operand is None:
        return None
    at = axis - len(dims(value)) + len(dims(operand))
    has = at >= 0 and dims(operand)[at] != 1
    return on.keep(operand, at, kept) if has else on.read(operand)


def _each(on: Narrowing, op: Builder, value: Value, axis: int, kept: Kept) -> Value | None:
    inputs = [beside(on, v, value, axis, kept) for v in _node(value).inputs]
    return _again(op, value, inputs)


def _turned(on: Narrowing, op: Builder, value: Value, axis: int, kept: Kept) -> Value | None:
    """Pairs along the last axis are turned together."""
    return None if axis == len(dims(value)) - 1 else _each(on, op, value, axis, kept)


def _rows(on: Narrowing, op: Builder, value: Value, axis: int, kept: Kept) -> Value | None:
    """What normalizes along later axes."""
    node = _node(value)
    last = node.attrs.get("axis", -1)
    if value is not node.outputs[0] or not isinstance(last, int) or axis >= last % len(dims(value)):
        return None
    others = [v if v is None else on.read(v) for v in node.inputs[1:]]
    return _again(op, value, [on.keep(_first(value), axis, kept), *others])


def _reduced(on: Narrowing, op: Builder, value: Value, axis: int, kept: Kept) -> Value | None:
    """What reduces along other axes."""
    attrs: Any = _node(value).attrs
    rank = len(dims(_first(value)))
    gone = {a % rank for a in attrs.get("axes", range(rank))}
    left = [a for a in range(rank) if attrs["keepdims"] or a not in gone]
    if left[axis] in gone:
        return None
    return _again(op, value, [on.keep(_first(value), left[axis], kept)])


def _transposed(on: Narrowing, op: Builder, value: Value, axis: int, kept: Kept) -> Value | None:
    perm: Any = _node(value).attrs["perm"]
    return _again(op, value, [on.keep(_first(value), perm[axis], kept)])


def _reshaped(on: Narrowing, op: Builder, value: Value, axis: int, kept: Kept) -> Value | None:
    x, shape = _first(value), dims(value)
    size = shape[axis]
    if not isinstance(size, int) or list(kept) != sorted(kept):
        return None
    numbers = np.isin(np.arange(size), kept).astype(np.int64)
    before = regrouped(Marks(axis, numbers), shape, dims(x))
    if before is None:
        return None
    inner = on.keep(x, before.axis, tuple(np.flatnonzero(before.numbers).tolist()))
    return reshape(op, inner, _along(value, axis, kept))


def _expanded(on: Narrowing, op: Builder, value: Value, axis: int, kept: Kept) -> Value | None:
    return expand(op, beside(on, _first(value), value, axis, kept), _along(value, axis, kept))


def _multiplied(on: Narrowing, op: Builder, value: Value, axis: int, kept: Kept) -> Value | None:
    node = _node(value)
    try:
        found = contraction(node)
    except Unprovable:
        return None
    if found is None:
        return None
    label = found.result[axis]
    inputs: list[Value | None] = []
    for operand, labels in zip(node.inputs, found.operands, strict=False):
        assert operand is not None
        at = labels.index(label) if label in labels else -1
        has = at >= 0 and dims(operand)[at] != 1
        inputs.append(on.keep(operand, at, kept) if has else on.read(operand))
    return _again(op, value, inputs)


def _linear(on: Narrowing, op: Builder, value: Value, axis: int, kept: Kept) -> Value | None:
    """Gemm and Linear: of the rows of what is multiplied, or of the columns of the weight."""
    node = _node(value)
    x, w, *bias = node.inputs
    if x is None or w is None or node.attrs.get("transA"):
        return None
    rest = [beside(on, b, value, axis, kept) for b in bias]
    if axis < len(dims(value)) - 1:
        return _again(op, value, [on.keep(x, axis, kept), on.read(w), *rest])
    across = node.attrs.get("transposed", node.attrs.get("transB", 0))
    return _again(op, value, [on.read(x), on.keep(w, 0 if across else 1, kept), *rest])


def _sliced(on: Narrowing, op: Builder, value: Value, axis: int, kept: Kept) -> Value | None:
    x, *bounds = _node(value).inputs
    starts, ends, axes, steps = (contents_of(v) for v in (*bounds, None, None)[:4])
    if not isinstance(starts, tuple) or not isinstance(ends, tuple) or x is None:
        return None
    given = range(len(starts)) if len(bounds) < 3 or bounds[2] is None else axes
    if not isinstance(given, range | tuple):
        return None
    at = [a % len(dims(x)) for a in given if isinstance(a, int)]
    if axis not in at:
        return _again(op, value, [on.keep(x, axis, kept), *(b and on.read(b) for b in bounds)])
    one_by_one = len(bounds) < 4 or bounds[3] is None or steps == (1,)
    size, start, end = dims(x)[axis], starts[0], ends[0]
    if len(at) > 1 or not one_by_one:
        return None
    if not isinstance(size, int) or not isinstance(start, int) or not isinstance(end, int):
        return None
    chosen = range(size)[start:end]
    return on.keep(x, axis, tuple(chosen[i] for i in kept))


def _split(on: Narrowing, op: Builder, value: Value, axis: int, kept: Kept) -> Value | None:
    node = _node(value)
    attrs: Any = node.attrs
    along, sizes = attrs["axis"] % len(dims(value)), attrs["split"]
    index = node.outputs.index(value)
    start = sum(sizes[:index])
    if along == axis:
        return on.keep(_first(value), axis, tuple(start + i for i in kept))
    bounds = (constant([n], "i64") for n in (start, start + sizes[index], along))
    return op.Slice(on.keep(_first(value), axis, kept), *bounds)


def _gathered(on: Narrowing, op: Builder, value: Value, axis: int, kept: Kept) -> Value | None:
    node = _node(value)
    along: Any = node.attrs["axis"]
    picked = node.inputs[1]
    assert picked is not None
    along, width = along % len(dims(_first(value))), len(dims(picked))
    if along <= axis < along + width:
        return None
    at = axis if axis < along else axis - width + 1
    return _again(op, value, [on.keep(_first(value), at, kept), on.read(picked)])


def _joined(on: Narrowing, op: Builder, value: Value, axis: int, kept: Kept) -> Value | None:
    node = _node(value)
    along: Any = node.attrs["axis"]
    if along % len(dims(value)) == axis:
        return None
    return _again(op, value, [on.keep(v, axis, kept) for v in node.inputs if v is not None])


def _attended(on: Narrowing, op: Builder, value: Value, axis: int, kept: Kept) -> Value | None:
    """Heads of an attention, with the heads of keys and values that they read."""
    node = _node(value)
    if axis != len(dims(value)) - 3:
        return None
    q, k, v, *extras = node.inputs
    assert q is not None
    assert k is not None
    assert v is not None
    heads, shared = dims(q)[axis], dims(k)[axis]
    need(isinstance(heads, int) and isinstance(shared, int), "its heads are counted at run time")
    assert isinstance(heads, int)
    assert isinstance(shared, int)
    keys = _keys(kept, heads // shared, shared)
    parts = [on.keep(q, axis, kept), on.keep(k, axis, keys), on.keep(v, axis, keys)]
    parts += [beside(on, each, value, axis, kept) for each in extras]
    bodies = {name: _body(on, body, axis, kept) for name, body in node.bodies.items()}
    return _again(op, value, parts, **bodies)


def _keys(kept: Kept, group: int, shared: int) -> Kept:
    """The heads of keys that so many heads read, if each is read by as many."""
    counts = np.bincount([head // group for head in kept], minlength=shared)
    found = np.flatnonzero(counts)
    equal = len(set(counts[found].tolist())) == 1
    need(equal, f"its {group} heads that share keys have to go together, or as many of each group")
    return tuple(found.tolist())


def _body(on: Narrowing, body: Graph, axis: int, kept: Kept) -> Graph:
    """A normalizer for the heads that are kept."""
    (scores,), (weights,) = body.inputs, body.outputs
    assert isinstance(scores.type, TensorType)
    assert weights is not None
    given = Value(TensorType(scores.type.dtype, _along(scores, axis, kept)), name=scores.name)
    inside = on.inside({(scores, axis, kept): given})
    found = inside.keep(weights, axis, kept)
    need(not inside.leaves, "its normalizer does not tell heads apart in a way that can be cut")
    names: Any = body.result.attrs["names"]
    return Graph(body.name, (given,), return_node([found], names))


WAYS: dict[str, Way] = {
    **dict.fromkeys(ELEMENTWISE, _each),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization", "Softmax", "LogSoftmax"), _rows),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2"), _reduced),
    **dict.fromkeys(REGROUPING, _reshaped),
    **dict.fromkeys(("MatMul", "Einsum", "com.microsoft::FusedMatMul"), _multiplied),
    **dict.fromkeys(("Gemm", "Linear"), _linear),
    "RotaryEmbedding": _turned,
    "Transpose": _transposed,
    "Expand": _expanded,
    "Slice": _sliced,
    "Split": _split,
    "Gather": _gathered,
    "Concat": _joined,
    "Attention": _attended,
}
