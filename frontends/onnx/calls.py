"""Which model-local functions a model calls, and whether they can be called at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import onnx

from graphwright.frontends.onnx.attributes import BODIES
from graphwright.frontends.onnx.text import NOT_TEXT
from graphwright.ir.errors import ModelError

STANDARD = ("", "ai.onnx")
Key: TypeAlias = tuple[str, str, str]


def domain_of(said: str) -> str:
    """A domain by its one name: ONNX's own has two. Raises ModelError for what is no text."""
    if not isinstance(said, str):
        raise ModelError(NOT_TEXT)
    return "" if said in STANDARD else said


def key_of(function: onnx.FunctionProto) -> Key:
    """What calls a function: its domain, name and overload."""
    return domain_of(function.domain), function.name, function.overload


def called_by(node: onnx.NodeProto) -> Key:
    """The function that a node calls, if there is one of that key."""
    return domain_of(node.domain), node.op_type, node.overload


def bodies_of(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that stand in a node."""
    for attr in node.attribute:
        if attr.type in BODIES:
            yield from attr.graphs
            if attr.HasField("g"):
                yield attr.g


def functions_of(model: onnx.ModelProto) -> dict[Key, onnx.FunctionProto]:
    """The functions by key. Raises ModelError for two of one key, and for one that calls itself."""
    found: dict[Key, onnx.FunctionProto] = {}
    for function in model.functions:
        if found.setdefault(key_of(function), function) is not function:
            raise ModelError(f"there are two functions '{function.name}' of one domain")
    done: set[Key] = set()
    for key in found:
        _follow(key, found, done, [])
    return found


def _follow(
    key: Key, functions: Mapping[Key, onnx.FunctionProto], done: set[Key], path: list[Key]
) -> None:
    if key in path:
        raise ModelError(f"the function '{key[1]}' calls itself")
    if key in done or key not in functions:
        return
    for called in dict.fromkeys(_calls(functions[key].node)):
        _follow(called, functions, done, [*path, key])
    done.add(key)


def _calls(nodes: Iterable[onnx.NodeProto]) -> Iterator[Key]:
    for node in nodes:
        yield called_by(node)
        for body in bodies_of(node):
            yield from _calls(body.node)
