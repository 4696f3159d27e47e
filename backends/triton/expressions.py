"""What operators of a body are in Triton, as text; all floats are float32."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import isfinite, isnan

from graphwright.backends.triton.facts import NoKernel
from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import scalar
from graphwright.ir.types import FLOATS, TensorType

NAN = "propagate_nan=tl.PropagateNan.ALL"

FUNCTIONS = {
    "tanh": '''
@triton.jit
def tanh(x):
    """Near 0 a series, since 1 - exp(-2|x|) has few digits there."""
    e = tl.exp(-2.0 * tl.abs(x))
    far = (1.0 - e) / (1.0 + e)
    square = x * x
    near = x * (1.0 - square * (0.33333333 - square * 0.13333333))
    return tl.where(tl.abs(x) < 0.1, near, tl.where(x < 0.0, -far, far))
''',
    "rounded": '''
@triton.jit
def rounded(x):
    """To the nearest whole number, halves to the even one; from 2^23 on all floats are whole."""
    large = tl.where(x < 0.0, -8388608.0, 8388608.0)
    return tl.where(tl.abs(x) < 8388608.0, (x + large) - large, x)
''',
    "softplus": '''
@triton.jit
def softplus(x):
    """log(1 + exp(x)), with the digits that 1 + exp(-|x|) loses."""
    e = tl.exp(-tl.abs(x))
    total = 1.0 + e
    lost = total == 1.0
    log = tl.where(lost, e, tl.log(total) * (e / tl.where(lost, 1.0, total - 1.0)))
    return tl.where(x > 0.0, x, 0.0) + tl.where(x != x, x, log)
''',
    "power": '''
@triton.jit
def power(x, y):
    """x to the power y, for x below 0 where y is whole."""
    size = tl.exp2(y * tl.log2(tl.abs(x)))
    half = y * 0.5
    odd = tl.floor(half) != half
    signed = tl.where(tl.floor(y) != y, float("nan"), tl.where(odd, -size, size))
    return tl.where(y == 0.0, 1.0, tl.where(x < 0.0, signed, size))
''',
    "whole_power": '''
@triton.jit
def whole_power(x, COUNT: tl.constexpr):
    """x times itself: COUNT factors."""
    y = x
    for _ in tl.static_range(COUNT - 1):
        y = y * x
    return y
''',
    "largest": '''
@triton.jit
def largest(x):
    """The greatest of each row, and NaN where there is one in it."""
    return tl.where(tl.max((x != x).to(tl.int32), 1) > 0, float("nan"), tl.max(x, 1))
''',
    "smallest": '''
@triton.jit
def smallest(x):
    """The least of each row, and NaN where there is one in it."""
    return tl.where(tl.max((x != x).to(tl.int32), 1) > 0, float("nan"), tl.min(x, 1))
''',
}
"""Functions that Triton lacks where it is interpreted, or has with fewer digits."""

PLAIN = {
    "Add": "{} + {}",
    "Sub": "{} - {}",
    "Mul": "{} * {}",
    "Div": "{} / {}",
    "Greater": "{} > {}",
    "GreaterOrEqual": "{} >= {}",
    "Less": "{} < {}",
    "LessOrEqual": "{} <= {}",
    "Equal": "{} == {}",
    "And": "{} & {}",
    "Or": "{} | {}",
    "Xor": "{} ^ {}",
    "Where": "tl.where({}, {}, {})",
    "Exp": "tl.exp({})",
    "Log": "tl.log({})",
    "Sqrt": "tl.sqrt({})",
    "Erf": "tl.erf({})",
    "Abs": "tl.abs({})",
    "Floor": "tl.floor({})",
    "Ceil": "tl.ceil({})",
    "Tanh": "tanh({})",
    "Round": "rounded({})",
    "Softplus": "softplus({})",
    "Neg": "-{}",
    "Not": "{} == 0",
    "IsNaN": "{0} != {0}",
    "Identity": "{}",
    "Reciprocal": "1.0 / {}",
    "Sigmoid": "1.0 / (1.0 + tl.exp(-{}))",
    "Relu": f"tl.maximum({{}}, 0.0, {NAN})",
    "Sign": "tl.where({0} > 0, 1.0, tl.where({0} < 0, -1.0, {0}))",
}
CASTS = {"i32": "tl.int32", "i64": "tl.int64", "bool": "tl.int1"}


def expression(node: Node, given: Sequence[str]) -> str:
    """What a node computes of its inputs, which are given as names or numbers. Raises NoKernel."""
    if node.op in PLAIN and (node.op != "Div" or _is_float(node)):
        return PLAIN[node.op].format(*given)
    made = SPECIAL.get(node.op)
    if made is None:
        raise NoKernel(f"its normalizer has {node.op}, which kernels do not compute")
    return made(node, given)


def number(n: float | int | bool) -> str:
    """A number as Triton reads it."""
    if isinstance(n, float) and not isfinite(n):
        return f'float("{"nan" if isnan(n) else "inf" if n > 0 else "-inf"}")'
    return repr(n)


def used(text: str) -> str:
    """The functions of ours that a text calls, and those that they call."""
    return "\n".join(
        source for name, source in FUNCTIONS.items() if re.search(rf"\b{name}\(", text)
    )


def _chained(function: str) -> Callable[[Node, Sequence[str]], str]:
    def made(node: Node, given: Sequence[str]) -> str:
        text = given[0]
        for each in given[1:]:
            text = f"{function}({text}, {each}, {NAN})"
        return text

    return made


def _cast(node: Node, given: Sequence[str]) -> str:
    to = str(node.attrs["to"])
    if to in FLOATS and to != "f64":
        return f"{given[0]}.to(tl.float32)"
    if to not in CASTS:
        raise NoKernel(f"its normalizer casts to {to}, which kernels do not compute in")
    return f"{given[0]} != 0" if to == "bool" else f"{given[0]}.to({CASTS[to]})"


def _div(node: Node, given: Sequence[str]) -> str:
    return f"{given[0]} // {given[1]}"  # of integers Triton takes what lies nearer to 0, as ONNX


def _pow(node: Node, given: Sequence[str]) -> str:
    base, exponent = (scalar(v) for v in node.inputs)
    if not _is_float(node):
        if base != 2:
            raise NoKernel("its normalizer has powers of integers other than 2")
        return f"1 << {given[1]}"
    if base == 2:
        return f"tl.exp2({given[1]})"
    if exponent == 0.5:
        return f"tl.sqrt({given[0]})"
    if exponent is not None and exponent == int(exponent) and 1 <= exponent <= 8:
        return f"whole_power({given[0]}, {int(exponent)})"
    return f"power({given[0]}, {given[1]})"


def _gelu(node: Node, given: Sequence[str]) -> str:
    (x,) = given
    if node.attrs.get("approximate", "none") == "none":
        return f"0.5 * {x} * (1.0 + tl.erf({x} * 0.70710678))"
    return f"0.5 * {x} * (1.0 + tanh(0.79788456 * ({x} + 0.044715 * {x} * {x} * {x})))"


def _swish(node: Node, given: Sequence[str]) -> str:
    alpha = float(str(node.attrs.get("alpha", 1.0)))
    return f"{given[0]} / (1.0 + tl.exp(-{alpha} * {given[0]}))"


SPECIAL: dict[str, Callable[[Node, Sequence[str]], str]] = {
    "Cast": _cast,
    "Div": _div,
    "Gelu": _gelu,
    "Max": _chained("tl.maximum"),
    "Min": _chained("tl.minimum"),
    "Pow": _pow,
    "Swish": _swish,
}


def dtype_of(value: Value) -> str:
    """The element type of a value; a float where it is not known."""
    return value.type.dtype if isinstance(value.type, TensorType) else "f32"


def _is_float(node: Node) -> bool:
    return dtype_of(node.outputs[0]) in FLOATS
