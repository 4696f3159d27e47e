"""Graphs and their nodes as ONNX's."""

from __future__ import annotations

import onnx

from graphwright.backends.onnx.conversion import converted
from graphwright.backends.onnx.draft import Draft
from graphwright.backends.onnx.expand import expansion, is_later, is_written_out
from graphwright.backends.onnx.forms import Form, reshaped, written
from graphwright.backends.onnx.functions import call
from graphwright.backends.onnx.names import Scope, assign, stem_of
from graphwright.backends.onnx.shape_lists import is_computed, reshape_list, write_sizes
from graphwright.backends.onnx.signature import carry_graph, write_inputs, write_outputs
from graphwright.backends.onnx.tensors import list_of
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import OPS, return_node
from graphwright.ir.order import reachable
from graphwright.ir.types import TensorType


def write_graph(graph: Graph, draft: Draft) -> None:
    """Fill the draft's message with `graph`, whose captured inputs have their names already."""
    nodes = graph.nodes()
    draft.proto.name = graph.name or "graph"
    captured = {value for value in graph.inputs if value in draft.scope.names}
    names = assign(graph, nodes, draft.scope)
    write_inputs(graph, draft, captured)
    if draft.outer is None:
        _name_constant_outputs(graph, names, draft)
    write_nodes(nodes, draft)
    write_outputs(graph, names, draft)
    carry_graph(graph, draft)


def _name_constant_outputs(graph: Graph, names: list[str], draft: Draft) -> None:
    for value, name in zip(graph.outputs, names, strict=True):
        if value is not None and value.const is not None:
            draft.constant_named(value.const, name)


def write_nodes(nodes: list[Node], draft: Draft) -> None:
    """Write nodes whose values have names: as their file had them, where nothing has changed."""
    names, copied = draft.scope.names, draft.model.same_opset
    others = reshaped(draft.model.opset)
    unchanged: list[onnx.NodeProto] = []
    for node in nodes:
        source = node.source
        if copied and node.op not in others and isinstance(source, onnx.NodeProto):
            inputs = _names_read(node, draft)
            if source.input == inputs and source.output == [names.get(v, "") for v in node.outputs]:
                unchanged.append(source)
                continue
        draft.proto.node.extend(unchanged)
        unchanged = []
        write_node(node, draft, draft.model.own)
    draft.proto.node.extend(unchanged)


def _names_read(node: Node, draft: Draft) -> list[str] | None:
    """The names that a node reads by; None where it is to be written anew."""
    if node.bodies:
        return None
    names = draft.scope.names
    found = []
    for value in node.inputs:
        name = names.get(value)
        if name is None:
            if value is None or value.const is None:
                return None  # sizes, which may be computed nowhere
            name = draft.name(value)
        found.append(name)
    return found


def write_node(node: Node, draft: Draft, own: int) -> None:
    """Write one node of opset `own`, in operators that the opset of the model has."""
    names = draft.scope.names
    if node.op == "Sizes":
        if is_computed(node):
            names[node.outputs[0]] = draft.name(write_sizes(node.attrs["dims"], draft, splice))
        return
    if node.op == "Linear":
        write_linear(node, draft)
        return
    opset = draft.model.opset
    later = is_later(node, opset)
    if later and draft.model.has_functions:
        call(node, draft, write_graph)
    elif later or is_written_out(node, own, opset):
        fresh, result = expansion(node)
        for inside, outside in zip(fresh, node.inputs, strict=True):
            names[inside] = draft.name(outside)
        names[result] = names[node.outputs[0]]
        splice(result, draft, node)
    else:
        _write_form(node, draft, own)


def write_linear(node: Node, draft: Draft) -> None:
    """Write x @ w + b: one Gemm for a matrix, else MatMul and Add. Models are full of these."""
    x, w, *b = (draft.name(value) for value in node.inputs)
    result, transposed = draft.scope.names[node.outputs[0]], node.attrs["transposed"]
    x_type = node.inputs[0].type if node.inputs[0] is not None else None
    if b and isinstance(x_type, TensorType) and x_type.rank == 2:
        attrs = {"transB": 1} if transposed else {}
        draft.append("Gemm", "", [x, w, *b], [result], attrs, node)
        return
    if transposed:
        given, w = w, draft.scope.fresh("Transpose")
        draft.append("Transpose", "", [given], [w], {"perm": (1, 0)}, node)
    product = draft.scope.fresh("MatMul") if b else result
    draft.append("MatMul", "", [x, w], [product], {}, node)
    if b:
        draft.append("Add", "", [product, *b], [result], {}, node)


def splice(result: Value, draft: Draft, of: Node | None = None) -> None:
    """Write the nodes that `result` is made of and that have no name yet, as parts of `of`."""
    for node in reachable([return_node([result], [""])])[:-1]:
        value = node.outputs[0]
        if value is not result and value in draft.scope.names:
            continue
        for output in node.outputs:
            draft.scope.give(output, stem_of(node.op))
        if of is not None:
            node.origin, node.name = of.origin, of.name if value is result else ""
        write_node(node, draft, draft.model.opset)


def _form(node: Node, own: int, opset: int) -> Form:
    form = written(node, opset)
    if own == opset or node.op in OPS or "::" in node.op:
        return form
    return converted(node, form, own, opset)


def _write_form(node: Node, draft: Draft, own: int) -> None:
    form = _form(node, own, draft.model.opset)
    source = node.source if isinstance(node.source, onnx.NodeProto) else None
    inputs = []
    for i, value in enumerate(form.inputs):
        if i == 1 and node.op == "Reshape" and (numbers := reshape_list(node)) is not None:
            value = list_of(numbers)
        elif value is not None and value.const is not None and not value.uses and source:
            # Made for this form: it has the name that it had in the file.
            value.name = source.input[i] if i < len(source.input) else ""
        inputs.append(draft.name(value))
    outputs = [draft.scope.names.get(v, "") for v in node.outputs]
    reusable = draft.model.same_opset and not node.bodies
    if source is not None and reusable and source.input == inputs and source.output == outputs:
        draft.proto.node.append(source)
        return
    least = 0 if source is None else len(source.input)
    while len(inputs) > least and not inputs[-1]:
        inputs.pop()
    proto = draft.append(form.op, form.domain, inputs, outputs, form.attrs, node)
    for name, body in node.bodies.items():
        _write_body(proto, name, body, node, draft)


def _write_body(proto: onnx.NodeProto, name: str, body: Graph, node: Node, draft: Draft) -> None:
    scope = Scope(draft.scope)
    own = len(body.inputs) - len(node.captures)
    for inside, outside in zip(body.inputs[own:], node.captures, strict=True):
        scope.names[inside] = draft.name(outside)
    name, _, many = name.partition("#")
    attr = next((a for a in proto.attribute if a.name == name), None)
    if attr is None:
        attr = proto.attribute.add(name=name)
    attr.type = onnx.AttributeProto.GRAPHS if many else onnx.AttributeProto.GRAPH
    message = attr.graphs.add() if many else attr.g
    message.SetInParent()
    write_graph(body, Draft(message, draft.model, scope, draft))
