"""Our RotaryEmbedding written out: to the bit what exporters write, in as few nodes."""

from __future__ import annotations

from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, Value
from graphwright.ir.ops import constant, node_of
from graphwright.ir.types import TensorType


def rotary(x: Value, cos: Value, sin: Value, interleaved: int, width: int) -> Value:
    """The first `width` channels of x turned in pairs, and the rest as it is."""
    rank, count = _extent(x)
    if width != count:
        head, tail = _cut(x, width, count - width)
        return _op("Concat", rotary(head, cos, sin, interleaved, width), tail, axis=-1)
    halves = _extent(cos)[1] != width
    if interleaved:
        return _interleaved(x, cos, sin, rank, width, halves)
    a, b = _cut(x, width // 2, width // 2)
    if halves:
        return _op("Concat", *_turned(a, b, cos, sin), axis=-1)
    return _added(x, cos, _op("Concat", _op("Neg", b), a, axis=-1), sin)


def _interleaved(x: Value, cos: Value, sin: Value, rank: int, width: int, halves: bool) -> Value:
    lead = (0,) * (rank - 1)  # which Reshape copies
    pairs, flat = constant((*lead, width // 2, 2), "i64"), constant((*lead, width), "i64")
    a, b = _cut(_op("Reshape", x, pairs), 1, 1)
    if halves:
        cos, sin = (_op("Unsqueeze", table, axes=(-1,)) for table in (cos, sin))
        return _op("Reshape", _op("Concat", *_turned(a, b, cos, sin), axis=-1), flat)
    return _added(x, cos, _op("Reshape", _op("Concat", _op("Neg", b), a, axis=-1), flat), sin)


def _added(x: Value, cos: Value, crossed: Value, sin: Value) -> Value:
    return _op("Add", _op("Mul", x, cos), _op("Mul", crossed, sin))


def _turned(a: Value, b: Value, cos: Value, sin: Value) -> tuple[Value, Value]:
    first = _op("Sub", _op("Mul", a, cos), _op("Mul", b, sin))
    return first, _op("Add", _op("Mul", b, cos), _op("Mul", a, sin))


def _cut(x: Value, first: int, second: int) -> tuple[Value, ...]:
    return node_of("Split", (x,), {"axis": -1, "split": (first, second)}, 2).outputs


def _extent(x: Value) -> tuple[int, int]:
    """The rank, and the number of channels."""
    shape = x.type.shape if isinstance(x.type, TensorType) else None
    if not shape or not isinstance(shape[-1], int):
        raise ModelError("a RotaryEmbedding of a tensor of unknown shape")
    return len(shape), shape[-1]


def _op(name: str, *inputs: Value, **attrs: Attr) -> Value:
    return node_of(name, inputs, attrs).outputs[0]
