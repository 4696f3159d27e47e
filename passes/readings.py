"""The ways to read a value as a product of factors, or as a sum of terms.

Only floats are read so: integer division rounds, and sums of integers wrap around.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from graphwright.ir.graph import Node, Value
from graphwright.ir.types import TensorType

Part: TypeAlias = "tuple[Value, float]"  # a factor and its exponent, or a term and its sign
Reading: TypeAlias = "tuple[float, tuple[Part, ...]]"  # a constant, and what it is joined with

PRODUCT_OPS = frozenset({"Mul", "Div", "Neg", "Sub", "Pow", "Sqrt", "Reciprocal"})
SUM_OPS = frozenset({"Add", "Sub", "Neg", "Mul"})  # Mul by -1 is a sign


def number(value: Value | None, beside: Value | None = None) -> float | None:
    """The number in a constant of one element that does not raise the rank of what it meets."""
    if value is None or value.const is None:
        return None
    shape = value.const.type.shape or ()
    if shape.count(1) != len(shape):
        return None
    found = value.const.number()
    if found is None or beside is None:
        return found
    rank = value.const.type.rank
    room = beside.type.rank if isinstance(beside.type, TensorType) else None
    return found if not rank or (room is not None and rank <= room) else None


def products(value: Value, e: float, room: int) -> Iterator[Reading]:
    """Every way to read `value ** e` as a constant and at most `room` factors with exponents."""
    if room < 0:
        return
    constant = number(value)
    if constant is not None:
        power = _power(constant, e)
        if power is not None:
            yield power, ()
        return
    node = value.producer
    if node is not None and node.op in PRODUCT_OPS:
        yield from _factors(node, e, room)
    if room:
        yield 1.0, ((value, e),)


def _power(c: float, e: float) -> float | None:
    if (c == 0 and e < 0) or (c < 0 and e != int(e)):
        return None
    try:
        return float(c**e)
    except OverflowError:
        return None


def _factors(node: Node, e: float, room: int) -> Iterator[Reading]:
    a, b = (*node.inputs, None)[:2]
    if a is None:
        return
    match node.op:
        case "Mul" if b is not None and not _raises_rank(a, b):
            yield from _joined(a, e, b, e, room)
        case "Div" if b is not None and not _raises_rank(a, b):
            yield from _joined(a, e, b, -e, room)
        case "Neg":
            yield from _negated(a, e, room)
        case "Sub" if b is not None and number(a, b) == 0:
            yield from _negated(b, e, room)
        case "Reciprocal":
            yield from products(a, -e, room)
        case "Sqrt":
            yield from _root(a, e / 2, room)
        case "Pow" if (p := number(b, a)) is not None:
            yield from _raised(a, p, e, room)


def _joined(a: Value, ea: float, b: Value, eb: float, room: int) -> Iterator[Reading]:
    for ca, fa in products(a, ea, room - _least_room(b)):
        for cb, fb in products(b, eb, room - len(fa)):
            yield ca * cb, fa + fb


def _least_room(value: Value) -> int:
    """How many factors (or terms) it is at least."""
    return 0 if number(value) is not None else 1


def _negated(value: Value, e: float, room: int) -> Iterator[Reading]:
    if e == int(e):
        sign = -1.0 if e % 2 else 1.0
        yield from ((sign * c, factors) for c, factors in products(value, e, room))


def _raised(a: Value, p: float, e: float, room: int) -> Iterator[Reading]:
    """Of `(a ** p) ** e`."""
    if p in (2, 3) and e == int(e):
        for c, factors in products(a, e, room // int(p)):
            yield c**p, factors * int(p)
    elif abs(p) == 1:
        yield from products(a, e * p, room)
    elif abs(p) == 0.5:
        yield from _root(a, e * p, room)
    elif room and (p % 2 or e == int(e)):
        yield 1.0, ((a, e * p),)


def _root(a: Value, e: float, room: int) -> Iterator[Reading]:
    """Of `a ** e` where e is no whole number: what is positive may be taken out of the root."""
    if room:
        for c, factors in products(a, 1.0, 1):
            if c > 0 and len(factors) == 1 and abs(factors[0][1]) == 1:
                yield c**e, ((factors[0][0], factors[0][1] * e),)


def sums(value: Value, sign: float, room: int) -> Iterator[Reading]:
    """Every way to read `sign * value` as a constant and at most `room` terms with signs."""
    if room < 0:
        return
    constant = number(value)
    if constant is not None:
        yield sign * constant, ()
        return
    node = value.producer
    if node is not None and node.op in SUM_OPS:
        yield from _terms(node, sign, room)
    if room:
        yield 0.0, ((value, sign),)


def _terms(node: Node, sign: float, room: int) -> Iterator[Reading]:
    a, b = (*node.inputs, None)[:2]
    if a is None:
        return
    if node.op == "Neg":
        yield from sums(a, -sign, room)
    elif b is None or _raises_rank(a, b):
        return
    elif node.op == "Mul":
        if -1.0 in (number(a), number(b)):
            yield from sums(b if number(a) == -1 else a, -sign, room)
    else:
        other = -sign if node.op == "Sub" else sign
        for ca, ta in sums(a, sign, room - _least_room(b)):
            for cb, tb in sums(b, other, room - len(ta)):
                yield ca + cb, ta + tb


def is_negative(value: Value) -> bool:
    """Whether a product may have a negative constant among its factors, deep inside or not."""
    node = value.producer
    if node is None or node.op not in PRODUCT_OPS:
        return False
    if node.op in ("Neg", "Sub"):
        return node.op == "Neg" or number(node.inputs[0]) == 0
    for factor in node.inputs:
        if factor is not None and ((number(factor) or 0) < 0 or is_negative(factor)):
            return True
    return False


def _raises_rank(a: Value, b: Value) -> bool:
    """Whether one is a number written with more axes than the other has: then it is no number."""
    return (number(a) is not None and number(a, b) is None) or (
        number(b) is not None and number(b, a) is None
    )


def tops(starts: list[Value], ops: frozenset[str], room: int, readers: int) -> list[Value]:
    """Values that may be a product (or sum) over one of `starts`, nearest first.

    Beside it at most `room` factors that are no numbers may stand. A value with more than `readers`
    readers is not gone beyond.
    """
    found = dict.fromkeys(starts, room)
    level = list(found)
    while level:
        above: list[Value] = []
        for value in level:
            if len(value.uses) > readers:
                continue
            for reader, index in value.uses:
                if reader.op in ops and (taken := _room_taken(reader, index, ops)) is not None:
                    left, top = found[value] - taken, reader.outputs[0]
                    if left >= 0 and left > found.get(top, -1):
                        found[top] = left
                        above.append(top)
        level = above
    return list(found)


def _room_taken(reader: Node, index: int, ops: frozenset[str]) -> int | None:
    """How many factors (or terms) stand beside operand `index`; None if it is not read so."""
    if len(reader.inputs) < 2:
        return 0
    beside = number(reader.inputs[1 - index])
    if reader.op == "Pow":
        return 0 if index == 0 and beside is not None else None
    if reader.op == "Sub" and ops is PRODUCT_OPS:
        return 0 if index == 1 and beside == 0 else None
    if reader.op == "Mul" and ops is SUM_OPS:
        return 0 if beside == -1 else None
    return 0 if beside is not None else 1
