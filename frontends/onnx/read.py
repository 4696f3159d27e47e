"""ONNX's graphs as ours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import onnx

from graphwright.frontends.onnx.attributes import BODIES
from graphwright.frontends.onnx.nodes import Bodies, NodeReader, settled
from graphwright.frontends.onnx.scope import Reader, Scope
from graphwright.frontends.onnx.tensors import const_of, sparse_const
from graphwright.frontends.onnx.types import type_of
from graphwright.ir.const import Const
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Function, Graph, Value
from graphwright.ir.ops import return_node
from graphwright.ir.types import UNKNOWN, TensorType, Type


def read_graph(
    proto: onnx.GraphProto, reader: Reader, outer: Scope | None = None, given: Sequence[Type] = ()
) -> tuple[Graph, tuple[Value, ...]]:
    """The graph, and the outer values that it captures (its last inputs stand for them)."""
    scope = Scope(outer)
    inputs = []
    for i, info in enumerate(proto.input):
        type_ = type_of(info.type, reader.promised if outer is None else reader.unknown)
        if type_ == UNKNOWN and i < len(given):
            type_ = given[i]
        value = Value(type_, name=info.name)
        scope.add(info.name, value, "an input")
        inputs.append(value)
    defaults = _constants(proto, reader, scope, set(inputs), whole=outer is None)
    hints = {info.name: info.type for info in chain(proto.value_info, proto.output)}
    nodes = NodeReader(reader, scope, hints, _bodies)
    nodes.read(proto.node)
    outputs = [_output(info.name, scope) for info in proto.output]
    names = [info.name for info in proto.output]
    captured = tuple(scope.captured.values())
    graph = Graph(
        proto.name if isinstance(proto.name, str) else "",
        (*inputs, *(inside for _, inside in captured)),
        return_node(outputs, names if outer is None else _told_apart(names)),
        settled(nodes.nodes),
        defaults=defaults,
        source=proto,
    )
    return graph, tuple(outside for outside, _ in captured)


def read_function(proto: onnx.FunctionProto, reader: Reader) -> Function:
    """A model-local function, of types that only its calls know."""
    scope = Scope()
    inputs = tuple(Value(name=name) for name in proto.input)
    for value in inputs:
        scope.add(value.name, value, "an input")
    nodes = NodeReader(reader, scope, {v.name: v.type for v in proto.value_info}, _bodies)
    nodes.read(proto.node)
    missing = [name for name in proto.output if scope.find(name) is None]
    if missing:
        raise ModelError(f"the function '{proto.name}' does not give its output '{missing[0]}'")
    result = return_node([scope.find(name) for name in proto.output], list(proto.output))
    body = Graph(proto.name, inputs, result, settled(nodes.nodes))
    name = f"{proto.domain}::{proto.name}" + (f":{proto.overload}" if proto.overload else "")
    attributes = (*proto.attribute, *(a.name for a in proto.attribute_proto))
    return Function(proto.domain, name, attributes, body, proto)


def _constants(
    proto: onnx.GraphProto, reader: Reader, scope: Scope, inputs: set[Value], whole: bool
) -> dict[Value, Const]:
    """Put the initializers into scope; those that are what an input holds by default are given."""
    tensors = (
        (t.name, const_of(t, reader.folder, reader.weights.get(i) if whole else None))
        for i, t in enumerate(proto.initializer)
    )
    sparse = ((s.values.name, sparse_const(s, reader.folder)) for s in proto.sparse_initializer)
    defaults: dict[Value, Const] = {}
    for name, const in chain(tensors, sparse):
        at = scope.values.get(name)
        if at is not None and at in inputs and at not in defaults:
            defaults[at] = const
        else:
            scope.add(name, Value(const.type, const=const, name=name), "a weight")
    return defaults


def _output(name: str, scope: Scope) -> Value:
    value = scope.find(name)
    if value is None:
        raise ModelError(f"the output '{name}' is given by no node")
    return value


def _told_apart(names: Sequence[str]) -> list[str]:
    """The names of the outputs of a body, which are known by their order, each once."""
    found: dict[str, None] = {}
    for name in names:
        made, n = name, 1
        while made in found or (n > 1 and made in names):
            n += 1
            made = f"{name}_{n}"
        found[made] = None
    return list(found)


def _bodies(
    proto: onnx.NodeProto, inputs: Sequence[Value | None], reader: Reader, scope: Scope
) -> Bodies:
    """Bodies by attribute, all with the same captures as their last inputs."""
    given: list[Type] = []
    if proto.op_type == "Loop":
        given = [TensorType("i64", ()), TensorType("bool", ()), *(_carried(v) for v in inputs[2:])]
    found: dict[str, tuple[Graph, tuple[Value, ...]]] = {}
    for attr in proto.attribute:
        if attr.type == BODIES[0]:
            found[attr.name] = read_graph(attr.g, reader, scope, given)
        elif attr.type == BODIES[1]:
            for i, body in enumerate(attr.graphs):
                found[f"{attr.name}#{i}"] = read_graph(body, reader, scope)
    captures = tuple(dict.fromkeys(v for _, outside in found.values() for v in outside))
    for graph, outside in found.values():
        own = len(graph.inputs) - len(outside)
        inside = dict(zip(outside, graph.inputs[own:], strict=True))
        last = (inside.get(v) or Value(v.type, name=v.name) for v in captures)
        graph.inputs = (*graph.inputs[:own], *last)
    return {name: graph for name, (graph, _) in found.items()}, captures


def _carried(value: Value | None) -> Type:
    """The type of what a Loop carries: its shape may change from turn to turn."""
    if value is None or not isinstance(value.type, TensorType):
        return UNKNOWN
    return TensorType(value.type.dtype)
