"""Attributes as ONNX's, and nodes that carry on what their sources said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx
from onnx.helper import make_attribute

from graphwright.backends.onnx.header import STANDARD
from graphwright.backends.onnx.tensors import tensor_of
from graphwright.ir.const import Const
from graphwright.ir.graph import Attr, AttrRef, Carried, Node
from graphwright.ir.provenance import entries

GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


def attribute_proto(name: str, value: Attr) -> onnx.AttributeProto:
    """An attribute as ONNX writes it."""
    if isinstance(value, Carried):
        proto = onnx.AttributeProto()
        proto.ParseFromString(value.data)
        return proto
    if isinstance(value, AttrRef):
        # Protobuf's numbers of the types are ONNX's.
        return onnx.AttributeProto(name=name, ref_attr_name=value.name, type=value.kind)  # type: ignore[arg-type]
    if isinstance(value, Const):
        return make_attribute(name, tensor_of(value, getattr(value.payload, "name", "")))
    if isinstance(value, tuple):
        return _list(name, value)
    return make_attribute(name, value)


def _list(name: str, values: tuple[object, ...]) -> onnx.AttributeProto:
    if any(isinstance(v, bytes) for v in values):
        values = tuple(v.encode() if isinstance(v, str) else v for v in values)
    return make_attribute(name, values)


def rewrite(
    proto: onnx.NodeProto,
    op: str,
    domain: str,
    inputs: Iterable[str],
    outputs: Iterable[str],
    attrs: Mapping[str, Attr],
    keep: bool,
) -> None:
    """Make `proto` read and give other names and have other attributes; the rest stays.

    With `keep` the attributes that it has say what `attrs` do, as far as both have them.
    """
    proto.op_type = op
    if domain not in STANDARD or proto.domain not in STANDARD:
        proto.domain = domain
    del proto.input[:], proto.output[:]
    proto.input.extend(inputs)
    proto.output.extend(outputs)
    said = {a.name: a.doc_string for a in proto.attribute if isinstance(a.doc_string, str)}
    gone = [i for i, a in enumerate(proto.attribute) if not keep or a.name not in attrs]
    if not keep or any(proto.attribute[i].type not in GRAPHS for i in gone):
        left = {a.name for i, a in enumerate(proto.attribute) if i not in gone}
    else:
        left = set(attrs)  # what the source left out has its default
    for i in reversed(gone):
        del proto.attribute[i]
    for name, value in attrs.items():
        if name not in left:
            proto.attribute.append(attribute_proto(name, value))
            if said.get(name):
                proto.attribute[-1].doc_string = said[name]


def say_origin(proto: onnx.NodeProto, node: Node) -> None:
    """Say by which rules and out of which nodes of the user's model a new node was made."""
    if node.name:
        proto.name = node.name
    for key, said in entries(node.origin).items():
        proto.metadata_props.add(key=key, value=said)
