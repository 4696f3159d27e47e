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
    `meta["held"]` says under which name each constant of the graph is held.
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
    writer = Writer(graph, weights, straight_through, names)
    written = writer.whole()
    module = GraphModule(root, written, class_name="GraphModule")
    module.meta["held"] = weights.held
    return module


def taken_back(graph: Graph, module: Any) -> Graph:
    """A copy of `graph` with the parameters and buffers that its module has now.

    Raises ModelError for the module of another graph.
    """
    held: dict[Const, str] = getattr(module, "meta", {}).get("held", {})
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    known: dict[Const, Const] = {}
    new = clone(graph)

    def refresh(value: Value | None) -> None:
        if value is None or value.const is None or value.const not in held:
            return
        old = value.const
        if old not in known:
            tensor = state[held[old]].detach()
            if tuple(tensor.shape) != old.type.shape:
                raise ModelError(f"the module's '{held[old]}' has another shape than the graph's")
            known[old] = const_of(tensor, old.type.dtype)
        value.const = known[old]

    if not held:
        raise ModelError("the module was not made of a graph that has weights")
    for node in new.everything():
        for value in node.operands():
            refresh(value)
    for value in new.outputs:
        refresh(value)
    return new
