"""Normalizations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphwright.frontends.aten.builder import (
    Builder,
    NotRead,
    axes_of,
    dtype_of,
    ints_of,
    shape_of,
)
from graphwright.frontends.aten.readings import aten
from graphwright.ir.dims import Dim
from graphwright.ir.graph import Value

EPSILON = {"f16": 2.0**-10, "bf16": 2.0**-7, "f32": 2.0**-23, "f64": 2.0**-52}
"""The step from 1 to the next number of each type."""


def single(number: float) -> float:
    """The float32 next to a number, which is what attributes of ONNX hold."""
    return float(np.float32(number))


@aten("layer_norm")
def layer_norm(
    b: Builder,
    x: Value,
    normalized_shape: Sequence[Dim],
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Value:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axes.

    In float64 it is written out, since runtimes compute the operator in float32.
    """
    axes = tuple(range(-len(normalized_shape), 0))
    if dtype_of(x) == "f64":
        d = b.Sub(x, b.ReduceMean(x, axes=axes, keepdims=1))
        variance = b.ReduceMean(b.Mul(d, d), axes=axes, keepdims=1)
        y = b.Div(d, b.Sqrt(b.Add(variance, eps)))
        y = y if weight is None else b.Mul(y, weight)
        return y if bias is None else b.Add(y, bias)
    scale = weight if weight is not None else _ones(b, normalized_shape, dtype_of(x))
    parameters = [scale] if bias is None else [scale, bias]
    return b.LayerNormalization(
        x, *parameters, axis=-len(normalized_shape), epsilon=single(eps), stash_type=1
    )


def _ones(b: Builder, dims: Sequence[Dim], dtype: str) -> Value:
    return b.constant(np.ones(ints_of(dims)), dtype)


@aten("native_layer_norm")
def native_layer_norm(
    b: Builder,
    x: Value,
    normalized_shape: Sequence[Dim],
    weight: Value | None,
    bias: Value | None,
    eps: float,
) -> tuple[Value | None, ...]:
    """The norm, without the mean and the variance that are for training."""
    return layer_norm(b, x, normalized_shape, weight, bias, eps), None, None


@aten("rms_norm")
def rms_norm(
    b: Builder,
    x: Value,
    normalized_shape: Sequence[Dim],
    weight: Value | None = None,
    eps: float | None = None,
) -> Value:
    """X / sqrt(mean(x x) + eps) * weight over the last axes."""
    dtype = dtype_of(x)
    eps = EPSILON[dtype] if eps is None else eps
    if dtype == "f64":
        axes = tuple(range(-len(normalized_shape), 0))
        y = b.Div(x, b.Sqrt(b.Add(b.ReduceMean(b.Mul(x, x), axes=axes, keepdims=1), eps)))
        return y if weight is None else b.Mul(y, weight)
    scale = weight if weight is not None else _ones(b, normalized_shape, dtype)
    return b.RMSNormalization(
        x, scale, axis=-len(normalized_shape), epsilon=single(eps), stash_type=1
    )


def _by_channel(b: Builder, parameter: Value, rank: int) -> Value:
    """A parameter of each channel, which is the second of so many axes."""
    return b.reshape(parameter, (*shape_of(parameter), *(1,) * (rank - 2)))


@aten("batch_norm")
def batch_norm(
    b: Builder,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Value:
    """(x - running mean) / sqrt(running variance + eps) * weight + bias by channel."""
    if training or running_mean is None or running_var is None:
        raise NotRead("it learns from each batch; call eval() on the module before it is exported")
    shape = shape_of(running_mean)
    dtype = dtype_of(running_mean)
    scale = weight if weight is not None else b.constant(np.ones(ints_of(shape)), dtype)
    shift = bias if bias is not None else b.constant(np.zeros(ints_of(shape)), dtype)
    return b.call(
        "BatchNormalization",
        *(x, scale, shift, running_mean, running_var),
        types=(x.type,),
        epsilon=single(eps),
    )


@aten("_native_batch_norm_legit_no_training", "native_batch_norm")
def native_batch_norm(
    b: Builder,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value,
    running_var: Value,
    *settings: object,
) -> tuple[Value | None, ...]:
    """The norm, without the statistics that are for training."""
    numbers = [s for s in settings if isinstance(s, float)]
    training = any(s is True for s in settings)
    y = batch_norm(b, x, weight, bias, running_mean, running_var, training, 0.1, numbers[-1])
    return y, None, None


@aten("group_norm")
def group_norm(
    b: Builder,
    x: Value,
    num_groups: int,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Value:
    """Each group of channels normalized, then scaled by channel."""
    shape, dtype = shape_of(x), dtype_of(x)
    flat = b.Reshape(x, b.sizes([0, num_groups, -1]))
    ones, zeros = np.ones(num_groups), np.zeros(num_groups)
    parameters = (b.constant(ones, dtype), b.constant(zeros, dtype))
    normal = b.call(
        "InstanceNormalization", flat, *parameters, types=(flat.type,), epsilon=single(eps)
    )
    y = b.reshape(normal, shape)
    y = y if weight is None else b.Mul(y, _by_channel(b, weight, len(shape)))
    return y if bias is None else b.Add(y, _by_channel(b, bias, len(shape)))


@aten("native_group_norm")
def native_group_norm(
    b: Builder,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    n: Dim,
    c: Dim,
    hw: Dim,
    group: int,
    eps: float,
) -> tuple[Value | None, ...]:
    """The norm, without the mean and the variance that are for training."""
    return group_norm(b, x, group, weight, bias, eps), None, None


@aten("instance_norm")
def instance_norm(
    b: Builder,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Value:
    """Each channel of each image normalized, then scaled by channel."""
    if not use_input_stats:
        return batch_norm(b, x, weight, bias, running_mean, running_var, False, momentum, eps)
    (channels,) = ints_of(shape_of(x)[1:2])
    scale = weight if weight is not None else b.constant(np.ones(channels), dtype_of(x))
    shift = bias if bias is not None else b.constant(np.zeros(channels), dtype_of(x))
    return b.call("InstanceNormalization", x, scale, shift, types=(x.type,), epsilon=single(eps))


@aten("linalg_vector_norm")
def vector_norm(
    b: Builder,
    x: Value,
    ord: float = 2,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    dtype: str | None = None,
) -> Value:
    """The length of vectors along axes."""
    return norm(b, x, ord, dim, keepdim)


@aten("norm.ScalarOpt_dim", "norm.Scalar")
def norm(
    b: Builder,
    x: Value,
    p: float | None = 2,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
) -> Value:
    """The length of vectors along axes: the root of the sum of squares, and other orders."""
    axes, keep = axes_of(x, dim), int(keepdim)
    y = b.cast(x, b.dtype)
    match p:
        case None | 2:
            return b.ReduceL2(y, axes=axes, keepdims=keep)
        case 1:
            return b.ReduceL1(y, axes=axes, keepdims=keep)
        case math.inf:
            return b.ReduceMax(b.Abs(y), axes=axes, keepdims=keep)
    total = b.ReduceSum(b.Pow(b.Abs(y), float(p)), axes=axes, keepdims=keep)
    return b.Pow(total, 1 / p)
