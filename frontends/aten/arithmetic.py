"""Arithmetic of two numbers, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable

from graphwright.frontends.aten.builder import Builder, Number, Operand, together
from graphwright.frontends.aten.elementwise import trunc
from graphwright.frontends.aten.promotion import category, promoted
from graphwright.frontends.aten.readings import aten
from graphwright.ir.graph import Value
from graphwright.ir.types import TensorType


def both(b: Builder, x: Operand, y: Operand, dtype: str = "") -> tuple[Value, Value]:
    """Two operands as tensors of one element type."""
    dtype = dtype or promoted(x, y)
    return b.tensor(x, dtype), b.tensor(y, dtype)


def _scaled(b: Builder, y: Operand, alpha: Number, dtype: str) -> Value:
    if isinstance(y, int | float) and isinstance(alpha, int | float):
        return b.tensor(y * alpha, dtype)
    scaled = b.tensor(y, dtype)
    return scaled if alpha == 1 else b.Mul(scaled, b.tensor(alpha, dtype))


@aten("add.Tensor", "add.Scalar")
def add(b: Builder, x: Value, y: Operand, alpha: Number = 1) -> Value:
    """X + alpha y."""
    if b.dtype == "bool":
        return b.Or(*both(b, x, y))
    return b.Add(b.tensor(x, b.dtype), _scaled(b, y, alpha, b.dtype))


@aten("sub.Tensor", "sub.Scalar")
def sub(b: Builder, x: Value, y: Operand, alpha: Number = 1) -> Value:
    """X - alpha y."""
    return b.Sub(b.tensor(x, b.dtype), _scaled(b, y, alpha, b.dtype))


@aten("rsub.Tensor", "rsub.Scalar")
def rsub(b: Builder, x: Value, y: Operand, alpha: Number = 1) -> Value:
    """Y - alpha x."""
    return b.Sub(b.tensor(y, b.dtype), _scaled(b, x, alpha, b.dtype))


@aten("mul.Tensor", "mul.Scalar")
def mul(b: Builder, x: Value, y: Operand) -> Value:
    """X y."""
    if b.dtype == "bool":
        return b.And(*both(b, x, y))
    return b.Mul(*both(b, x, y, b.dtype))


@aten("div.Tensor", "div.Scalar", "true_divide.Tensor")
def div(b: Builder, x: Value, y: Operand) -> Value:
    """X / y."""
    return b.Div(*both(b, x, y, b.dtype))


@aten("div.Tensor_mode", "div.Scalar_mode")
def div_mode(b: Builder, x: Value, y: Operand, rounding_mode: str | None = None) -> Value:
    """X / y, rounded down or toward zero."""
    if rounding_mode == "floor":
        return floor_divide(b, x, y)
    quotient = b.Div(*both(b, x, y, b.dtype))  # of integers ONNX rounds toward zero
    return quotient if rounding_mode is None else trunc(b, quotient)


@aten("floor_divide", "floor_divide.Scalar")
def floor_divide(b: Builder, x: Value, y: Operand) -> Value:
    """X / y, rounded down."""
    left, right = both(b, x, y, b.dtype)
    if category(b.dtype) == "int":
        return b.Div(b.Sub(left, _modulo(b, left, right)), right)
    return b.Floor(b.Div(left, right))


def _modulo(b: Builder, x: Value, y: Value, fmod: int = 0) -> Value:
    type_ = TensorType(b.dtype, together(x, y))
    return b.call("Mod", x, y, types=(type_,), **({"fmod": 1} if fmod else {}))


@aten("remainder.Tensor", "remainder.Scalar")
def remainder(b: Builder, x: Value, y: Operand) -> Value:
    """What is left of x in steps of y, with the sign of y."""
    left, right = both(b, x, y, b.dtype)
    if category(b.dtype) == "int":
        return _modulo(b, left, right)
    return b.Sub(left, b.Mul(b.Floor(b.Div(left, right)), right))


@aten("fmod.Tensor", "fmod.Scalar")
def fmod(b: Builder, x: Value, y: Operand) -> Value:
    """What is left of x in steps of y, with the sign of x."""
    return _modulo(b, *both(b, x, y, b.dtype), fmod=1)


@aten("pow.Tensor_Tensor", "pow.Tensor_Scalar", "pow.Scalar")
def power(b: Builder, x: Operand, y: Operand) -> Value:
    """X to the power y."""
    return b.Pow(*both(b, x, y, b.dtype))


@aten("maximum", "max.other")
def maximum(b: Builder, x: Value, y: Value) -> Value:
    """The larger of x and y."""
    return b.Max(*both(b, x, y, b.dtype))


@aten("minimum", "min.other")
def minimum(b: Builder, x: Value, y: Value) -> Value:
    """The smaller of x and y."""
    return b.Min(*both(b, x, y, b.dtype))


@aten("clamp", "clamp.Tensor", "clip")
def clamp(b: Builder, x: Value, min: Operand | None = None, max: Operand | None = None) -> Value:
    """X brought between two bounds."""
    y = b.tensor(x, b.dtype)
    if min is not None:
        y = b.Max(y, b.tensor(min, b.dtype))
    return y if max is None else b.Min(y, b.tensor(max, b.dtype))


@aten("clamp_min", "clamp_min.Tensor")
def clamp_min(b: Builder, x: Value, min: Operand) -> Value:
    """X, or `min` where that is larger."""
    return clamp(b, x, min)


@aten("clamp_max", "clamp_max.Tensor")
def clamp_max(b: Builder, x: Value, max: Operand) -> Value:
    """X, or `max` where that is smaller."""
    return clamp(b, x, None, max)


@aten("where.self", "where.ScalarSelf", "where.ScalarOther", "where.Scalar")
def where(b: Builder, condition: Value, x: Operand, y: Operand) -> Value:
    """X where the condition holds, and y elsewhere."""
    return b.Where(b.cast(condition, "bool"), *both(b, x, y, b.dtype))


@aten("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(b: Builder, x: Value, mask: Value, value: Operand) -> Value:
    """`value` where the mask holds, and x elsewhere."""
    return b.Where(b.cast(mask, "bool"), b.tensor(value, b.dtype), x)


@aten("lerp.Scalar", "lerp.Tensor")
def lerp(b: Builder, x: Value, end: Value, weight: Operand) -> Value:
    """X + weight (end - x)."""
    return b.Add(x, b.Mul(b.tensor(weight, b.dtype), b.Sub(end, x)))


@aten("addcmul")
def addcmul(b: Builder, x: Value, y: Value, z: Value, value: Number = 1) -> Value:
    """X + value y z."""
    return b.Add(x, _scaled(b, b.Mul(y, z), value, b.dtype))


@aten("addcdiv")
def addcdiv(b: Builder, x: Value, y: Value, z: Value, value: Number = 1) -> Value:
    """X + value y / z."""
    return b.Add(x, _scaled(b, b.Div(y, z), value, b.dtype))


@aten("logaddexp")
def logaddexp(b: Builder, x: Value, y: Value) -> Value:
    """log(exp(x) + exp(y))."""
    top = b.Max(x, y)
    return b.Add(top, b.Log(b.Add(b.Exp(b.Sub(x, top)), b.Exp(b.Sub(y, top)))))


@aten("atan2")
def atan2(b: Builder, y: Value, x: Value) -> Value:
    """The angle of the point (x, y)."""
    plain = b.call("Atan", b.Div(y, x), types=(TensorType(b.dtype, together(x, y)),))
    half = b.Where(b.Less(y, 0.0), b.constant(-math.pi, b.dtype), b.constant(math.pi, b.dtype))
    return b.Where(b.Less(x, 0.0), b.Add(plain, half), plain)


COMPARISONS = {
    "eq": "Equal",
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
}


def _compared(op: str) -> Callable[[Builder, Value, Operand], Value]:
    def reading(b: Builder, x: Value, y: Operand) -> Value:
        dtype = promoted(x, y)
        if dtype == "bool" and op != "Equal":
            dtype = "i32"  # ONNX orders no booleans
        return b.call(op, *both(b, x, y, dtype))

    return reading


for _name, _op in COMPARISONS.items():
    aten(f"{_name}.Tensor", f"{_name}.Scalar")(_compared(_op))


@aten("ne.Tensor", "ne.Scalar")
def not_equal(b: Builder, x: Value, y: Operand) -> Value:
    """Whether x and y differ."""
    return b.Not(b.Equal(*both(b, x, y)))


@aten("logical_not")
def logical_not(b: Builder, x: Value) -> Value:
    """Whether x is zero."""
    return b.Not(b.cast(x, "bool"))


def _logical(op: str) -> Callable[[Builder, Value, Value], Value]:
    def reading(b: Builder, x: Value, y: Value) -> Value:
        return b.call(op, b.cast(x, "bool"), b.cast(y, "bool"))

    return reading


for _name, _op in {"and": "And", "or": "Or", "xor": "Xor"}.items():
    aten(f"logical_{_name}")(_logical(_op))


def _bitwise(op: str) -> Callable[[Builder, Operand, Operand], Value]:
    def reading(b: Builder, x: Operand, y: Operand) -> Value:
        left, right = both(b, x, y, b.dtype)
        if b.dtype == "bool":
            return b.call(op, left, right)
        return b.call(f"Bitwise{op}", left, right, types=(TensorType(b.dtype, together(x, y)),))

    return reading


for _name, _op in {"and": "And", "or": "Or", "xor": "Xor"}.items():
    aten(*(f"bitwise_{_name}.{kind}" for kind in ("Tensor", "Scalar", "Scalar_Tensor")))(
        _bitwise(_op)
    )
    aten(*(f"__{_name}__.{kind}" for kind in ("Tensor", "Scalar")))(_bitwise(_op))


@aten("bitwise_not")
def bitwise_not(b: Builder, x: Value) -> Value:
    """Every bit turned."""
    return b.Not(x) if b.dtype == "bool" else b.call("BitwiseNot", x, types=(x.type,))
