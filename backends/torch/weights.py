"""A graph's constants as parameters and buffers, under their names."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from graphwright.backends.torch.registry import DTYPES
from graphwright.ir.const import Array, Const, from_array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Value
from graphwright.ir.types import FLOATS, NUMPY

_FOREIGN = {"bf16": np.int16, "f8e4m3fn": np.uint8, "f8e5m2": np.uint8}


class Weights:
    """What a module holds; `held` says under which name each constant is.

    Names depend on the graph alone. With `bare` they are all that is wanted: nothing is copied.
    """

    def __init__(self, root: Any, *, bare: bool = False) -> None:
        self.root, self.bare = root, bare
        self.held: dict[Const, str] = {}

    def name_of(self, value: Value) -> str:
        """The name under which a constant is held; it is taken in where it is not yet."""
        const = value.const
        assert const is not None
        if const not in self.held:
            self.held[const] = self._taken_in(value.name, const)
        return self.held[const]

    def add(self, name: str, tensor: Any) -> str:
        """The name under which a buffer is held that is no constant of the graph."""
        path, leaf = self._place(name)
        path.register_buffer(leaf, tensor, persistent=False)
        return name

    def _taken_in(self, name: str, const: Const) -> str:
        name = self._free(name)
        module, leaf = self._place(name)
        if self.bare:
            module.register_buffer(leaf, torch.empty(0))
        elif learns(const):
            module.register_parameter(leaf, torch.nn.Parameter(tensor_of(const)))
        else:
            module.register_buffer(leaf, tensor_of(const))
        return name

    def _free(self, name: str) -> str:
        """A name that no tensor has, no path to one goes through, and no module has for itself."""
        *path, leaf = [part for part in name.split(".") if part] or ["constant"]
        here: Any = self.root
        found: list[str] = []
        for part in path:
            found.append(_numbered(part, partial(_is_barred, here)))
            here = getattr(here, found[-1], None)
        found.append(_numbered(leaf, partial(_is_taken, here)))
        return ".".join(found)

    def _place(self, name: str) -> tuple[Any, str]:
        """The submodule that a name stands in, and its last part."""
        *path, leaf = name.split(".")
        here = self.root
        for part in path:
            if part not in here._modules:
                here.add_module(part, torch.nn.Module())
            here = here._modules[part]
        return here, leaf


def _numbered(part: str, is_taken: Callable[[str], bool]) -> str:
    name, n = part, 0
    while is_taken(name):
        n += 1
        name = f"{part}_{n}"
    return name


def _is_taken(module: Any, part: str) -> bool:
    """Whether a module has something of that name, or will as one of torch.fx."""
    return module is not None and (
        hasattr(module, part) or hasattr(torch.fx.GraphModule, part) or part == "meta"
    )


def _is_barred(module: Any, part: str) -> bool:
    """Whether a module has something of that name which is no module."""
    held = getattr(module, part, None)
    return not isinstance(held, torch.nn.Module) and _is_taken(module, part)


def tensor_of(const: Const) -> Any:
    """A copy of a constant as a tensor. Raises ModelError for an element type PyTorch lacks."""
    dtype = const.type.dtype
    if isinstance(const.payload, torch.Tensor):
        return const.payload.detach().clone()
    if dtype not in DTYPES:
        raise ModelError(f"PyTorch has no tensors of {dtype}")
    array = const.load()
    foreign = _FOREIGN.get(dtype)
    if foreign is not None:
        return torch.from_numpy(array.view(foreign).copy()).view(DTYPES[dtype])
    return torch.from_numpy(np.array(array, order="C"))


def const_of(tensor: Any, dtype: str) -> Const:
    """A copy of a tensor as a constant of a type that the graph has."""
    whole = tensor.detach().to(DTYPES[dtype]).cpu().contiguous()
    foreign = _FOREIGN.get(dtype)
    if foreign is not None:
        kind = torch.int16 if foreign is np.int16 else torch.uint8
        array: Array = whole.view(kind).numpy().view(NUMPY[dtype])
    else:
        array = whole.numpy()
    return from_array(array.copy())


def learns(const: Const) -> bool:
    """Whether a constant is a parameter: what PyTorch called one, else finite floats of many."""
    if isinstance(const.payload, torch.nn.Parameter):
        return bool(const.payload.is_floating_point())
    if isinstance(const.payload, torch.Tensor) or const.type.dtype not in FLOATS:
        return False
    array = const.load().astype(np.float32)
    mask = bool(np.isin(array, (0, 1)).all()) and not array.all()  # which says what is left out
    return array.size > 1 and not mask and bool(np.isfinite(array).all())


def identifier(name: str) -> str:
    """A name as Python can write it."""
    found = re.sub(r"\W", "_", name) or "x"
    return found if found.isidentifier() else f"_{found}"
