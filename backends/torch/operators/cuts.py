"""Operators that cut tensors, join them, pick elements out, and put them in."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  everybody calls it so

from graphwright.backends.torch.registry import MANY, Numbers, lower


@lower("Concat")
def concat(*x: Any, axis: int) -> Any:
    """Tensors joined along an axis."""
    return torch.cat(x, axis)


@lower("Split", results=MANY)
def split(x: Any, split: tuple[int, ...], axis: int = 0) -> tuple[Any, ...]:
    """Parts of given sizes."""
    return tuple(torch.split(x, list(split), axis))


@lower("Slice", numbers=(1, 2, 3, 4))
def slice_(
    x: Any,
    starts: Numbers,
    ends: Numbers,
    axes: Numbers | None = None,
    steps: Numbers | None = None,
) -> Any:
    """A part of some axes."""
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step > 0:
            index = [slice(None)] * (axis % x.dim()) + [slice(start, end, step)]
            x = x[tuple(index)]
        else:  # PyTorch steps forward only
            size = x.shape[axis]
            first = max(start, -size) if start < 0 else min(start, size - 1)
            last = None if end < -size else end
            at = list(range(size))[slice(first, last, step)]
            x = x.index_select(axis, torch.tensor(at, dtype=torch.int64, device=x.device))
    return x


@lower("Gather")
def gather(x: Any, at: Any, axis: int = 0) -> Any:
    """Some elements of an axis."""
    axis %= x.dim()
    at = torch.where(at < 0, at + x.shape[axis], at)
    if axis == 0 and x.dim() == 2 and x.dtype.is_floating_point:
        return F.embedding(at, x)
    y = torch.index_select(x, axis, at.reshape(-1))
    return y.reshape((*x.shape[:axis], *at.shape, *x.shape[axis + 1 :]))


@lower("GatherElements")
def gather_elements(x: Any, at: Any, axis: int = 0) -> Any:
    """One element along an axis for each that the index has."""
    return torch.gather(x, axis, torch.where(at < 0, at + x.shape[axis], at).to(torch.int64))


@lower("GatherND")
def gather_nd(x: Any, at: Any, batch_dims: int = 0) -> Any:
    """Elements, or parts, by tuples of indices."""
    picks = [at[..., i] for i in range(at.shape[-1])]
    lead = []
    for axis in range(batch_dims):
        dims = [1] * (at.dim() - 1)
        dims[axis] = x.shape[axis]
        lead.append(torch.arange(x.shape[axis], device=x.device).reshape(dims))
    return x[(*lead, *picks)]


REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@lower("ScatterElements")
def scatter_elements(x: Any, at: Any, updates: Any, axis: int = 0, reduction: str = "none") -> Any:
    """X with one element put in along an axis for each that the index has."""
    at = torch.where(at < 0, at + x.shape[axis], at)
    if reduction == "none":
        return torch.scatter(x, axis, at, updates)
    return torch.scatter_reduce(x, axis, at, updates, REDUCTIONS[reduction])


@lower("ScatterND")
def scatter_nd(x: Any, at: Any, updates: Any, reduction: str = "none") -> Any:
    """X with elements, or parts, put in by tuples of indices."""
    if reduction not in ("none", "add"):
        raise NotImplementedError(f"a ScatterND that reduces by '{reduction}'")
    picks = tuple(at[..., i] for i in range(at.shape[-1]))
    return torch.index_put(x, picks, updates, accumulate=reduction == "add")


@lower("Trilu", numbers=(1,))
def trilu(x: Any, k: Any = None, upper: int = 1) -> Any:
    """What stands on one side of a diagonal, and 0 elsewhere."""
    diagonal = k[0] if isinstance(k, list) else k or 0
    return torch.triu(x, diagonal) if upper else torch.tril(x, diagonal)


@lower("Pad", numbers=(1, 3))
def pad(
    x: Any, pads: Numbers, value: Any = None, axes: Numbers | None = None, mode: str = "constant"
) -> Any:
    """X with a border."""
    axes = range(x.dim()) if axes is None else axes
    before, after = [0] * x.dim(), [0] * x.dim()
    for i, axis in enumerate(axes):
        before[axis], after[axis] = pads[i], pads[i + len(axes)]
    if mode != "constant":
        return _mirrored(x, before, after, mode)
    amounts = [n for pair in zip(reversed(before), reversed(after), strict=True) for n in pair]
    if value is None:
        return F.pad(x, amounts)
    inside = F.pad(torch.ones_like(x, dtype=torch.bool), amounts)
    return torch.where(inside, F.pad(x, amounts), value.reshape(()))


def _mirrored(x: Any, before: list[Any], after: list[Any], mode: str) -> Any:
    """A border of elements of x itself, picked by index."""
    for axis, (first, last) in enumerate(zip(before, after, strict=True)):
        if first or last:
            size = x.shape[axis]
            at = torch.arange(-first, size + last, device=x.device)
            if mode == "reflect":
                at = (size - 1 - (at % (2 * (size - 1)) - (size - 1)).abs()) if size > 1 else at * 0
            else:
                at = at % size if mode == "wrap" else at.clamp(0, size - 1)
            x = x.index_select(axis, at)
    return x


@lower("NonZero")
def non_zero(x: Any) -> Any:
    """Where elements stand that are not zero."""
    return torch.nonzero(x).mT


@lower("OneHot", numbers=(1,))
def one_hot(at: Any, depth: Any, values: Any, axis: int = -1) -> Any:
    """One of two numbers at each index, and the other elsewhere."""
    count = int(depth[0] if isinstance(depth, list) else depth)
    at = torch.where(at < 0, at + count, at).to(torch.int64)
    hit = at.unsqueeze(-1) == torch.arange(count, device=at.device)
    y = torch.where(hit, values[1], values[0])
    return y if axis == -1 else y.movedim(-1, axis)
