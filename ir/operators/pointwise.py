"""Operators that work element by element, with NumPy's broadcasting."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from graphwright.ir.dims import Dim, Sym, at_least
from graphwright.ir.graph import Contents
from graphwright.ir.operators.erf import erf
from graphwright.ir.operators.operands import broadcast_types, tensor
from graphwright.ir.ops import Attrs, Inputs, Op, contents_of, register
from graphwright.ir.quotients import quotient
from graphwright.ir.types import FLOATS, NAMES, NUMPY, UNKNOWN, TensorType, Type

Array = np.ndarray[Any, np.dtype[Any]]
Combine = Callable[[Dim, Dim], "Dim | None"]


def same(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    """The type of the first input."""
    return (tensor(inputs),)


def truth(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    """The shape of the first input, of booleans."""
    return (TensorType("bool", tensor(inputs).shape),)


def together(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    """The type that all inputs broadcast to."""
    return (broadcast_types(inputs),)


def compared(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    """The shape that all inputs broadcast to, of booleans."""
    return (TensorType("bool", broadcast_types(inputs).shape),)


def chosen(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    """The type of Where: that of its branches."""
    return (broadcast_types(inputs, 1),)


def each(function: Combine) -> Callable[[Inputs, Attrs], Contents | None]:
    """Contents of an operator of two operands, from the contents of both."""

    def contents(inputs: Inputs, attrs: Attrs) -> Contents | None:
        a = contents_of(inputs[0])
        if a is None:
            return None
        b = contents_of(inputs[1])
        if b is None:
            return None
        return _within(tensor(inputs).dtype, _zipped(function, a, b))

    return contents


def _within(dtype: str, found: Contents | None) -> Contents | None:
    """Contents as they are, unless a number may have wrapped around."""
    if found is None or dtype == "bool":
        return found
    limits = np.iinfo(NUMPY[dtype])
    for dim in found if isinstance(found, tuple) else (found,):
        if isinstance(dim, int):
            fits = limits.min <= dim <= limits.max
        else:
            fits = limits.bits >= 32 and (limits.min < 0 or dim.nonnegative)
        if not fits:
            return None
    return found


def _zipped(function: Combine, a: Contents, b: Contents) -> Contents | None:
    """`function` of each pair of elements, a single one paired with each of the other list."""
    if not isinstance(a, tuple) and not isinstance(b, tuple):
        return function(a, b)
    left, right = (c if isinstance(c, tuple) else (c,) for c in (a, b))
    left = left * len(right) if len(left) == 1 else left
    right = right * len(left) if len(right) == 1 else right
    if len(left) != len(right):
        return None
    found = [function(x, y) for x, y in zip(left, right, strict=True)]
    dims = tuple([d for d in found if d is not None])
    return dims if len(dims) == len(found) else None


def _quotient(a: Dim, b: Dim) -> Dim | None:
    if isinstance(b, int) and b <= 0:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return a // b if a >= 0 else -(-a // b)
    return quotient(a, b) if at_least(a) >= 0 and at_least(b) >= 0 else None


def _equal(a: Dim, b: Dim) -> Dim | None:
    difference = a - b
    if isinstance(difference, int):
        return int(difference == 0)
    for sign in (difference - 1, -1 * difference - 1):
        if isinstance(sign, Sym) and sign.nonnegative:
            return 0
    return None


def _where(inputs: Inputs, attrs: Attrs) -> Contents | None:
    test, a, b = (contents_of(v) for v in inputs)
    if test is None or a is None or b is None:
        return None
    one = _zipped(lambda t, x: x if t == 1 else 0 if t == 0 else None, test, a)
    other = _zipped(lambda t, y: y if t == 0 else 0 if t == 1 else None, test, b)
    return None if one is None or other is None else _zipped(lambda x, y: x + y, one, other)


def _kept(inputs: Inputs, attrs: Attrs) -> Contents | None:
    return contents_of(inputs[0])


def _erf(x: Array) -> Array:
    return _as(x, erf(x))


def _as(x: Array, y: Array) -> Array:
    """`y` in the element type of `x`."""
    return np.asarray(y).astype(x.dtype, copy=False)


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return _as(x, np.where(x >= 0, 1 / (1 + e), e / (1 + e)))


def gelu(x: Array, approximate: str = "none") -> Array:
    """The function x (1 + erf(x / sqrt 2)) / 2, or its tanh form."""
    if approximate == "none":
        inner = _erf(x / math.sqrt(2))
    else:
        inner = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    return _as(x, 0.5 * x * (1 + inner))


def swish(x: Array, alpha: float = 1.0) -> Array:
    """The function x sigmoid(alpha x)."""
    return _as(x, x * _sigmoid(alpha * x))


def _div(a: Array, b: Array) -> Array:
    if a.dtype.kind not in "iu":
        return _as(a, np.divide(a, b))
    if not np.all(b):
        raise ZeroDivisionError("an integer divided by zero")
    whole = np.floor_divide(a, b)
    return _as(a, whole + ((whole < 0) & (whole * b != a)))  # ONNX truncates toward zero


def _pow(a: Array, b: Array) -> Array:
    if a.dtype.kind in "iu" and b.dtype.kind in "iu" and np.any(b < 0):
        raise ZeroDivisionError("an integer to a negative power")
    return _as(a, np.power(a, b))


def _cast(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    return (TensorType(str(attrs["to"]), tensor(inputs).shape),)


def _cast_contents(inputs: Inputs, attrs: Attrs) -> Contents | None:
    found, to = contents_of(inputs[0]), attrs["to"]
    if found is None or to in ("i64", "i32"):
        return _within(str(to), found)
    numbers = found if isinstance(found, tuple) else (found,)
    return found if to == "bool" and all(n in (0, 1) for n in numbers) else None


def _casted(x: Array, to: str, **_: object) -> Array:
    if "str" in (to, NAMES.get(x.dtype)):
        raise TypeError("how numbers are written differs from runtime to runtime")
    if to.startswith(("f8", "f4")):
        raise TypeError(f"how numbers become {to} differs from runtime to runtime")
    return x.astype(NUMPY[to])


def _only_floats(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    if tensor(inputs).dtype not in FLOATS:
        raise TypeError(f"{tensor(inputs)} where a float was wanted")
    return same(inputs, attrs)


def _first(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    return (UNKNOWN if inputs[0] is None else inputs[0].type,)


FUNCTIONS: tuple[tuple[str, Callable[..., Any], bool], ...] = (
    ("Sqrt", np.sqrt, True),
    ("Exp", np.exp, False),
    ("Log", np.log, False),
    ("Sin", np.sin, False),
    ("Cos", np.cos, False),
    ("Tanh", np.tanh, False),
    ("Erf", _erf, False),
    ("Sigmoid", _sigmoid, False),
    ("Reciprocal", np.reciprocal, True),
    ("Softplus", lambda x: np.logaddexp(x, x.dtype.type(0)), False),
    ("Gelu", gelu, False),
    ("Swish", swish, False),
    ("Floor", np.floor, True),
    ("Ceil", np.ceil, True),
    ("Round", np.rint, True),
)
"""Functions of one number: their names, their meanings, and whether every bit is settled."""

register(
    *(Op(name, _only_floats, function, exact=exact) for name, function, exact in FUNCTIONS),
    Op("Neg", same, np.negative, exact=True),
    Op("Abs", same, np.abs, exact=True),
    Op("Sign", same, np.sign),
    Op("Relu", same, lambda x: np.maximum(x, x.dtype.type(0))),
    Op("Identity", _first, lambda x: x, _kept, exact=True),
    Op("Cast", _cast, _casted, _cast_contents),
    Op("Not", same, np.logical_not, exact=True),
    Op("IsNaN", truth, np.isnan, exact=True),
    Op("Add", together, np.add, each(lambda a, b: a + b), True, True, alike=0),
    Op("Sub", together, np.subtract, each(lambda a, b: a - b), exact=True, alike=0),
    Op("Mul", together, np.multiply, each(lambda a, b: a * b), True, True, alike=0),
    Op("Div", together, _div, each(_quotient), exact=True, alike=0),
    Op("Pow", together, _pow, alike=0),
    Op("Max", together, lambda *x: reduce(np.maximum, x), commutes=True, alike=0),
    Op("Min", together, lambda *x: reduce(np.minimum, x), commutes=True, alike=0),
    Op("And", compared, np.logical_and, commutes=True, exact=True, alike=0),
    Op("Or", compared, np.logical_or, commutes=True, exact=True, alike=0),
    Op("Xor", compared, np.logical_xor, commutes=True, exact=True, alike=0),
    Op("Equal", compared, np.equal, each(_equal), commutes=True, exact=True, alike=0),
    Op("Less", compared, np.less, exact=True, alike=0),
    Op("LessOrEqual", compared, np.less_equal, exact=True, alike=0),
    Op("Greater", compared, np.greater, exact=True, alike=0),
    Op("GreaterOrEqual", compared, np.greater_equal, exact=True, alike=0),
    Op("Where", chosen, np.where, _where, exact=True, alike=1),
)
