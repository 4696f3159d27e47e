"""ONNX's nodes as ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TypeAlias

import onnx

from graphwright.frontends.onnx.attributes import constant_in, read_attributes
from graphwright.frontends.onnx.disorder import in_order, label, needed
from graphwright.frontends.onnx.forms import normal
from graphwright.frontends.onnx.inference import inferred, schema
from graphwright.frontends.onnx.scope import Reader, Scope
from graphwright.frontends.onnx.text import NOT_TEXT
from graphwright.frontends.onnx.types import type_of
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, Graph, Node, Value
from graphwright.ir.ops import NO_BODIES, OPS, contents_made, infer, is_pure
from graphwright.ir.provenance import Origin, origin_in
from graphwright.ir.types import UNKNOWN, TensorType, Type

STANDARD = ("", "ai.onnx")
Arity: TypeAlias = tuple[int, int, int, int]
Bodies: TypeAlias = "tuple[Mapping[str, Graph], tuple[Value, ...]]"
ReadBodies: TypeAlias = "Callable[[onnx.NodeProto, Sequence[Value | None], Reader, Scope], Bodies]"


class NodeReader:
    """Reads the nodes of one graph; `hints` says what the file says of types, by name."""

    def __init__(
        self,
        reader: Reader,
        scope: Scope,
        hints: Mapping[str, onnx.TypeProto],
        bodies: ReadBodies,
    ) -> None:
        self.reader, self.scope, self.hints, self.bodies = reader, scope, hints, bodies
        self.opset = reader.opset
        self.nodes: list[Node] = []

    def read(self, protos: Sequence[onnx.NodeProto]) -> None:
        """Read nodes, in the order of the file or, where that is illegal, in another."""
        for i, proto in enumerate(protos):
            if not self._read(proto):
                for each in in_order(protos[i:], self.scope):
                    self._read(each)
                return

    def _read(self, proto: onnx.NodeProto) -> bool:
        """Read one node; False when it reads what is not there yet."""
        op, domain, scope = proto.op_type, proto.domain, self.scope
        if type(op) is not str or type(domain) is not str:
            raise ModelError(NOT_TEXT)
        if op == "Constant" and domain in STANDARD and self._constant(proto):
            return True
        inputs: list[Value | None] = []
        for name in proto.input[:]:  # a list is faster to go through
            value = scope.values.get(name)
            if value is None and name:
                value = scope.find(name)
                if value is None:
                    return False
            inputs.append(value)
        attrs, bodied = read_attributes(proto, self.reader)
        captures: tuple[Value, ...] = ()
        bodies = NO_BODIES
        if bodied:
            if any(scope.find(name) is None for name in needed(proto)):
                return False
            bodies, captures = self.bodies(proto, inputs, self.reader, scope)
        names = proto.output[:]
        if domain in STANDARD:
            limits = arity(op, self.opset)
            if limits is not None:
                least, most, least_outputs, most_outputs = limits
                if not (
                    least <= len(inputs) <= most and least_outputs <= len(names) <= most_outputs
                ):
                    raise ModelError(_misfit(proto, self.opset, len(inputs), len(names)))
            op, inputs, attrs = normal(op, self.opset, inputs, attrs, len(names))
        else:
            op = f"{domain}::{op}" + (f":{proto.overload}" if proto.overload else "")
        outputs = self._outputs(proto, names, op, inputs, attrs)
        name = proto.name
        if type(name) is not str:
            raise ModelError(NOT_TEXT)
        origin = _said(proto) if self.reader.told else None
        origin = origin or Origin((name or (names[0] if names else op),))
        place = float(len(self.nodes))
        read = (op, tuple(inputs), attrs, outputs, captures, bodies, origin, name, place, proto)
        self.nodes.append(Node(*read))
        return True

    def _outputs(
        self,
        proto: onnx.NodeProto,
        names: list[str],
        op: str,
        inputs: list[Value | None],
        attrs: dict[str, Attr],
    ) -> tuple[Value, ...]:
        try:
            types = infer(op, inputs, attrs, len(names))
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"the node '{label(proto)}' does not fit its inputs: {error}"
            ) from None
        for type_ in types:
            if not isinstance(type_, TensorType) or type_.shape is None:
                types = self._sharpened(proto, names, types, op in OPS)
                break
        values = self.scope.values
        outputs: list[Value] = []
        for name, type_ in zip(names, types, strict=True):
            if name in values or type(name) is not str:
                self.scope.add(name, Value(), f"the node '{label(proto)}'")
            value = Value(type_, name=name) if name else Value()
            outputs.append(value)
            if name:
                values[name] = value
        if outputs:
            outputs[0].contents = contents_made(op, inputs, attrs)
        return tuple(outputs)

    def _sharpened(
        self, proto: onnx.NodeProto, names: list[str], types: Sequence[Type], has_row: bool
    ) -> tuple[Type, ...]:
        """What is best known of types, from our rows, the file and ONNX's inference."""
        inferred_types: dict[str, Type] | None = None
        found: list[Type] = []
        for name, type_ in zip(names, types, strict=True):
            if _has_rank(type_) or not name:
                found.append(type_)
                continue
            hint = self.hints.get(name)
            said = UNKNOWN if hint is None else type_of(hint, self.reader.unknown)
            if not _is_settled(said, has_row):
                if inferred_types is None:
                    read = [self.scope.find(n) if n else None for n in proto.input]
                    inferred_types = inferred(proto, read, self.reader.opsets, self.reader.unknown)
                better = inferred_types.get(name, UNKNOWN)
                said = better if _has_rank(better) or said == UNKNOWN else said
            found.append(type_ if said == UNKNOWN else said)
        return tuple(found)

    def _constant(self, proto: onnx.NodeProto) -> bool:
        """Make a Constant a value, and no node; False where a function's attribute is its value."""
        try:
            (attr,), (name,) = proto.attribute[:], proto.output[:]
        except ValueError:
            raise ModelError(
                f"the Constant '{label(proto)}' does not have one attribute and one output"
            ) from None
        if self.reader.refers and attr.ref_attr_name:
            return False
        const = constant_in(attr, self.reader)
        if name in self.scope.values:
            self.scope.add(name, Value(), f"the Constant '{label(proto)}'")
        self.scope.values[name] = Value(const.type, None, const, name)
        return True


