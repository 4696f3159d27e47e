"""A graph as a module of PyTorch whose attentions are kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from graphwright.backends.torch import to_module
from graphwright.backends.triton.facts import NoKernel, facts_of
from graphwright.backends.triton.source import kernel_source
from graphwright.backends.triton.torch_calls import Attention
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import node_of, return_node


@dataclass(frozen=True)
class Made:
    """A module, the text of each kernel by the name of its submodule, and what has none and why."""

    module: Any
    sources: dict[str, str]
    left: tuple[tuple[str, str], ...]


def with_kernels(graph: Graph, load: Callable[[str], ModuleType | None]) -> Made:
    """The module that computes `graph`; `load` gives the module of a kernel's text.

    Attentions that are alike share a kernel. Raises ModelError for operators without a form there.
    """
    parts: dict[tuple[str, str], Any] = {}
    calls: dict[Node, tuple[str, Any]] = {}
    sources: dict[str, str] = {}
    left: list[tuple[str, str]] = []
    for node in graph.nodes():
        if node.op != "Attention":
            continue
        try:
            source = kernel_source(facts_of(node))
        except NoKernel as why:
            left.append((", ".join(node.origin.sources) or node.name or node.op, str(why)))
            continue
        key = (source, str([v.type for v in node.inputs if v is not None]))
        if key not in parts:
            name = f"attention_{len(parts)}"
            parts[key] = (name, Attention(to_module(alone(node)), load(source)))
            sources[name] = source
        calls[node] = parts[key]
    return Made(to_module(graph, calls=calls), sources, tuple(left))


def alone(node: Node) -> Graph:
    """A graph of one attention, whose inputs are what it takes, in that order."""
    names = ("q", "k", "v", "bias", "mask", "sink")
    inputs: list[Value | None] = [
        None if v is None else Value(v.type, name=name)
        for name, v in zip(names, node.inputs, strict=False)
    ]
    again = node_of("Attention", inputs, node.attrs, bodies=node.bodies)
    given = tuple(v for v in inputs if v is not None)
    return Graph("attention", given, return_node(again.outputs, ["y"]))
