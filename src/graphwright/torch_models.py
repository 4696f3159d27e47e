"""PyTorch's models in and out, where PyTorch is installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph

Feed = Mapping[str, Any]
EXPORTED = ".pt2"
"""How the names of files end that torch.export saves."""


def is_path(model: object) -> bool:
    """Whether a model is given by the path of its file."""
    return isinstance(model, str | os.PathLike)


def is_exported(model: str | os.PathLike[str]) -> bool:
    """Whether a file is called as torch.export's are."""
    return Path(model).suffix == EXPORTED


def load_torch(model: Any, example_inputs: Any, dynamic_shapes: Any) -> Graph:
    """The graph of a module, of an exported program, or in a `.pt2` file. Raises ModelError."""
    need_torch("read")
    from graphwright.frontends.torch import is_model, load

    if not is_path(model) and not is_model(model):
        raise ModelError(
            f"{type(model).__name__} is no model: give the path of an ONNX or .pt2 file, a "
            "torch.nn.Module or an exported program"
        )
    return load(model, example_inputs, dynamic_shapes)


def to_torch(graph: Graph, *, straight_through: bool = False) -> Any:
    """A torch.nn.Module that computes `graph`, whose parameters carry the names they had.

    It takes the graph's inputs in their order or by name. It runs on any device and in any float
    type, as `to_torch(graph).half()`, differentiates, and is compiled and exported as others are.
    Operators that others have fused are written out first, as `unfuse` does. With
    `straight_through` gradients pass through roundings and thresholds. Raises ModelError: for
    operators that have no form there, all of them in one.
    """
    need_torch("made")
    from graphwright.backends.torch import to_module

    return to_module(_without_fused(graph), straight_through=straight_through)


def from_torch(module: Any, graph: Graph) -> Graph:
    """A copy of `graph` with the weights that its module has now: that of `to_torch(graph)`.

    Raises ModelError for the module of another graph.
    """
    need_torch("read")
    from graphwright.backends.torch import taken_back

    return taken_back(graph, module, _without_fused(graph))


def finetune(
    graph: Graph,
    data: Feed | Iterable[Feed],
    *,
    teacher: Graph,
    steps: int = 200,
    rate: float = 1e-4,
    hidden: float = 1.0,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> Graph:
    """A copy of `graph` that was trained to give what `teacher` gives on `data`.

    `data` is a mapping of inputs by name, or several of them. The loss is the divergence of the
    first outputs, taken as logits, and `hidden` times the distance of hidden states that stand in
    both graphs for the same place of the user's model. Gradients pass straight through roundings
    and thresholds. The same seed gives the same weights on one machine. Operators that others have
    fused are written out in what is given back. Raises ModelError for data that does not fit and
    operators that have no form in PyTorch.
    """
    need_torch("trained")
    from graphwright.backends.torch import finetune as train

    feeds = [data] if isinstance(data, Mapping) else data
    student, master = _without_fused(graph), _without_fused(teacher)
    return train(student, feeds, master, steps, rate, hidden, seed, progress)


def _without_fused(graph: Graph) -> Graph:
    from graphwright.unfusing import raised

    return raised(graph)


def need_torch(done: str) -> None:
    """Raise ModelError where PyTorch is not installed."""
    if find_spec("torch") is None:
        raise ModelError(
            f"models of PyTorch are {done} with PyTorch, which is not installed: "
            "pip install 'graphwright[torch]'"
        )
