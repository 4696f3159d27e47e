"""Our graphs as ONNX's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import onnx

from graphwright.backends.onnx.expand import computed_sizes, expanded, reshape_list
from graphwright.backends.onnx.forms import (
    SINCE,
    attrs_key,
    is_flattened,
    keeps_inputs,
    written,
)
from graphwright.backends.onnx.names import Scope, assign, output_names
from graphwright.backends.onnx.tensors import tensor_of, type_proto
from graphwright.ir.const import Const
from graphwright.ir.dims import Sym, sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, AttrRef, Carried, Graph, Header, Node, Value
from graphwright.ir.ops import constant
from graphwright.ir.types import TensorType

DOMAIN = "graphwright"
FUNCTIONS_SINCE = 8  # the first IR version that has model-local functions
DEFAULT = Header(10, {"": 21})


@dataclass
class Model:
    """What the graphs of one model share while it is written."""

    opset: int
    same_opset: bool
    functions_allowed: bool
    sizes: dict[str, tuple[Value, int]]
    functions: dict[tuple[str, str, str], onnx.FunctionProto] = field(default_factory=dict)
    large: list[Const] = field(default_factory=list)


def to_proto(
    graph: Graph, opset: int | None = None
) -> tuple[onnx.ModelProto, list[tuple[str, Const]]]:
    """The model without its large weights, and those by name, in the order they stand in a file.

    `opset` asks for a newer one than the graph's own. Raises ModelError where that is impossible.
    """
    header = graph.header or DEFAULT
    own = header.opsets.get("", 1)
    target = own if opset is None else opset
    if target < own:
        raise ModelError(
            f"the model is written in opset {own}, which cannot be lowered to {target}"
        )
    proto = _header(header, target)
    model = Model(
        target,
        target == own and header.source is not None,
        proto.ir_version >= FUNCTIONS_SINCE,
        _size_names(graph),
    )
    writer = Writer(graph, model, Scope(), {})
    body, weights = writer.write()
    proto.graph.CopyFrom(body)
    for function in model.functions.values():
        proto.functions.append(function)
    if any(function.domain == DOMAIN for function in proto.functions):
        proto.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    return proto, weights


def _header(header: Header, opset: int) -> onnx.ModelProto:
    proto = onnx.ModelProto(ir_version=header.ir_version)
    if isinstance(header.source, onnx.ModelProto):
        for about, value in header.source.ListFields():
            if about.name in ("graph", "opset_import"):
                continue
            if about.is_repeated:
                getattr(proto, about.name).extend(value)
            else:
                setattr(proto, about.name, value)
    for domain, version in header.opsets.items():
        if domain != DOMAIN:
            proto.opset_import.append(
                onnx.helper.make_opsetid(domain, version if domain else opset)
            )
    return proto


def _size_names(graph: Graph) -> dict[str, tuple[Value, int]]:
    found: dict[str, tuple[Value, int]] = {}
    for value in graph.inputs:
        if isinstance(value.type, TensorType) and value not in graph.defaults:
            for axis, dim in enumerate(value.type.shape or ()):
                if isinstance(dim, Sym) and dim == sym(str(dim)):
                    found.setdefault(str(dim), (value, axis))
    return found


class Writer:
    """Writes one graph; bodies have writers of their own."""

    def __init__(
        self, graph: Graph, model: Model, scope: Scope, captured: dict[Value, str]
    ) -> None:
        self.graph, self.model, self.scope, self.captured = graph, model, scope, captured
        self.top = scope.outer is None
        self.proto = onnx.GraphProto(name=graph.name or "graph")
        self.weights: list[tuple[str, Const]] = []
        self.written_consts: set[str] = set()
        self.lists: dict[object, Value] = {}
        self.sizes: dict[str, Value] = {}

    def write(self) -> tuple[onnx.GraphProto, list[tuple[str, Const]]]:
        """The graph as a message, and its large weights."""
        nodes = self.graph.nodes()
        assign(self.graph, nodes, self.scope, self.captured)
        self._signature()
        for node in nodes:
            self.node(node)
        self._outputs()
        self._carry()
        return self.proto, self.weights

    def _signature(self) -> None:
        source = self.graph.source
        infos = {i.name: i for i in source.input} if isinstance(source, onnx.GraphProto) else {}
        for value in self.graph.inputs:
            if value in self.captured:
                continue
            if value.name in infos:
                self.proto.input.append(infos[value.name])
            else:
                info = self.proto.input.add(name=value.name)
                if (type_ := type_proto(value.type)) is not None:
                    info.type.CopyFrom(type_)
            if value in self.graph.defaults:
                self._initializer(value.name, self.graph.defaults[value])

    def _outputs(self) -> None:
        source = self.graph.source
        infos = {i.name: i for i in source.output} if isinstance(source, onnx.GraphProto) else {}
        for value, name in zip(self.graph.outputs, output_names(self.graph), strict=True):
            if value is None:
                raise ModelError(f"the output '{name}' is given by nothing")
            if self.scope.names.get(value) != name:
                self._alias(value, name)
            if name in infos:
                self.proto.output.append(infos[name])
            else:
                info = self.proto.output.add(name=name)
                if (type_ := type_proto(value.type)) is not None:
                    info.type.CopyFrom(type_)

    def _alias(self, value: Value, name: str) -> None:
        """Give `value`, which has another name, under `name` too."""
        if value.const is not None and value not in self.scope.names:
            tensor = tensor_of(value.const, name)
            if (
                isinstance(tensor, onnx.TensorProto)
                and value.const.where is None
                and tensor.data_location == 0
            ):
                node = self.proto.node.add(op_type="Constant", output=[name])
                node.attribute.append(onnx.helper.make_attribute("value", tensor))
                return
        self.proto.node.add(op_type="Identity", input=[self.name(value)], output=[name])

    def _carry(self) -> None:
        source = self.graph.source
        if not isinstance(source, onnx.GraphProto):
            return
        self.proto.doc_string = source.doc_string
        self.proto.metadata_props.extend(source.metadata_props)
        alive = {n for node in self.proto.node for n in node.output}
        gone = {i.name for i in source.input} | {o.name for o in source.output}
        self.proto.value_info.extend(v for v in source.value_info if v.name in alive - gone)
        kept = alive | {i.name for i in source.input} | self.written_consts
        self.proto.quantization_annotation.extend(
            q for q in source.quantization_annotation if q.tensor_name in kept
        )

    def name(self, value: Value | None) -> str:
        """The name to read `value` by, after what it needs has been written."""
        if value is None:
            return ""
        if value.const is not None and value not in self.captured:
            name = self.scope.give(value, "const")
            self._initializer(name, value.const)
            return name
        if value.producer is not None and value.producer.op == "Sizes":
            return self._sizes(value.producer)
        return self.scope.names[value]

    def _initializer(self, name: str, const: Const) -> None:
        if name in self.written_consts:
            return
        self.written_consts.add(name)
        if isinstance(const.payload, onnx.SparseTensorProto):
            sparse = self.proto.sparse_initializer.add()
            sparse.CopyFrom(const.payload)
            sparse.values.name = name
        elif const.where is not None and self.top:
            self.weights.append((name, const))
        else:
            loaded = const if const.where is None else Const(const.type, const.read)
            self.proto.initializer.append(tensor_of(loaded, name))

    def _sizes(self, node: Node) -> str:
        dims = node.attrs["dims"]
        known = self.lists.get(dims)
        if known is None:
            known = computed_sizes(dims, self._size)  # type: ignore[arg-type]
            self.lists[dims] = known
            self.new(known)
        return self.name(known)

    def _size(self, name: str) -> Value:
        """A list of the one size called `name`, read off an input."""
        found = self.sizes.get(name)
        if found is None:
            source, axis = self.model.sizes[name]
            found = self.sizes[name] = Value(TensorType("i64", (1,)))
            shape = self.scope.fresh("shape")
            given = source.name
            if self.model.opset >= 15:
                attrs: dict[str, Attr] = {"start": axis, "end": axis + 1}
                self._append("Shape", "", [given], [shape], attrs)
                self.scope.names[found] = shape
            else:
                self._append("Shape", "", [given], [shape], {})
                at = self.name(constant(np.array([axis]), "i64"))
                self._append(
                    "Gather", "", [shape, at], [self.scope.give(found, "size")], {"axis": 0}
                )
        return found

    def new(self, value: Value) -> None:
        """Write the nodes that `value` is made of and that have no name yet."""
        stack = [value]
        order: list[Node] = []
        while stack:
            at = stack.pop()
            if at in self.scope.names or at.const is not None or at.producer is None:
                continue
            order.append(at.producer)
            stack += [v for v in at.producer.inputs if v is not None]
        for node in reversed(list(dict.fromkeys(reversed(order[::-1])))[::-1][::-1]):
            if node.outputs[0] in self.scope.names:
                continue
            self.scope.give(node.outputs[0], node.op)
            self.node(node)

    def node(self, node: Node) -> None:
        """Write one node, in operators that the opset has."""
        op, opset = node.op, self.model.opset
        if op == "Sizes":
            return
        since = SINCE.get(op, 0)
        if (
            op == "Linear"
            or is_flattened(node, opset)
            or (since > opset and self._lacks_function(node))
        ):
            self._inline(node)
            return
        if op in SINCE and SINCE[op] > opset:
            self._call(node)
            return
        source = node.source
        if isinstance(source, onnx.NodeProto) and self.model.same_opset and not node.bodies:
            inputs = [self.name(v) for v in node.inputs]
            outputs = [self.scope.names.get(v, "") for v in node.outputs]
            if keeps_inputs(op) and list(source.input) == inputs and list(source.output) == outputs:
                self.proto.node.append(source)
                return
        self._rebuilt(node)

    def _rebuilt(self, node: Node) -> None:
        op, domain, given, attrs = written(node, self.model.opset)
        inputs = [
            self._shape_list(node) if i == 1 and op == "Reshape" else self.name(v)
            for i, v in enumerate(given)
        ]
        while inputs and not inputs[-1]:
            inputs.pop()
        outputs = [self.scope.names.get(v, "") for v in node.outputs]
        proto = self._append(op, domain, inputs, outputs, attrs, node)
        for name, body in node.bodies.items():
            self._body(proto, name, body, node)

    def _shape_list(self, node: Node) -> str:
        shape = node.inputs[1]
        dims = (
            shape.producer.attrs["dims"]
            if shape and shape.producer and shape.producer.op == "Sizes"
            else None
        )
        numbers = reshape_list(node, dims) if isinstance(dims, tuple) else None
        if numbers is None:
            return self.name(shape)
        key = ("reshape", *numbers)
        if key not in self.lists:
            self.lists[key] = constant(np.array(numbers, np.int64), "i64")
        return self.name(self.lists[key])

    def _body(self, proto: onnx.NodeProto, name: str, body: Graph, node: Node) -> None:
        own = len(body.inputs) - len(node.captures)
        captured = {
            inside: self.name(outside)
            for inside, outside in zip(body.inputs[own:], node.captures, strict=True)
        }
        inner, _ = Writer(body, self.model, Scope(self.scope), captured).write()
        name, _, many = name.partition("#")
        attr = next((a for a in proto.attribute if a.name == name), None) or proto.attribute.add(
            name=name
        )
        attr.type = onnx.AttributeProto.GRAPHS if many else onnx.AttributeProto.GRAPH
        if many:
            attr.graphs.append(inner)
        else:
            attr.g.CopyFrom(inner)

    def _append(
        self,
        op: str,
        domain: str,
        inputs: Iterable[str],
        outputs: Iterable[str],
        attrs: dict[str, Attr],
        node: Node | None = None,
    ) -> onnx.NodeProto:
        proto = self.proto.node.add(op_type=op, domain=domain, input=inputs, output=outputs)
        for name in attrs:
            proto.attribute.append(_attribute(name, attrs[name]))
        if node is not None:
            _annotate(proto, node)
        return proto

    def _lacks_function(self, node: Node) -> bool:
        return (
            not self.model.functions_allowed
            or not self.top
            or any(v.uses for v in node.outputs[1:])
        )

    def _stand_ins(self, node: Node) -> tuple[Node, list[Value]]:
        """A copy of the node that reads fresh values, so that expanding it leaves the graph alone."""
        fresh = [Value(v.type, const=v.const) for v in node.inputs if v is not None]
        return Node(node.op, tuple(fresh), node.attrs, (Value(node.outputs[0].type),)), fresh

    def _inline(self, node: Node) -> None:
        copy, fresh = self._stand_ins(node)
        result = expanded(copy)
        for inside, outside in zip(fresh, (v for v in node.inputs if v is not None), strict=True):
            self.scope.names[inside] = self.name(outside)
            inside.const = None
        self.scope.names[result] = self.scope.names[node.outputs[0]]
        self._emit(result, set(fresh), node)

    def _emit(self, value: Value, given: set[Value], node: Node) -> None:
        """Write the nodes of an expansion, producers first, each with the origin of `node`."""
        producer = value.producer
        if value in given or producer is None:
            return
        for operand in producer.inputs:
            if operand is not None and operand.const is None and operand not in self.scope.names:
                self._emit(operand, given, node)
        self.scope.give(value, producer.op)
        producer.origin, producer.name = node.origin, node.name
        given.add(value)
        self._rebuilt(producer)

    def _call(self, node: Node) -> None:
        """Write a call of a model-local function that has the operator's exact body."""
        type_ = node.outputs[0].type
        key = (
            node.op,
            attrs_key(node.attrs),
            f"{type_.dtype if isinstance(type_, TensorType) else ''}{len(node.inputs)}",
        )
        if key not in self.model.functions:
            alike = sum(k[0] == node.op for k in self.model.functions)
            name = node.op if not alike else f"{node.op}_{alike + 1}"
            self.model.functions[key] = self._function(node, name)
        outputs = [self.scope.names[node.outputs[0]]]
        self._append(
            self.model.functions[key].name,
            DOMAIN,
            [self.name(v) for v in node.inputs],
            outputs,
            {},
            node,
        )

    def _function(self, node: Node, name: str) -> onnx.FunctionProto:
        copy, fresh = self._stand_ins(node)
        for i, value in enumerate(fresh):
            value.const, value.name = None, f"x{i}"
        result = expanded(copy)
        result.name = "y"
        from graphwright.ir.ops import return_node

        body = Graph(name, tuple(fresh), return_node([result], ["y"]))
        inner, _ = Writer(body, Model(self.model.opset, False, False, {}), Scope(), {}).write()
        function = onnx.FunctionProto(
            name=name, domain=DOMAIN, input=[v.name for v in fresh], output=["y"]
        )
        function.opset_import.append(onnx.helper.make_opsetid("", self.model.opset))
        for tensor in inner.initializer:
            constant_node = function.node.add(op_type="Constant", output=[tensor.name])
            constant_node.attribute.append(onnx.helper.make_attribute("value", tensor))
        function.node.extend(inner.node)
        return function


def _attribute(name: str, value: Attr) -> onnx.AttributeProto:
    if isinstance(value, Carried):
        proto = onnx.AttributeProto()
        proto.ParseFromString(value.data)
        return proto
    if isinstance(value, AttrRef):
        return onnx.AttributeProto(name=name, ref_attr_name=value.name, type=value.kind)
    if isinstance(value, Const):
        return onnx.helper.make_attribute(
            name, tensor_of(value, getattr(value.payload, "name", ""))
        )
    return onnx.helper.make_attribute(name, value)


def _annotate(proto: onnx.NodeProto, node: Node) -> None:
    """Say where the node is from: as its source said, or by which rules out of which nodes."""
    proto.name = node.name
    source = node.source
    if isinstance(source, onnx.NodeProto):
        proto.doc_string = source.doc_string
        proto.overload = source.overload
        proto.metadata_props.extend(source.metadata_props)
    elif node.origin.rules:
        for key, said in (("sources", node.origin.sources), ("rules", node.origin.rules)):
            proto.metadata_props.add(key=f"graphwright.{key}", value=json.dumps(said))
