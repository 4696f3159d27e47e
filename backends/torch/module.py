"""A graph as a module whose parameters carry their names, and back."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch

from graphwright.backends.torch.weights import Weights, const_of
from graphwright.backends.torch.writing import Writer, refuse_unknown
from graphwright.ir.clone import clone
from graphwright.ir.const import Const
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node, Value


class GraphModule(torch.fx.GraphModule):  # type: ignore[misc]  # torch is not followed by mypy
    """A graph that runs, learns and is exported as any module.

    It takes the graph's inputs in their order or by name, and gives one tensor, or a tuple of them.
    """


def to_module(
    graph: Graph,
    *,
    straight_through: bool = False,
    calls: Mapping[Node, tuple[str, Any]] = MappingProxyType({}),
) -> Any:
    """The module that computes `graph`; parameters are copies of the graph's, under their names.

    In another float type or on another device it is as any module: `to_module(graph).half()`. With
    `straight_through` gradients pass through roundings and thresholds. `calls` are nodes of one
    result that modules compute from the inputs that they have, under their names here. Raises
    ModelError: for operators that are not known here, all of them in one.
    """
    refuse_unknown(graph)
    root = torch.nn.Module()
    for name, part in calls.values():
        root.add_module(name, part)
    weights = Weights(root)
    names = {node: name for node, (name, _) in calls.items()}
    written = Writer(graph, weights, straight_through, names).whole()
    return GraphModule(root, written, class_name="GraphModule")


def taken_back(graph: Graph, module: Any, written: Graph | None = None) -> Graph:
    """A copy of `graph` with the parameters and buffers that its module has now.

    `written` is the graph that the module was made of, where that is another over the same weights.
    Raises ModelError for the module of another graph.
    """
    module = getattr(module, "_orig_mod", module)  # what torch.compile has compiled
    parts = (module.named_parameters, module.named_buffers)
    state = {name: tensor for each in parts for name, tensor in each(remove_duplicate=False)}
    names = Weights(torch.nn.Module(), bare=True)
    Writer(written or graph, names, straight=False, calls={}).whole()
    known: dict[Const, Const] = {}
    new = clone(graph)

    def refresh(value: Value | None) -> None:
        if value is None or value.const is None or value.const not in names.held:
            return
        old = value.const
        if old not in known:
            name = names.held[old]
            if name not in state:
                raise ModelError(f"the module is not of this graph: it has no '{name}'")
            tensor = state[name].detach()
            if tuple(tensor.shape) != old.type.shape:
                raise ModelError(f"the module's '{name}' has another shape than the graph's")
            known[old] = const_of(tensor, old.type.dtype)
        value.const = known[old]

    for node in new.everything():
        for value in node.operands():
            refresh(value)
    for value in new.outputs:
        refresh(value)
    return new
