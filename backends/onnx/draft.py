"""One graph as far as it is written: its message, its names and its constants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx

from graphwright.backends.onnx.attributes import attribute_proto, rewrite, say_origin
from graphwright.backends.onnx.header import STANDARD, Model
from graphwright.backends.onnx.names import Scope
from graphwright.backends.onnx.tensors import tensor_of
from graphwright.ir.const import Const
from graphwright.ir.dims import Dim
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, Node, Value

SMALL = 1 << 8  # elements, none of which takes more than 16 bytes
LARGE = 1 << 12
"""Bytes from which on a weight is no part of the message, but streamed into the file behind it."""


class Draft:
    """One graph as far as it is written; the drafts of its bodies know it as `outer`."""

    def __init__(
        self, proto: onnx.GraphProto, model: Model, scope: Scope, outer: Draft | None = None
    ) -> None:
        self.proto, self.model, self.scope, self.outer = proto, model, scope, outer
        self.constants: dict[Const, str] = {}
        self.named: dict[str, Const] = {}
        self.alike: dict[object, str] = {}
        self.lists: dict[object, Value] = {}
        self.sizes: dict[Dim, Value] = {}

    def top(self) -> Draft:
        """The draft of the whole model's graph."""
        return self if self.outer is None else self.outer.top()

    def name(self, value: Value | None) -> str:
        """The name to read `value` by; a constant is written when it is first asked for."""
        name = self.scope.names.get(value)
        if name is None:
            if value is None or value.const is None:
                raise ModelError("the graph reads a value that nothing in it gives")
            name = self.scope.names[value] = self.constant(value.const, value.name)
        return name

    def constant(self, const: Const, wanted: str = "") -> str:
        """The name of a constant; one without a name of its own is shared with all its like."""
        name = self.constants.get(const) or self._alike(const, wanted)
        if name is None:
            if self.outer is not None and self.model.apart and is_large(const):
                name = self.top().constant_named(const, self.scope.fresh(wanted or "const"))
            else:
                self.scope.aside.discard(wanted)
                name = self._write(const, self.scope.own_or_fresh(wanted, "const"))
            if not wanted:
                self.alike[const.key()] = name
        self.constants[const] = name
        return name

    def constant_named(self, const: Const, name: str) -> str:
        """Write a constant under `name`, which is nobody's yet, unless it is written; its name."""
        if const not in self.constants:
            self.constants[const] = self._write(const, name)
        return self.constants[const]

    def _alike(self, const: Const, wanted: str) -> str | None:
        if not wanted:
            return self.alike.get(const.key())
        known = self.named.get(wanted)
        return None if known is None or known.key() != const.key() else wanted

    def _write(self, const: Const, name: str) -> str:
        self.named[name] = const
        if self.model.constant_nodes:
            self.constant_node(const, name)
        else:
            self.initializer(const, name)
        return name

    def initializer(self, const: Const, name: str) -> None:
        """Write a weight; a large one is written behind the message."""
        if isinstance(const.payload, onnx.SparseTensorProto):
            self.proto.sparse_initializer.append(const.payload)
            self.proto.sparse_initializer[-1].values.name = name
        elif self.model.apart and is_large(const):
            self.model.weights.append((name, const))
        elif isinstance(const.payload, onnx.TensorProto):
            self.proto.initializer.append(const.payload)
            if const.payload.name != name:
                self.proto.initializer[-1].name = name
        else:
            self.proto.initializer.append(tensor_of(const, name))

    def constant_node(self, const: Const, name: str) -> None:
        """Write a node that gives a constant; a large one is written before the message."""
        if self.outer is None and self.model.apart and is_large(const):
            self.model.weights.append((name, const))
            return
        proto = self.proto.node.add(op_type="Constant", output=[name])
        attr = proto.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
        if isinstance(const.payload, onnx.SparseTensorProto):
            attr.name, attr.type = "sparse_value", onnx.AttributeProto.SPARSE_TENSOR
            attr.sparse_tensor.CopyFrom(const.payload)
        else:
            attr.t.CopyFrom(tensor_of(const, name))

    def give_constant(self, const: Const, name: str) -> None:
        """Give a constant as an output of a body, which ONNX Runtime takes from nodes only."""
        if self.model.apart and is_large(const):
            self.proto.node.add(op_type="Identity", input=[self.constant(const)], output=[name])
        else:
            self.constant_node(const, name)

    def append(
        self,
        op: str,
        domain: str,
        inputs: Iterable[str],
        outputs: Iterable[str],
        attrs: Mapping[str, Attr],
        node: Node | None = None,
    ) -> onnx.NodeProto:
        """Write a node; `node` is the one that it is, or that it is a part of."""
        proto: onnx.NodeProto
        if node is not None and isinstance(node.source, onnx.NodeProto):
            proto = self.proto.node.add()
            proto.CopyFrom(node.source)
            rewrite(proto, op, domain, inputs, outputs, attrs, keep=self.model.same_opset)
            return proto
        self.model.domains.add(domain)
        proto = self.proto.node.add(op_type=op, input=inputs, output=outputs)
        if domain not in STANDARD:
            proto.domain = domain
        if attrs:
            proto.attribute.extend([attribute_proto(*each) for each in attrs.items()])
        if node is not None:
            say_origin(proto, node)
        return proto


def is_large(const: Const) -> bool:
    """Whether a weight is no part of the message: it lies in a file, or is large."""
    if isinstance(const.payload, onnx.SparseTensorProto):
        return False
    if const.where is not None:
        return True
    count = 1
    for dim in const.type.shape or ():
        count *= dim if isinstance(dim, int) else 0
    if count <= SMALL:
        return False
    return const.type.dtype != "str" and (const.type.nbytes or 0) > LARGE
