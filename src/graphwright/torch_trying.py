"""The form that a technique has in PyTorch, run for what has to hold for all forms."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from graphwright.ir.const import Array
from graphwright.ir.graph import Graph
from graphwright.torch_models import to_torch
from graphwright.verification.feeds import Feed


def is_installed() -> bool:
    """Whether there is a PyTorch to run it."""
    return find_spec("torch") is not None


def ran(graph: Graph, feeds: Sequence[Feed], wide: bool = False) -> list[list[Array]]:
    """What the module of a graph gives, in float64 if `wide`."""
    module = to_torch(graph)
    module = module.double() if wide else module
    return [[t.numpy(force=True) for t in _outputs(module, graph, f, wide)] for f in feeds]


def gradients(
    graph: Graph, feeds: Sequence[Feed], straight_through: bool, wide: bool = False
) -> list[list[Array]]:
    """How half the sum of squares of the outputs changes with each input of floats."""
    module = to_torch(graph, straight_through=straight_through)
    module = module.double() if wide else module
    return [_gradients(module, graph, feed, wide) for feed in feeds]


def _gradients(module: Any, graph: Graph, feed: Feed, wide: bool) -> list[Array]:
    import torch

    inputs = _inputs(graph, feed, wide)
    learnt = [t.requires_grad_() for t in inputs if t.is_floating_point()]
    found = module(*inputs)
    outputs = [found] if isinstance(found, torch.Tensor) else found
    loss = sum(t.square().sum() / 2 for t in outputs)
    if not loss.requires_grad:
        return [np.zeros(tuple(t.shape)) for t in learnt]
    each = torch.autograd.grad(loss, learnt, allow_unused=True, materialize_grads=True)
    return [gradient.numpy(force=True) for gradient in each]


def _outputs(module: Any, graph: Graph, feed: Feed, wide: bool) -> list[Any]:
    import torch

    with torch.no_grad():
        found = module(*_inputs(graph, feed, wide))
    return [found] if isinstance(found, torch.Tensor) else list(found)


def _inputs(graph: Graph, feed: Feed, wide: bool) -> list[Any]:
    import torch

    tensors = [torch.from_numpy(np.array(feed[v.name])) for v in graph.inputs]
    return [t.double() if wide and t.is_floating_point() else t for t in tensors]
