"""Newer operators in older files: calls of functions that the model brings along."""

from __future__ import annotations

from collections.abc import Callable

import onnx

from graphwright.backends.onnx.draft import Draft
from graphwright.backends.onnx.expand import expansion
from graphwright.backends.onnx.forms import attrs_key
from graphwright.backends.onnx.header import DOMAIN, STANDARD, Model, carry
from graphwright.backends.onnx.names import Scope
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Function, Graph, Node
from graphwright.ir.ops import return_node

WriteGraph = Callable[[Graph, Draft], None]


def call(node: Node, draft: Draft, write_graph: WriteGraph) -> None:
    """Write a call of a function of the model that has the operator's exact body."""
    types = tuple([None if v is None else v.type for v in node.inputs])
    key = (node.op, attrs_key(node), types, *node.bodies.values())
    functions = draft.model.functions
    if key not in functions:
        functions[key] = _function(node, draft.model, write_graph)
    output = draft.scope.names[node.outputs[0]]
    inputs = [draft.name(v) for v in node.inputs]
    draft.append(functions[key].name, DOMAIN, inputs, [output], {}, node)


def _function(node: Node, model: Model, write_graph: WriteGraph) -> onnx.FunctionProto:
    """The function for a node: one that the model has already, if that is the same."""
    made = _body(node, model.opset, write_graph)
    n = 1
    while True:
        made.name = node.op if n == 1 else f"{node.op}_{n}"
        for known in (*model.had_functions.values(), *model.functions.values()):
            if known.name == made.name:
                if known == made:
                    return known
                break
        else:
            return made
        n += 1


def brought_along(graph: Graph, model: Model, write_graph: WriteGraph) -> list[onnx.FunctionProto]:
    """The functions that the graph was read with, in the opset that is written."""
    opset = None if model.own == model.opset else model.opset
    return [_brought(f, opset, write_graph) for f in graph.functions.values()]


def _brought(function: Function, opset: int | None, write_graph: WriteGraph) -> onnx.FunctionProto:
    source = function.source
    if not isinstance(source, onnx.FunctionProto):
        raise ModelError(f"the function '{function.name}' comes from no ONNX file")
    if opset is None:
        return source
    own = next((o.version for o in source.opset_import if o.domain in STANDARD), opset)
    if own >= opset:
        return source
    draft = Draft(onnx.GraphProto(), Model(own, opset, 0, True, apart=False), Scope())
    try:
        write_graph(function.body, draft)
    except ModelError as error:
        raise ModelError(f"in the function '{function.name}': {error}") from None
    proto = onnx.FunctionProto()
    carry(source, proto, {"node", "opset_import", "value_info"})
    for each in source.opset_import:
        standard = each.domain in STANDARD
        proto.opset_import.add(domain=each.domain, version=opset if standard else each.version)
    proto.node.extend(draft.proto.node)
    return proto


def _body(node: Node, opset: int, write_graph: WriteGraph) -> onnx.FunctionProto:
    fresh, result = expansion(node)
    given = [v for v in fresh if v is not None]
    for i, value in enumerate(fresh):
        if value is not None:
            value.name = f"x{i}"
    result.name = "y"
    body = Graph(node.op, tuple(given), return_node([result], ["y"]))
    draft = Draft(onnx.GraphProto(), Model(opset, opset, 0, False, apart=False), Scope())
    write_graph(body, draft)
    function = onnx.FunctionProto(
        domain=DOMAIN, input=[f"x{i}" for i in range(len(fresh))], output=["y"]
    )
    function.opset_import.add(version=opset)
    function.node.extend(draft.proto.node)
    return function
