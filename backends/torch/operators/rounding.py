"""Operators that quantize; and rounding and thresholds that gradients pass through."""

from __future__ import annotations

from typing import Any

import torch

from graphwright.backends.torch.registry import lower


def _laid(parameter: Any, x: Any, axis: int) -> Any:
    """A scale or a zero point of each channel, laid along its axis."""
    if parameter is None or parameter.dim() != 1 or parameter.numel() == 1:
        return parameter
    dims = [1] * x.dim()
    dims[axis % x.dim()] = -1
    return parameter.reshape(dims)


LIMITS = {torch.int8: (-128, 127), torch.uint8: (0, 255), torch.int16: (-32768, 32767)}


@lower("DequantizeLinear")
def dequantize(x: Any, scale: Any, zero: Any = None, axis: int = 1, block_size: int = 0) -> Any:
    """(x - zero) scale."""
    if block_size:
        raise NotImplementedError("a DequantizeLinear by blocks")
    shift = _laid(zero, x, axis)
    whole = x.to(scale.dtype)
    return (whole if shift is None else whole - shift.to(scale.dtype)) * _laid(scale, x, axis)


@lower("QuantizeLinear")
def quantize(x: Any, scale: Any, zero: Any = None, axis: int = 1, **settings: Any) -> Any:
    """X / scale + zero, rounded and cut off."""
    if settings.get("block_size"):
        raise NotImplementedError("a QuantizeLinear by blocks")
    kind = torch.uint8 if zero is None else zero.dtype
    low, high = LIMITS[kind]
    y = torch.round(x / _laid(scale, x, axis))
    y = y if zero is None else y + _laid(zero, x, axis).to(y.dtype)
    return torch.clamp(y, low, high).to(kind)


@lower("DynamicQuantizeLinear", results=3)
def dynamic_quantize(x: Any) -> tuple[Any, Any, Any]:
    """X in eight bits, its scale and its zero point."""
    low, high = torch.clamp(x.amin(), max=0.0), torch.clamp(x.amax(), min=0.0)
    scale = (high - low) / 255
    safe = torch.where(scale == 0, 1.0, scale)
    zero = torch.clamp(torch.round(-low / safe), 0, 255).to(torch.uint8)
    y = torch.clamp(torch.round(x / safe) + zero.to(x.dtype), 0, 255).to(torch.uint8)
    return y, scale, zero


def straight(function: Any) -> Any:
    """A function that rounds, through which gradients pass as through x itself.

    Source: Bengio, Léonard and Courville 2013, "Estimating or Propagating Gradients Through
    Stochastic Neurons for Conditional Computation", arXiv:1308.3432, section 4.
    """

    def passing(x: Any) -> Any:
        return x + (function(x) - x).detach()

    return passing


STRAIGHT = {
    "Round": straight(torch.round),
    "Floor": straight(torch.floor),
    "Ceil": straight(torch.ceil),
    "Sign": straight(torch.sign),
}
"""Functions that round, for training; their values are what they are."""


def straight_greater(x: Any, y: Any) -> Any:
    """1 where x is above y, else 0; its gradient is that of x - y near the threshold."""
    soft = torch.clamp(x - y + 0.5, 0.0, 1.0)
    return soft + ((x > y).to(soft.dtype) - soft).detach()


def straight_less(x: Any, y: Any) -> Any:
    """1 where x is below y, else 0, as `straight_greater`."""
    return straight_greater(y, x)


def straight_greater_or_equal(x: Any, y: Any) -> Any:
    """1 where x is not below y, else 0, as `straight_greater`."""
    soft = torch.clamp(x - y + 0.5, 0.0, 1.0)
    return soft + ((x >= y).to(soft.dtype) - soft).detach()


def straight_less_or_equal(x: Any, y: Any) -> Any:
    """1 where x is not above y, else 0, as `straight_greater`."""
    return straight_greater_or_equal(y, x)


THRESHOLDS = {
    "Greater": straight_greater,
    "Less": straight_less,
    "GreaterOrEqual": straight_greater_or_equal,
    "LessOrEqual": straight_less_or_equal,
}
"""Comparisons whose truth is cast to a float, for training."""
