"""Operators that work element by element."""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  everybody calls it so

from graphwright.backends.torch.registry import lower

PLAIN = {
    "Sqrt": torch.sqrt,
    "Exp": torch.exp,
    "Log": torch.log,
    "Sin": torch.sin,
    "Cos": torch.cos,
    "Tan": torch.tan,
    "Asin": torch.asin,
    "Acos": torch.acos,
    "Atan": torch.atan,
    "Sinh": torch.sinh,
    "Cosh": torch.cosh,
    "Asinh": torch.asinh,
    "Acosh": torch.acosh,
    "Atanh": torch.atanh,
    "Tanh": torch.tanh,
    "Erf": torch.erf,
    "Sigmoid": torch.sigmoid,
    "Reciprocal": torch.reciprocal,
    "Floor": torch.floor,
    "Ceil": torch.ceil,
    "Round": torch.round,
    "Neg": torch.neg,
    "Abs": torch.abs,
    "Sign": torch.sign,
    "Relu": torch.relu,
    "Not": torch.logical_not,
    "IsNaN": torch.isnan,
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "And": torch.logical_and,
    "Or": torch.logical_or,
    "Xor": torch.logical_xor,
    "Equal": torch.eq,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "BitwiseAnd": torch.bitwise_and,
    "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor,
    "BitwiseNot": torch.bitwise_not,
}
"""Operators that PyTorch has under another name."""

for _op, _function in PLAIN.items():
    lower(_op)(_function)


@lower("Identity", "Dropout")
def identity(x: Any, *_: Any, **__: Any) -> Any:
    """X as it is."""
    return x


@lower("Softplus")
def softplus(x: Any) -> Any:
    """log(1 + exp(x)), also where PyTorch's own takes x for it."""
    return torch.logaddexp(x, torch.zeros_like(x))


@lower("Gelu", "com.microsoft::Gelu")
def gelu(x: Any, approximate: str = "none") -> Any:
    """Gelu, or its tanh form."""
    return F.gelu(x, approximate=approximate)


@lower("Swish", "com.microsoft::QuickGelu")
def swish(x: Any, alpha: float = 1.702) -> Any:
    """X sigmoid(alpha x)."""
    return F.silu(x) if alpha == 1 else x * torch.sigmoid(alpha * x)


@lower("com.microsoft::FastGelu")
def fast_gelu(x: Any, bias: Any = None) -> Any:
    """The tanh form of Gelu, of x + bias."""
    return F.gelu(x if bias is None else x + bias, approximate="tanh")


@lower("com.microsoft::BiasGelu")
def bias_gelu(x: Any, bias: Any) -> Any:
    """Gelu of x + bias."""
    return F.gelu(x + bias)


@lower("Div")
def div(x: Any, y: Any) -> Any:
    """X / y; of integers toward zero."""
    if x.dtype.is_floating_point or x.dtype.is_complex:
        return x / y
    return torch.div(x, y, rounding_mode="trunc")


@lower("Mod")
def mod(x: Any, y: Any, fmod: int = 0) -> Any:
    """What is left of x in steps of y, with the sign of y, or of x."""
    return torch.fmod(x, y) if fmod else torch.remainder(x, y)


@lower("Pow")
def power(x: Any, y: Any) -> Any:
    """X to the power y, in the type of x."""
    return torch.pow(x, y).to(x.dtype)


@lower("Max")
def largest(*x: Any) -> Any:
    """The largest of all."""
    return reduce(torch.maximum, x)


@lower("Min")
def smallest(*x: Any) -> Any:
    """The smallest of all."""
    return reduce(torch.minimum, x)


@lower("Sum")
def total(*x: Any) -> Any:
    """The sum of all."""
    return reduce(torch.add, x)


@lower("Mean")
def mean(*x: Any) -> Any:
    """The mean of all."""
    return reduce(torch.add, x) / len(x)


@lower("Where")
def where(test: Any, x: Any, y: Any) -> Any:
    """X where the test holds, and y elsewhere."""
    return torch.where(test, x, y)


@lower("Clip")
def clip(x: Any, least: Any = None, most: Any = None) -> Any:
    """X brought between two bounds."""
    x = x if least is None else torch.maximum(x, least)
    return x if most is None else torch.minimum(x, most)


@lower("IsInf")
def is_inf(x: Any, detect_negative: int = 1, detect_positive: int = 1) -> Any:
    """Whether x is infinite."""
    found = torch.isinf(x)
    if not detect_negative:
        found = found & (x > 0)
    return found if detect_positive else found & (x < 0)


@lower("LeakyRelu")
def leaky_relu(x: Any, alpha: float = 0.01) -> Any:
    """X, or a part of it below 0."""
    return F.leaky_relu(x, alpha)


@lower("PRelu")
def prelu(x: Any, slope: Any) -> Any:
    """X, or a learned part of it below 0."""
    return torch.where(x < 0, x * slope, x)


@lower("Elu")
def elu(x: Any, alpha: float = 1.0) -> Any:
    """Alpha (exp(x) - 1) below 0, and x elsewhere."""
    return F.elu(x, alpha)


@lower("Celu")
def celu(x: Any, alpha: float = 1.0) -> Any:
    """Alpha (exp(x / alpha) - 1) below 0, and x elsewhere."""
    return F.celu(x, alpha)


@lower("Selu")
def selu(
    x: Any, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875
) -> Any:
    """A scaled elu."""
    return gamma * F.elu(x, alpha)


@lower("HardSigmoid")
def hard_sigmoid(x: Any, alpha: float = 0.2, beta: float = 0.5) -> Any:
    """A line between 0 and 1."""
    return torch.clamp(alpha * x + beta, 0, 1)


@lower("HardSwish")
def hard_swish(x: Any) -> Any:
    """X times a line between 0 and 1."""
    return x * torch.clamp(x / 6 + 0.5, 0, 1)


@lower("Mish")
def mish(x: Any) -> Any:
    """X tanh(softplus(x))."""
    return F.mish(x)


@lower("Softsign")
def softsign(x: Any) -> Any:
    """X / (1 + |x|)."""
    return F.softsign(x)


@lower("ThresholdedRelu")
def thresholded_relu(x: Any, alpha: float = 1.0) -> Any:
    """X above a threshold, and 0 elsewhere."""
    return torch.where(x > alpha, x, torch.zeros_like(x))
