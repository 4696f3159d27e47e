"""What operators do, as functions of PyTorch's tensors: one row each."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import torch

F = TypeVar("F", bound=Callable[..., Any])
Numbers = Sequence[Any]


@dataclass(frozen=True)
class Lowering:
    """`function(*inputs, **attrs)` gives a result, or a tuple where there are several `results`.

    Inputs at `numbers` come as plain numbers, or lists of them. A function that `creates` a tensor
    gets `like`, a tensor of the element type and the device it is to have.
    """

    function: Callable[..., Any]
    numbers: tuple[int, ...] = ()
    creates: bool = False
    results: int = 1


LOWERINGS: dict[str, Lowering] = {}
MANY = 1 << 16  # results of an operator that has as many as it is asked for


def lower(
    *ops: str, numbers: tuple[int, ...] = (), creates: bool = False, results: int = 1
) -> Callable[[F], F]:
    """Register what operators do: `@lower("Reshape", numbers=(1,))`."""

    def register(function: F) -> F:
        for op in ops:
            LOWERINGS[op] = Lowering(function, numbers, creates, results)
        return function

    return register


@cache
def lowerings() -> dict[str, Lowering]:
    """Every operator that has a row."""
    folder = importlib.import_module("graphwright.backends.torch.operators")
    for module in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"{folder.__name__}.{module.name}")
    return LOWERINGS


DTYPES = {
    "f16": torch.float16,
    "f32": torch.float32,
    "f64": torch.float64,
    "bf16": torch.bfloat16,
    "i8": torch.int8,
    "i16": torch.int16,
    "i32": torch.int32,
    "i64": torch.int64,
    "u8": torch.uint8,
    "u16": torch.uint16,
    "u32": torch.uint32,
    "u64": torch.uint64,
    "bool": torch.bool,
    "c64": torch.complex64,
    "c128": torch.complex128,
    "f8e4m3fn": torch.float8_e4m3fn,
    "f8e5m2": torch.float8_e5m2,
}
"""PyTorch's element types by our names."""
