"""Borders around tensors, and images in other sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphwright.frontends.aten.builder import Builder, NotRead, Number, dtype_of, rank_of, shape_of
from graphwright.frontends.aten.readings import aten
from graphwright.ir.dims import Dim
from graphwright.ir.graph import Value
from graphwright.ir.types import TensorType

MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@aten("pad")
def pad(
    b: Builder, x: Value, pad: Sequence[Dim], mode: str = "constant", value: Number | None = None
) -> Value:
    """X with a border; the numbers are for the last axis first, before it and behind it."""
    if mode not in MODES:
        raise NotRead(f"the mode '{mode}' is not read")
    rank = rank_of(x)
    before: list[Dim] = [0] * rank
    after: list[Dim] = [0] * rank
    for i in range(0, len(pad), 2):
        axis = rank - 1 - i // 2
        before[axis], after[axis] = pad[i], pad[i + 1]
    if any(isinstance(n, int) and n < 0 for n in (*before, *after)):
        raise NotRead("a border of fewer than no elements is not read")
    if all(n == 0 for n in (*before, *after)):
        return x
    amounts = b.sizes([*before, *after])
    if mode == "constant":
        if not value:
            return b.Pad(x, amounts)
        return b.Pad(x, amounts, b.tensor(value, dtype_of(x)))
    return b.Pad(x, amounts, mode=MODES[mode])


@aten("constant_pad_nd")
def constant_pad(b: Builder, x: Value, pads: Sequence[Dim], value: Number = 0) -> Value:
    """X with a border of one number."""
    return pad(b, x, pads, "constant", value)


def _bordered(mode: str) -> Callable[[Builder, Value, Sequence[Dim]], Value]:
    def reading(b: Builder, x: Value, padding: Sequence[Dim]) -> Value:
        return pad(b, x, padding, mode)

    return reading


for _axes in (1, 2, 3):
    aten(f"reflection_pad{_axes}d")(_bordered("reflect"))
    aten(f"replication_pad{_axes}d")(_bordered("replicate"))


def _resized(
    b: Builder, x: Value, size: Sequence[Dim], mode: str, align: bool | None, cubic: float | None
) -> Value:
    dims = (*shape_of(x)[:2], *size)
    attrs: dict[str, str | float] = {"mode": mode}
    if mode == "nearest":
        attrs |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    else:
        how = "align_corners" if align else "half_pixel"
        attrs["coordinate_transformation_mode"] = how
    if cubic is not None:
        attrs["cubic_coeff_a"] = cubic
    type_ = TensorType(dtype_of(x), dims)
    return b.call("Resize", x, None, None, b.sizes(dims), types=(type_,), **attrs)


def _size(
    x: Value, output_size: Sequence[Dim] | None, scale_factors: Sequence[float] | None
) -> tuple[Dim, ...]:
    if output_size is not None:
        return tuple(output_size)
    image = shape_of(x)[2:]
    if scale_factors is None:
        raise NotRead("it has neither a size nor a scale")
    found: list[Dim] = []
    for n, scale in zip(image, scale_factors, strict=True):
        if scale % 1 == 0:
            found.append(n * int(scale))
        elif isinstance(n, int) and (n * scale) % 1 == 0:
            found.append(int(n * scale))
        else:
            raise NotRead("its scale gives no whole size")
    return tuple(found)


def _smooth(mode: str, cubic: float | None = None) -> Callable[..., Value]:
    def reading(
        b: Builder,
        x: Value,
        output_size: Sequence[Dim] | None,
        align_corners: bool,
        scale_factors: Sequence[float] | None = None,
        *more: object,
    ) -> Value:
        given = scale_factors if isinstance(scale_factors, Sequence) else None
        return _resized(b, x, _size(x, output_size, given), mode, align_corners, cubic)

    return reading


def _nearest(
    b: Builder,
    x: Value,
    output_size: Sequence[Dim] | None,
    scale_factors: Sequence[float] | None = None,
    *more: object,
) -> Value:
    given = scale_factors if isinstance(scale_factors, Sequence) else None
    return _resized(b, x, _size(x, output_size, given), "nearest", None, None)


for _axes, _kind in ((1, "linear"), (2, "bilinear"), (3, "trilinear")):
    aten(f"upsample_{_kind}{_axes}d", f"upsample_{_kind}{_axes}d.vec")(_smooth("linear"))
    aten(f"upsample_nearest{_axes}d", f"upsample_nearest{_axes}d.vec")(_nearest)
aten("upsample_bicubic2d", "upsample_bicubic2d.vec")(_smooth("cubic", -0.75))
