"""Operators that quantize."""

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
    if kind not in LIMITS:
        raise NotImplementedError(f"a QuantizeLinear to {kind}")
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
