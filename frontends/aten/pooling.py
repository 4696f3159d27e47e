"""Pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphwright.frontends.aten.builder import Builder, NotRead, dtype_of, rank_of, shape_of
from graphwright.frontends.aten.convolutions import alone_again, batched, spread
from graphwright.frontends.aten.readings import aten
from graphwright.ir.dims import Dim
from graphwright.ir.graph import Attr, Value
from graphwright.ir.types import TensorType


def _pooled(
    b: Builder,
    op: str,
    x: Value,
    axes: int,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil: bool,
    **attrs: Attr,
) -> Value:
    given, alone = batched(b, x, axes)
    lead, image = shape_of(given)[:2], shape_of(given)[2:]
    out = [
        _length(n, k, s, p, d, ceil)
        for n, k, s, p, d in zip(image, kernel, stride, padding, dilation, strict=True)
    ]
    if any(d != 1 for d in dilation):
        attrs["dilations"] = dilation
    y = b.call(
        op,
        given,
        types=(TensorType(dtype_of(x), (*lead, *out)),),
        kernel_shape=kernel,
        strides=stride,
        pads=(*padding, *padding),
        ceil_mode=int(ceil),
        **attrs,
    )
    return alone_again(b, y, alone)


def _length(n: Dim, kernel: int, step: int, pad: int, space: int, ceil: bool) -> Dim:
    room = n + 2 * pad - space * (kernel - 1) - 1
    if not ceil:
        return room // step + 1
    if not isinstance(room, int) or not isinstance(n, int):
        raise NotRead("it rounds up a size that is known only when the model runs")
    count = -(-room // step) + 1
    # A window that would begin behind the image and its border is left out.
    return count - 1 if (count - 1) * step >= n + pad else count


def _max_pool(axes: int) -> Callable[..., Value]:
    def reading(
        b: Builder,
        x: Value,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = (),
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
    ) -> Value:
        kernel = spread(kernel_size, axes)
        steps = spread(stride, axes) or kernel
        rest = (spread(padding, axes), spread(dilation, axes))
        return _pooled(b, "MaxPool", x, axes, kernel, steps, *rest, ceil_mode)

    return reading


def _with_indices(axes: int) -> Callable[..., tuple[Value | None, ...]]:
    pool = _max_pool(axes)

    def reading(b: Builder, x: Value, *settings: object) -> tuple[Value | None, ...]:
        return pool(b, x, *settings), None

    return reading


def _avg_pool(axes: int) -> Callable[..., Value]:
    def reading(
        b: Builder,
        x: Value,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = (),
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Value:
        if divisor_override is not None:
            raise NotRead("a divisor of its own is not read")
        kernel = spread(kernel_size, axes)
        steps = spread(stride, axes) or kernel
        rest = (spread(padding, axes), (1,) * axes)
        return _pooled(
            *(b, "AveragePool", x, axes, kernel, steps, *rest, ceil_mode),
            count_include_pad=int(count_include_pad),
        )

    return reading


def _adaptive(axes: int) -> Callable[[Builder, Value, Sequence[int]], Value]:
    def reading(b: Builder, x: Value, output_size: int | Sequence[int]) -> Value:
        wanted = spread(output_size, axes)
        image = shape_of(x)[rank_of(x) - axes :]
        if all(n == 1 for n in wanted):
            return b.call("ReduceMean", x, axes=tuple(range(-axes, 0)), keepdims=1)
        if not all(isinstance(n, int) and n % w == 0 for n, w in zip(image, wanted, strict=True)):
            raise NotRead(f"windows of {image} do not divide into {wanted}")
        kernel = tuple(n // w for n, w in zip(image, wanted, strict=True) if isinstance(n, int))
        return _pooled(b, "AveragePool", x, axes, kernel, kernel, (0,) * axes, (1,) * axes, False)

    return reading


for _axes in (1, 2, 3):
    aten(f"max_pool{_axes}d")(_max_pool(_axes))
    aten(f"max_pool{_axes}d_with_indices")(_with_indices(_axes))
    aten(f"avg_pool{_axes}d")(_avg_pool(_axes))
    aten(f"adaptive_avg_pool{_axes}d", f"_adaptive_avg_pool{_axes}d")(_adaptive(_axes))
