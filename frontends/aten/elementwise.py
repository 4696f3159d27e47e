"""Functions of one number."""

from __future__ import annotations

import math
from collections.abc import Callable

from graphwright.frontends.aten.builder import Builder, NotRead, dtype_of, type_of
from graphwright.frontends.aten.promotion import category
from graphwright.frontends.aten.readings import aten
from graphwright.ir.graph import Value
from graphwright.ir.types import TensorType

PLAIN = {
    "sqrt": "Sqrt",
    "exp": "Exp",
    "log": "Log",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "asin": "Asin",
    "acos": "Acos",
    "atan": "Atan",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "asinh": "Asinh",
    "acosh": "Acosh",
    "atanh": "Atanh",
    "tanh": "Tanh",
    "erf": "Erf",
    "sigmoid": "Sigmoid",
    "reciprocal": "Reciprocal",
}
"""ATen's functions of floats that are ONNX's; integers are made floats before."""


def _plain(op: str) -> Callable[[Builder, Value], Value]:
    def reading(b: Builder, x: Value) -> Value:
        given = b.cast(x, b.dtype)
        return b.call(op, given, types=(given.type,))

    return reading


for _name, _op in PLAIN.items():
    aten(_name)(_plain(_op))


@aten("neg")
def neg(b: Builder, x: Value) -> Value:
    """-x."""
    return b.Neg(x)


@aten("abs")
def absolute(b: Builder, x: Value) -> Value:
    """|x|."""
    return b.Abs(x)


@aten("sign", "sgn")
def sign(b: Builder, x: Value) -> Value:
    """-1, 0 or 1."""
    return b.Sign(x)


@aten("rsqrt")
def rsqrt(b: Builder, x: Value) -> Value:
    """1 / sqrt(x)."""
    return b.Reciprocal(b.Sqrt(b.cast(x, b.dtype)))


@aten("square")
def square(b: Builder, x: Value) -> Value:
    """X * x."""
    return b.Mul(x, x)


@aten("exp2")
def exp2(b: Builder, x: Value) -> Value:
    """2**x."""
    return b.Pow(b.constant(2.0, b.dtype), b.cast(x, b.dtype))


@aten("expm1")
def expm1(b: Builder, x: Value) -> Value:
    """Exp(x) - 1."""
    return b.Sub(b.Exp(b.cast(x, b.dtype)), 1.0)


@aten("log1p")
def log1p(b: Builder, x: Value) -> Value:
    """log(1 + x)."""
    return b.Log(b.Add(b.cast(x, b.dtype), 1.0))


@aten("log2")
def log2(b: Builder, x: Value) -> Value:
    """The logarithm of base 2."""
    return b.Div(b.Log(b.cast(x, b.dtype)), math.log(2))


@aten("log10")
def log10(b: Builder, x: Value) -> Value:
    """The logarithm of base 10."""
    return b.Div(b.Log(b.cast(x, b.dtype)), math.log(10))


@aten("erfc")
def erfc(b: Builder, x: Value) -> Value:
    """1 - erf(x)."""
    return b.Sub(b.constant(1.0, b.dtype), b.Erf(b.cast(x, b.dtype)))


def _rounding(op: str) -> Callable[[Builder, Value], Value]:
    def reading(b: Builder, x: Value) -> Value:
        return x if category(dtype_of(x)) == "int" else b.call(op, x)

    return reading


for _name, _op in {"floor": "Floor", "ceil": "Ceil", "round": "Round"}.items():
    aten(_name)(_rounding(_op))


@aten("trunc", "fix")
def trunc(b: Builder, x: Value) -> Value:
    """X without what follows the point."""
    if category(dtype_of(x)) == "int":
        return x
    return b.Mul(b.Sign(x), b.Floor(b.Abs(x)))


@aten("frac")
def frac(b: Builder, x: Value) -> Value:
    """What follows the point of x."""
    return b.Sub(x, trunc(b, x))


@aten("isnan")
def isnan(b: Builder, x: Value) -> Value:
    """Whether x is no number."""
    return b.IsNaN(x) if category(dtype_of(x)) == "float" else _never(b, x)


@aten("isinf")
def isinf(b: Builder, x: Value) -> Value:
    """Whether x is infinite."""
    if category(dtype_of(x)) != "float":
        return _never(b, x)
    return b.call("IsInf", x, types=(TensorType("bool", type_of(x).shape),))


@aten("isfinite")
def isfinite(b: Builder, x: Value) -> Value:
    """Whether x is a number and not infinite."""
    return b.Not(b.Or(isnan(b, x), isinf(b, x)))


def _never(b: Builder, x: Value) -> Value:
    shape = type_of(x).shape
    if shape is None:
        raise NotRead("an operand's rank is not known")
    return b.filled(shape, False, "bool")


@aten("nan_to_num")
def nan_to_num(
    b: Builder,
    x: Value,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Value:
    """X with a number where it is none."""
    if posinf is not None or neginf is not None:
        raise NotRead("a number in place of infinity is not read")
    y = b.Where(b.IsNaN(x), b.constant(nan or 0.0, dtype_of(x)), x)
    limit = {"f32": 3.4028234663852886e38, "f64": 1.7976931348623157e308, "f16": 65504.0}
    most = limit.get(dtype_of(x))
    if most is None:
        raise NotRead(f"the largest {dtype_of(x)} is not known")
    return b.Max(b.Min(y, most), -most)
