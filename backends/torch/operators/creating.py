"""Operators that make tensors out of numbers, and that change element types."""

from __future__ import annotations

from typing import Any

import torch

from graphwright.backends.torch.registry import Numbers, lower


@lower("ConstantOfShape", numbers=(0,), creates=True)
def constant_of_shape(shape: Numbers, like: Any, value: Any) -> Any:
    """A tensor that holds one number everywhere."""
    return torch.full(tuple(shape), value, dtype=like.dtype, device=like.device)


@lower("Range", numbers=(0, 1, 2), creates=True)
def range_(start: Any, end: Any, step: Any, like: Any) -> Any:
    """The start and what follows in steps, before the end."""
    return torch.arange(start, end, step, dtype=like.dtype, device=like.device)


@lower("Cast", creates=True)
def cast(x: Any, like: Any, **_: Any) -> Any:
    """X with other elements."""
    return x.to(like.dtype)


@lower("CastLike")
def cast_like(x: Any, other: Any, **_: Any) -> Any:
    """X with elements as another tensor has."""
    return x.to(other.dtype)


@lower("EyeLike", creates=True)
def eye_like(x: Any, like: Any, k: int = 0, dtype: int = 0) -> Any:
    """1 on a diagonal, and 0 elsewhere."""
    rows, columns = (torch.arange(n, device=x.device) for n in x.shape)
    return (rows[:, None] + k == columns).to(like.dtype)


@lower("Shape", creates=True)
def shape(x: Any, like: Any, start: int = 0, end: int | None = None) -> Any:
    """The sizes of a tensor."""
    return listed(list(x.shape[start:end]), like)


@lower("Size", creates=True)
def size(x: Any, like: Any) -> Any:
    """How many elements a tensor has."""
    return listed(x.numel(), like)


def listed(numbers: Any, like: Any) -> Any:
    """Numbers as a tensor of integers, also those that are symbols while a module is exported."""
    if not isinstance(numbers, list | tuple):
        return torch.full((), numbers, dtype=torch.int64, device=like.device)
    if not numbers:
        return torch.empty(0, dtype=torch.int64, device=like.device)
    parts = [torch.full((1,), n, dtype=torch.int64, device=like.device) for n in numbers]
    return torch.cat(parts)


def plain(x: Any) -> Any:
    """The numbers that a small tensor holds."""
    return x.tolist()