def _misfit(proto: onnx.NodeProto, opset: int, inputs: int, outputs: int) -> str:
    return (
        f"the node '{label(proto)}' has {inputs} inputs and {outputs} outputs, "
        f"which {proto.op_type} cannot have in opset {opset}"
    )


@cache
def arity(op: str, opset: int) -> Arity | None:
    """How many inputs an operator has at least and at most, and how many outputs."""
    row = schema(op, "", opset)
    if row is None:
        return None
    return row.min_input, row.max_input, row.min_output, row.max_output


def settled(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Let go of nodes that nothing reads, but for those that are given back.

    What those do is not known, or is chance. Nodes stand after what they read, and the graph has
    its return already.
    """
    kept: list[Node] = []
    for node in reversed(nodes):
        for value in node.outputs:
            if value.uses:
                break
        else:
            if is_pure(node):
                node.detach()
            else:
                kept.append(node)
    return tuple(reversed(kept))


def _has_rank(type_: Type) -> bool:
    return isinstance(type_, TensorType) and type_.shape is not None


def _is_settled(said: Type, has_row: bool) -> bool:
    """Whether the file's word on a type need not be held against ONNX's inference.

    Inference knows which of our sizes a symbol is; where our own row failed, it would too.
    """
    if not isinstance(said, TensorType) or said.shape is None:
        return False
    return has_row or all(isinstance(d, int) for d in said.shape)


def _said(proto: onnx.NodeProto) -> Origin | None:
    """The origin that a node says that it has."""
    return origin_in({p.key: p.value for p in proto.metadata_props})
