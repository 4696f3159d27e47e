"""Operators that give the same elements in another shape or order, or repeated."""

from __future__ import annotations

from typing import Any

import torch

from graphwright.backends.torch.registry import Numbers, lower


@lower("Transpose")
def transpose(x: Any, perm: tuple[int, ...]) -> Any:
    """X with its axes in another order."""
    return x.permute(perm)


@lower("Reshape", numbers=(1,))
def reshape(x: Any, shape: Numbers, allowzero: int = 0) -> Any:
    """X in another shape; 0 copies a size."""
    if not allowzero:
        shape = [x.shape[i] if isinstance(n, int) and n == 0 else n for i, n in enumerate(shape)]
    return x.reshape(tuple(shape))


@lower("Flatten")
def flatten(x: Any, axis: int = 1) -> Any:
    """X as a matrix, the axes before `axis` in its rows."""
    at = axis % x.dim() if axis < 0 else axis
    rows = 1
    for n in x.shape[:at]:
        rows = rows * n
    return x.reshape(rows, -1) if x.numel() else x.reshape(rows, x.shape[at:].numel())


@lower("Squeeze")
def squeeze(x: Any, axes: tuple[int, ...] | None = None) -> Any:
    """X without axes of size 1."""
    return torch.squeeze(x) if axes is None else torch.squeeze(x, tuple(axes))


@lower("Unsqueeze")
def unsqueeze(x: Any, axes: tuple[int, ...]) -> Any:
    """X with axes of size 1 put in, so that they stand at `axes` of the result."""
    rank = x.dim() + len(axes)
    for axis in sorted(a % rank for a in axes):
        x = x.unsqueeze(axis)
    return x


@lower("Expand", numbers=(1,))
def expand(x: Any, shape: Numbers) -> Any:
    """X repeated along axes of size 1 and along new ones."""
    lead = max(0, len(shape) - x.dim())
    have = [1] * lead + list(x.shape)
    wanted = [1] * (len(have) - len(shape)) + list(shape)
    return x.expand(
        [h if isinstance(n, int) and n == 1 else n for h, n in zip(have, wanted, strict=True)]
    )


@lower("Tile", numbers=(1,))
def tile(x: Any, times: Numbers) -> Any:
    """X set beside itself along its axes."""
    return x.repeat(tuple(times))


@lower("DepthToSpace")
def depth_to_space(x: Any, blocksize: int, mode: str = "DCR") -> Any:
    """Channels dealt out into squares of pixels."""
    n, c, h, w = x.shape
    b = blocksize
    if mode == "CRD":
        return torch.nn.functional.pixel_shuffle(x, b)
    y = x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2)
    return y.reshape(n, c // (b * b), h * b, w * b)


@lower("SpaceToDepth")
def space_to_depth(x: Any, blocksize: int, mode: str = "DCR") -> Any:
    """Squares of pixels gathered into channels."""
    if mode != "DCR":
        raise NotImplementedError(f"a SpaceToDepth by '{mode}'")
    n, c, h, w = x.shape
    b = blocksize
    y = x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4)
    return y.reshape(n, c * b * b, h // b, w // b)
