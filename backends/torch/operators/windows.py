"""Convolutions, pooling, and images in other sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  everybody calls it so

from graphwright.backends.torch.registry import Numbers, lower

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
LARGEST = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
MEANS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def _borders(
    x: Any, kernel: Sequence[int], settings: dict[str, Any]
) -> tuple[list[int], list[int]]:
    """How much is put before and behind each axis of the image."""
    count = len(kernel)
    auto = settings.get("auto_pad", "NOTSET")
    if auto in ("NOTSET", "VALID", ""):
        pads = settings.get("pads") or [0] * 2 * count
        return list(pads[:count]), list(pads[count:])
    strides = settings.get("strides") or [1] * count
    spaces = settings.get("dilations") or [1] * count
    before, after = [], []
    for n, k, s, d in zip(x.shape[2:], kernel, strides, spaces, strict=True):
        whole = max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
        first = whole // 2 if auto == "SAME_UPPER" else -(-whole // 2)
        before.append(first)
        after.append(whole - first)
    return before, after


def _bordered(x: Any, before: list[int], after: list[int], value: float = 0.0) -> Any:
    amounts = [n for pair in zip(reversed(before), reversed(after), strict=True) for n in pair]
    return F.pad(x, amounts, value=value) if any(amounts) else x


@lower("Conv")
def conv(x: Any, w: Any, b: Any = None, group: int = 1, **settings: Any) -> Any:
    """A convolution."""
    axes = w.dim() - 2
    before, after = _borders(x, w.shape[2:], settings)
    if before != after:
        x, before = _bordered(x, before, after), [0] * axes
    strides = tuple(settings.get("strides") or [1] * axes)
    spaces = tuple(settings.get("dilations") or [1] * axes)
    return CONVOLUTIONS[axes](x, w, b, strides, tuple(before), spaces, group)


@lower("ConvTranspose")
def conv_transpose(x: Any, w: Any, b: Any = None, group: int = 1, **settings: Any) -> Any:
    """A convolution the other way round."""
    axes = w.dim() - 2
    if settings.get("auto_pad", "NOTSET") != "NOTSET" or settings.get("output_shape"):
        raise NotImplementedError("a ConvTranspose that is told the shape of its result")
    before, after = _borders(x, w.shape[2:], settings)
    more = list(settings.get("output_padding") or [0] * axes)
    if before != after:
        more = [m + p - q for m, p, q in zip(more, before, after, strict=True)]
    strides = tuple(settings.get("strides") or [1] * axes)
    spaces = tuple(settings.get("dilations") or [1] * axes)
    return TRANSPOSED[axes](x, w, b, strides, tuple(before), tuple(more), group, spaces)


@lower("MaxPool")
def max_pool(x: Any, kernel_shape: Sequence[int], **settings: Any) -> Any:
    """The largest in each window."""
    axes = len(kernel_shape)
    before, after = _borders(x, kernel_shape, settings)
    if before != after or any(2 * p > k for p, k in zip(before, kernel_shape, strict=True)):
        lowest = float("-inf") if x.dtype.is_floating_point else torch.iinfo(x.dtype).min
        x, before = _bordered(x, before, after, lowest), [0] * axes
    strides = tuple(settings.get("strides") or [1] * axes)
    spaces = tuple(settings.get("dilations") or [1] * axes)
    ceil = bool(settings.get("ceil_mode"))
    return LARGEST[axes](x, tuple(kernel_shape), strides, tuple(before), spaces, ceil)


@lower("AveragePool")
def average_pool(x: Any, kernel_shape: Sequence[int], **settings: Any) -> Any:
    """The mean of each window."""
    axes = len(kernel_shape)
    before, after = _borders(x, kernel_shape, settings)
    strides = tuple(settings.get("strides") or [1] * axes)
    ceil, counted = bool(settings.get("ceil_mode")), bool(settings.get("count_include_pad"))
    if any(d != 1 for d in settings.get("dilations") or ()) or (ceil and before != after):
        raise NotImplementedError("an AveragePool with dilations, or uneven borders rounded up")
    if before != after or any(2 * p > k for p, k in zip(before, kernel_shape, strict=True)):
        inside = torch.ones_like(x[:1, :1])
        padded = _bordered(x, before, after)
        seen = (
            padded.new_ones(())
            if counted
            else MEANS[axes](_bordered(inside, before, after), tuple(kernel_shape), strides)
        )
        return MEANS[axes](padded, tuple(kernel_shape), strides) / seen
    return MEANS[axes](x, tuple(kernel_shape), strides, tuple(before), ceil, counted)


@lower("GlobalAveragePool")
def global_average_pool(x: Any) -> Any:
    """The mean of each image."""
    return torch.mean(x, tuple(range(2, x.dim())), keepdim=True)


@lower("GlobalMaxPool")
def global_max_pool(x: Any) -> Any:
    """The largest of each image."""
    return torch.amax(x, tuple(range(2, x.dim())), keepdim=True)


@lower("Resize", numbers=(2, 3))
def resize(
    x: Any,
    roi: Any = None,
    scales: Numbers | None = None,
    sizes: Numbers | None = None,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    **settings: Any,
) -> Any:
    """An image in another size."""
    axes = x.dim() - 2
    how = coordinate_transformation_mode
    known = {
        "nearest": how == "asymmetric" and nearest_mode == "floor",
        "linear": how in ("half_pixel", "pytorch_half_pixel", "align_corners"),
        "cubic": how in ("half_pixel", "pytorch_half_pixel", "align_corners")
        and abs(cubic_coeff_a + 0.75) < 1e-6,
    }
    if not known.get(mode) or settings.get("antialias") or settings.get("axes"):
        raise NotImplementedError(f"a Resize by '{mode}' and '{how}'")
    size = list(sizes[2:]) if sizes else None
    if how == "pytorch_half_pixel" and size is not None and 1 in size:
        raise NotImplementedError("a Resize to one pixel by 'pytorch_half_pixel'")
    factors = None if size else [float(s) for s in (scales or [])[2:]]
    named = {"nearest": "nearest", "linear": LINEAR[axes], "cubic": "bicubic"}[mode]
    align = None if mode == "nearest" else how == "align_corners"
    return F.interpolate(
        x, size, factors, named, align, recompute_scale_factor=False if factors else None
    )
