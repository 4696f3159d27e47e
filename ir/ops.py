"""The operators that rules speak of: one row each, and how to apply one.

Any other operator passes through as it came, and needs no row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from graphwright.ir.const import Const, from_array
from graphwright.ir.errors import ModelError, TooLarge
from graphwright.ir.graph import Attr, Contents, Graph, Node, Value
from graphwright.ir.provenance import NO_ORIGIN, Origin
from graphwright.ir.types import INTS, NUMPY, UNKNOWN, TensorType, Type

Inputs: TypeAlias = "Sequence[Value | None]"
Attrs: TypeAlias = "Mapping[str, Attr]"
MAX_CONTENTS = 64
NO_BODIES: Mapping[str, Graph] = MappingProxyType({})


class NotTyped(Exception):
    """Raised by a row's `infer` when the types given don't tell the result's."""


@dataclass(frozen=True, slots=True)
class Op:
    """One operator.

    `infer(inputs, attrs)` types the results; `numpy(*arrays, **attrs)` computes the first (or a
    tuple of all); `contents(inputs, attrs)` is what a small integer result holds, as sizes.
    `commutes`: its two operands may be swapped. `exact`: NumPy gives the bits any IEEE runtime
    gives, so that constants may be folded with it. `own`: it lives in the domain `graphwright`.
    `alike`: from this input on, all have one element type, so that a bare number may be one.
    """

    name: str
    infer: Callable[[Inputs, Attrs], tuple[Type, ...]]
    numpy: Callable[..., Any] | None = None
    contents: Callable[[Inputs, Attrs], Contents | None] | None = None
    commutes: bool = False
    exact: bool = False
    own: bool = False
    alike: int | None = None


OPS: dict[str, Op] = {}


def register(*rows: Op) -> None:
    """Add rows to the table."""
    for row in rows:
        OPS[row.name] = row


def scalar(value: Value | None) -> float | None:
    """The number that a constant of one element holds, or None."""
    if value is None or value.const is None or not isinstance(value.type, TensorType):
        return None
    if value.type.dtype == "str" or any(d != 1 for d in value.type.shape or ()):
        return None
    number = value.const.load().reshape(-1)[0].item()
    return None if isinstance(number, complex) else number


def contents_of(value: Value | None) -> Contents | None:
    """What a small integer tensor holds, as sizes, or None."""
    if value is None:
        return None
    if value.contents is None and value.const is not None:
        value.contents = _const_contents(value.const)
    return value.contents


def _const_contents(const: Const) -> Contents | None:
    shape = const.type.shape
    if const.type.dtype not in INTS and const.type.dtype != "bool":
        return None
    if shape is None or len(shape) > 1 or (const.type.nbytes or 0) > 8 * MAX_CONTENTS:
        return None
    try:
        found = const.load()
    except ModelError:  # raised again where the data itself is asked for
        return None
    if found.size > MAX_CONTENTS:
        return None
    return tuple(map(int, found.tolist())) if found.ndim else int(found)


def infer(op: str, inputs: Inputs, attrs: Attrs, count: int = 1) -> tuple[Type, ...]:
    """The types of `count` results; unknown where the table has no answer.

    Raises TypeError when the operands do not fit the operator.
    """
    row = OPS.get(op)
    if row is None:
        return (UNKNOWN,) * count
    try:
        types = row.infer(inputs, attrs)
    except (NotTyped, TooLarge):
        return (UNKNOWN,) * count
    except KeyError as missing:
        raise TypeError(f"{op} needs the attribute {missing}") from None
    except IndexError:
        raise TypeError(f"{op} needs more than {len(inputs)} inputs") from None
    if len(types) == count:
        return types
    return (*types, *(UNKNOWN,) * (count - len(types)))[:count]


def contents_made(op: str, inputs: Inputs, attrs: Attrs) -> Contents | None:
    """What the first result of an operator holds, as sizes, or None."""
    row = OPS.get(op)
    if row is None or row.contents is None:
        return None
    try:
        return row.contents(inputs, attrs)
    except TooLarge:
        return None


def constant(number: object, dtype: str) -> Value:
    """A constant value: a number, a (nested) list of them, or an array.

    Raises TypeError for a number that `dtype` does not have.
    """
    kind = NUMPY[dtype]
    try:
        array = np.asarray(number, kind)
    except OverflowError:
        raise TypeError(f"{number} is no {dtype}") from None
    if isinstance(number, float) and kind.kind in "iub" and array != number:
        raise TypeError(f"{number} is no {dtype}")
    const = from_array(array)
    return Value(const.type, const=const)


def apply(
    op: str,
    *inputs: Value | float | None,
    count: int = 1,
    origin: Origin = NO_ORIGIN,
    place: float = 0.0,
    **attrs: Attr,
) -> Node:
    """A new node: `apply("Mul", x, 0.5)`. Numbers become constants of the type of the others.

    Raises TypeError when the operands do not fit the operator.
    """
    return node_of(op, inputs, attrs, count, origin, place)


def node_of(
    op: str,
    inputs: Sequence[Value | float | None],
    attrs: Attrs,
    count: int = 1,
    origin: Origin = NO_ORIGIN,
    place: float = 0.0,
    captures: tuple[Value, ...] = (),
    bodies: Mapping[str, Graph] = NO_BODIES,
) -> Node:
    """As `apply`, for attributes of any name and nodes with bodies."""
    row = OPS.get(op)
    values = _values(inputs, 0 if row is None else row.alike or 0)
    outputs = tuple([Value(t) for t in infer(op, values, attrs, count)])
    if outputs:
        outputs[0].contents = contents_made(op, values, attrs)
    return Node(op, values, attrs, outputs, captures, bodies, origin, place=place)


def _values(inputs: Sequence[Value | float | None], alike: int) -> tuple[Value | None, ...]:
    """Inputs with bare numbers made constants of the type that others have, from `alike` on."""
    values = [v if isinstance(v, Value) else None for v in inputs]
    if None in values and any(isinstance(v, int | float) for v in inputs):
        like = next((v.type for v in values[alike:] if v is not None), UNKNOWN)
        dtype = like.dtype if isinstance(like, TensorType) else "f32"
        for i, number in enumerate(inputs):
            if isinstance(number, int | float):
                values[i] = constant(number, dtype)
    return tuple(values)


def return_node(values: Sequence[Value | None], names: Sequence[str]) -> Node:
    """The node that ends a graph."""
    return Node("return", tuple(values), {"names": tuple(names)}, (), place=float("inf"))


RANDOM = frozenset(
    {
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
        "Multinomial",
        "Bernoulli",
    }
)


def _trains(node: Node) -> bool:
    """Whether it is a Dropout that drops at random, as far as that is known."""
    mode = node.inputs[2] if node.op == "Dropout" and len(node.inputs) > 2 else None
    return mode is not None and scalar(mode) != 0


def is_pure(node: Node) -> bool:
    """Whether running it twice, or not at all, makes no difference but to those who read it.

    Of operators of foreign domains that is not known, so they are not.
    """
    if node.op in OPS:
        return True
    if "::" in node.op or node.op.partition("@")[0] in RANDOM or _trains(node):
        return False
    return all(is_pure(n) for body in node.bodies.values() for n in body.reachable())
