"""Convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphwright.frontends.aten.builder import (
    Builder,
    NotRead,
    dtype_of,
    ints_of,
    rank_of,
    shape_of,
)
from graphwright.frontends.aten.readings import aten
from graphwright.ir.dims import Dim
from graphwright.ir.graph import Attr, Value
from graphwright.ir.types import TensorType


def spread(numbers: int | Sequence[int], count: int) -> tuple[int, ...]:
    """One number for each of so many axes."""
    given = (numbers,) if isinstance(numbers, int) else tuple(numbers)
    return given * count if len(given) == 1 else given


def batched(b: Builder, x: Value, axes: int) -> tuple[Value, bool]:
    """An image with an axis for the batch, and whether it had none."""
    alone = rank_of(x) == axes + 1
    return (b.unsqueeze(x, 0) if alone else x), alone


def alone_again(b: Builder, y: Value, alone: bool) -> Value:
    """An image without the axis for the batch, where it had none."""
    return b.Squeeze(y, axes=(0,)) if alone else y


@aten("convolution", "_convolution")
def convolution(
    b: Builder,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    *settings: object,
) -> Value:
    """A convolution, or one the other way round."""
    axes = rank_of(weight) - 2
    given, alone = batched(b, x, axes)
    kernel = ints_of(shape_of(weight)[2:])
    steps, spaces = spread(stride, axes), spread(dilation, axes)
    pads = spread(padding, axes)
    reach = [(k - 1) * d for k, d in zip(kernel, spaces, strict=True)]
    attrs: dict[str, Attr] = {
        "dilations": spaces,
        "group": groups,
        "kernel_shape": kernel,
        "pads": (*pads, *pads),
        "strides": steps,
    }
    image = shape_of(given)[2:]
    inputs = [given, weight] if bias is None else [given, weight, bias]
    if transposed:
        more = spread(output_padding, axes)
        out: list[Dim] = [
            (n - 1) * s - 2 * p + r + m + 1
            for n, s, p, r, m in zip(image, steps, pads, reach, more, strict=True)
        ]
        channels = shape_of(weight)[1] * groups
        type_ = TensorType(dtype_of(x), (shape_of(given)[0], channels, *out))
        y = b.call("ConvTranspose", *inputs, types=(type_,), output_padding=more, **attrs)
    else:
        out = [
            (n + 2 * p - r - 1) // s + 1
            for n, s, p, r in zip(image, steps, pads, reach, strict=True)
        ]
        type_ = TensorType(dtype_of(x), (shape_of(given)[0], shape_of(weight)[0], *out))
        y = b.call("Conv", *inputs, types=(type_,), **attrs)
    return alone_again(b, y, alone)


def _conv(axes: int) -> Callable[..., Value]:
    def reading(
        b: Builder,
        x: Value,
        weight: Value,
        bias: Value | None = None,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Value:
        steps, spaces = spread(stride, axes), spread(dilation, axes)
        if isinstance(padding, str):
            x, padding = _said(b, x, weight, padding, spaces)
        return convolution(
            b, x, weight, bias, steps, spread(padding, axes), spaces, False, (0,) * axes, groups
        )

    return reading


def _said(
    b: Builder, x: Value, weight: Value, padding: str, dilation: Sequence[int]
) -> tuple[Value, tuple[int, ...]]:
    """The padding that `same` and `valid` stand for; what is uneven is added at the end."""
    if padding == "valid":
        return x, (0,) * len(dilation)
    if padding != "same":
        raise NotRead(f"the padding '{padding}' is not read")
    kernel = ints_of(shape_of(weight)[2:])
    whole = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    if any(n % 2 for n in whole):
        lead = rank_of(x) - len(whole)
        before = [0] * rank_of(x)
        after = [*(0,) * lead, *(n % 2 for n in whole)]
        x = b.Pad(x, b.constant([*before, *after], "i64"))
    return x, tuple(n // 2 for n in whole)


def _conv_transpose(axes: int) -> Callable[..., Value]:
    def reading(
        b: Builder,
        x: Value,
        weight: Value,
        bias: Value | None = None,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        dilation: int | Sequence[int] = 1,
    ) -> Value:
        steps, pads, spaces = (spread(n, axes) for n in (stride, padding, dilation))
        more = spread(output_padding, axes)
        return convolution(b, x, weight, bias, steps, pads, spaces, True, more, groups)

    return reading


for _axes in (1, 2, 3):
    aten(f"conv{_axes}d", f"conv{_axes}d.padding")(_conv(_axes))
    _name = f"conv_transpose{_axes}d"
    aten(_name if _axes == 1 else f"{_name}.input")(_conv_transpose(_axes))
