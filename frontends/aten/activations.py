"""Activation functions."""

from __future__ import annotations

from graphwright.frontends.aten.builder import Builder, NotRead, Number, axis_of, rank_of, shape_of
from graphwright.frontends.aten.readings import aten
from graphwright.ir.graph import Value


@aten("relu")
def relu(b: Builder, x: Value) -> Value:
    """max(x, 0)."""
    return b.Relu(x)


@aten("relu6")
def relu6(b: Builder, x: Value) -> Value:
    """min(max(x, 0), 6)."""
    return b.Min(b.Relu(x), 6.0)


@aten("hardtanh")
def hardtanh(b: Builder, x: Value, min_val: float = -1.0, max_val: float = 1.0) -> Value:
    """X brought between two bounds."""
    return b.Min(b.Max(x, min_val), max_val)


@aten("gelu")
def gelu(b: Builder, x: Value, approximate: str = "none") -> Value:
    """Gelu, or its tanh form."""
    return b.Gelu(x, approximate=approximate)


@aten("silu")
def silu(b: Builder, x: Value) -> Value:
    """X sigmoid(x)."""
    return b.Swish(x, alpha=1.0)


@aten("mish")
def mish(b: Builder, x: Value) -> Value:
    """X tanh(softplus(x))."""
    return b.Mul(x, b.Tanh(b.Softplus(x)))


@aten("softplus")
def softplus(b: Builder, x: Value, beta: Number = 1, threshold: Number = 20) -> Value:
    """log(1 + exp(beta x)) / beta; above the threshold x itself, which a float is near to."""
    if beta == 1:
        return b.Softplus(x)
    factor = b.tensor(beta, b.dtype)
    return b.Div(b.Softplus(b.Mul(x, factor)), factor)


@aten("log_sigmoid")
def log_sigmoid(b: Builder, x: Value) -> Value:
    """log(sigmoid(x))."""
    return b.Neg(b.Softplus(b.Neg(x)))


@aten("hardsigmoid")
def hardsigmoid(b: Builder, x: Value) -> Value:
    """X / 6 + 1 / 2 between 0 and 1."""
    return b.Min(b.Max(b.Add(b.Mul(x, 1 / 6), 0.5), 0.0), 1.0)


@aten("hardswish")
def hardswish(b: Builder, x: Value) -> Value:
    """X hardsigmoid(x)."""
    return b.Mul(x, hardsigmoid(b, x))


@aten("leaky_relu")
def leaky_relu(b: Builder, x: Value, negative_slope: float = 0.01) -> Value:
    """X, or a part of it below 0."""
    return b.Where(b.Less(x, 0.0), b.Mul(x, negative_slope), x)


@aten("prelu", "_prelu_kernel")
def prelu(b: Builder, x: Value, weight: Value) -> Value:
    """X, or a learned part of it below 0, by channel."""
    if rank_of(weight) == 1 and rank_of(x) > 1 and shape_of(weight) != (1,):
        weight = b.reshape(weight, (*shape_of(weight), *(1,) * (rank_of(x) - 2)))
    return b.Where(b.Less(x, 0.0), b.Mul(x, weight), x)


@aten("elu")
def elu(
    b: Builder, x: Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0
) -> Value:
    """Scale alpha (exp(input_scale x) - 1) below 0, and scale x elsewhere."""
    low = b.Mul(b.Sub(b.Exp(b.Mul(b.Min(x, 0.0), input_scale)), 1.0), alpha * scale)
    return b.Where(b.Less(x, 0.0), low, b.Mul(x, scale))


@aten("celu")
def celu(b: Builder, x: Value, alpha: float = 1.0) -> Value:
    """Alpha (exp(x / alpha) - 1) below 0, and x elsewhere."""
    return elu(b, x, alpha, 1.0, 1.0 / alpha)


@aten("selu")
def selu(b: Builder, x: Value) -> Value:
    """The elu whose outputs keep a mean of 0 and a variance of 1.

    Source: Klambauer et al. 2017, "Self-Normalizing Neural Networks", arXiv:1706.02515, equation 2.
    """
    return elu(b, x, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


@aten("threshold")
def threshold(b: Builder, x: Value, threshold: float, value: float) -> Value:
    """X where it is above the threshold, and a number elsewhere."""
    return b.Where(b.Greater(x, threshold), x, value)


@aten("glu")
def glu(b: Builder, x: Value, dim: int = -1) -> Value:
    """The first half times the sigmoid of the second."""
    axis = axis_of(x, dim)
    half = shape_of(x)[axis] // 2
    first, second = b.split(x, (half, half), axis)
    return b.Mul(first, b.Sigmoid(second))


@aten("softmax.int", "_safe_softmax")
def softmax(b: Builder, x: Value, dim: int, dtype: str | None = None) -> Value:
    """exp(x) over its sum along an axis, computed in the type of the result."""
    return b.Softmax(b.cast(x, b.dtype), axis=_last(x, dim))


@aten("_softmax")
def whole_softmax(b: Builder, x: Value, dim: int, half_to_float: bool) -> Value:
    """The softmax, as PyTorch writes it once it is taken apart."""
    return softmax(b, x, dim)


@aten("log_softmax.int")
def log_softmax(b: Builder, x: Value, dim: int, dtype: str | None = None) -> Value:
    """The logarithm of the softmax."""
    return b.LogSoftmax(b.cast(x, b.dtype), axis=_last(x, dim))


@aten("_log_softmax")
def whole_log_softmax(b: Builder, x: Value, dim: int, half_to_float: bool) -> Value:
    """The logarithm of the softmax, as PyTorch writes it once it is taken apart."""
    return log_softmax(b, x, dim)


def _last(x: Value, dim: int) -> int:
    """An axis from the front, but the last as -1, as rules know it."""
    axis = axis_of(x, dim)
    return -1 if axis == rank_of(x) - 1 else axis


@aten("dropout", "feature_dropout", "alpha_dropout")
def dropout(b: Builder, x: Value, p: float = 0.5, train: bool = False) -> Value:
    """X as it is; NotRead where it would drop at random."""
    if train and p:
        raise NotRead("it drops at random; call eval() on the module before it is exported")
    return x
