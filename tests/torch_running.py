"""What the builders' modules give, in float32 and in float64, as tests hold graphs to it."""

from __future__ import annotations

from typing import Any

import torch
from tests.torch_models import Case, built

Arrays = list[Any]


def outputs(case: Case, module: Any = None) -> list[Any]:
    """What the module of a case, or another one, gives for its inputs."""
    with torch.no_grad():
        found = case.module(case.inputs) if module is None else module(*case.inputs.values())
    if isinstance(found, dict):
        found = tuple(found.values())
    return [found] if isinstance(found, torch.Tensor) else list(found)


def arrays(case: Case, module: Any = None) -> Arrays:
    """As `outputs`, in NumPy."""
    return [t.numpy() for t in outputs(case, module)]


def feed_of(case: Case) -> dict[str, Any]:
    """The inputs of a case by the names that its graph has for them."""
    return {f"given_{name}": tensor.numpy() for name, tensor in case.inputs.items()}


def in_float64(name: str, attention: str) -> Case:
    """A builder's case, computed in float64 throughout."""
    case = built(name, attention)
    case.inputs = {k: t.double() if t.is_floating_point() else t for k, t in case.inputs.items()}
    case.module.double()
    return case
