"""A graph's constants as parameters and buffers, under their names."""

from __future__ import annotations

import re
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
    """What a module holds; `held` says under which name each constant is."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.held: dict[Const, str] = {}
        self.taken: set[str] = set()

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
        return self._noted(name)

    def _taken_in(self, name: str, const: Const) -> str:
        tensor = tensor_of(const)
        name = self._free(name)
        module, leaf = self._place(name)
        if learns(const):
            module.register_parameter(leaf, torch.nn.Parameter(tensor))
        else:
            module.register_buffer(leaf, tensor)
        return self._noted(name)

    def _noted(self, name: str) -> str:
        self.taken.add(name)
        return name

    def _free(self, name: str) -> str:
        """A name that no tensor has, and no path to one goes through."""
        name = ".".join(part for part in name.split(".") if part) or "constant"
        stem, n = name, 0
        while self._clashes(name):
            n += 1
            name = f"{stem}_{n}"
        return name

    def _clashes(self, name: str) -> bool:
        if name in self.taken:
            return True
        parts = name.split(".")
        if any(".".join(parts[:i]) in self.taken for i in range(1, len(parts))):
            return True
        here = self.root
        for part in parts[:-1]:
            here = getattr(here, part, None) if here is not None else None
            if here is not None and not isinstance(here, torch.nn.Module):
                return True
        return here is not None and hasattr(here, parts[-1])

    def _place(self, name: str) -> tuple[Any, str]:
        """The submodule that a name stands in, and its last part."""
        *path, leaf = name.split(".")
        here = self.root
        for part in path:
            if part not in here._modules:
                here.add_module(part, torch.nn.Module())
            here = here._modules[part]
        return here, leaf


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
