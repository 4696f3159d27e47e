"""ONNX's graphs as ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from graphwright.frontends.onnx.forms import normal
from graphwright.frontends.onnx.inference import inferred
from graphwright.frontends.onnx.tensors import const_of, sparse_const, type_of
from graphwright.ir.const import Const, FileSlice, from_array
from graphwright.ir.dims import Dim, sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import (
    Attr,
    AttrRef,
    Carried,
    Graph,
    Node,
    Origin,
    Value,
)
from graphwright.ir.ops import OPS, infer, is_pure, return_node
from graphwright.ir.provenance import origin_in
from graphwright.ir.types import UNKNOWN, TensorType, Type

SMALL = 1 << 10
STANDARD = ("", "ai.onnx")


@dataclass
class Reader:
    """What is the same for all graphs of one model."""

    folder: Path
    opsets: dict[str, int]
    weights: dict[int, FileSlice] = field(default_factory=dict)
    fresh: Any = field(default_factory=count)

    def unknown(self, name: str, axis: int) -> Dim:
        """A size that nothing is known of: names inside a graph are hints, not promises."""
        return sym(f"_{next(self.fresh)}")

    def promised(self, name: str, axis: int) -> Dim:
        """A size of a graph's input: equal names are equal sizes."""
        return sym(name) if name else self.unknown(name, axis)


class Scope:
    """The values of one graph by name, and what its bodies read from outside."""

    def __init__(self, outer: Scope | None = None) -> None:
        self.values: dict[str, Value] = {}
        self.outer = outer
        self.captured: dict[str, tuple[Value, Value]] = {}  # name: (outside, inside)

    def add(self, name: str, value: Value, what: str) -> None:
        """Define a name; ModelError when it is defined already."""
        if name in self.values:
            raise ModelError(
                f"the name '{name}' is given twice in one graph, the second time to {what}"
            )
        self.values[name] = value

    def find(self, name: str) -> Value | None:
        """The value called `name`, captured from an outer graph if need be."""
        found = self.values.get(name)
        if found is not None or self.outer is None:
            return found
        outside = self.outer.find(name)
        if outside is None:
            return None
        if outside.const is not None and (outside.const.type.nbytes or SMALL) < SMALL:
            inside = Value(outside.type, const=outside.const, name=name)
        else:
            inside = Value(outside.type, name=name)
            self.captured[name] = (outside, inside)
        self.values[name] = inside
        return inside


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
    defaults = _constants(proto, reader, scope, whole=outer is None)
    hints = {info.name: info.type for info in (*proto.value_info, *proto.output)}
    nodes = read_nodes(proto.node, reader, scope, hints)
    outputs = [_output(info.name, scope) for info in proto.output]
    captured = tuple(scope.captured.values())
    graph = Graph(
        proto.name,
        (*inputs, *(inside for _, inside in captured)),
        return_node(outputs, [info.name for info in proto.output]),
        defaults=defaults,
        source=proto,
    )
    graph.kept = _kept(graph, nodes)
    return graph, tuple(outside for outside, _ in captured)


def _constants(
    proto: onnx.GraphProto, reader: Reader, scope: Scope, whole: bool
) -> dict[Value, Const]:
    defaults: dict[Value, Const] = {}
    tensors: Iterable[tuple[str, Const]] = (
        (t.name, const_of(t, reader.folder, reader.weights.get(i) if whole else None))
        for i, t in enumerate(proto.initializer)
    )
    sparse = ((s.values.name, sparse_const(s, reader.folder)) for s in proto.sparse_initializer)
    for name, const in (*tensors, *sparse):
        at = scope.values.get(name)
        if at is not None and at not in defaults and any(i.name == name for i in proto.input):
            defaults[at] = const
        else:
            scope.add(name, Value(const.type, const=const, name=name), "a weight")
    return defaults


def _output(name: str, scope: Scope) -> Value:
    value = scope.find(name)
    if value is None:
        raise ModelError(f"the output '{name}' is given by no node")
    return value


def _kept(graph: Graph, nodes: list[Node]) -> tuple[Node, ...]:
    """Nodes that stay though nothing reads them: what they do is not known, or is chance."""
    doubtful = [n for n in nodes if not is_pure(n)]
    if not doubtful:
        return ()
    reached = set(graph.reachable())
    return tuple(n for n in doubtful if n not in reached)


def read_nodes(
    protos: Iterable[onnx.NodeProto],
    reader: Reader,
    scope: Scope,
    hints: dict[str, onnx.TypeProto],
) -> list[Node]:
    """The nodes, in the order of the file, or sorted if that order is not legal."""
    waiting = list(protos)
    nodes: list[Node] = []
    for place, proto in enumerate(waiting):
        node = read_node(proto, place, reader, scope, hints)
        if node is None:
            return nodes + _out_of_order(waiting[place:], place, reader, scope, hints)
        nodes.append(node)
    return nodes


def _out_of_order(
    waiting: list[onnx.NodeProto],
    place: int,
    reader: Reader,
    scope: Scope,
    hints: dict[str, onnx.TypeProto],
) -> list[Node]:
    nodes: list[Node] = []
    while waiting:
        left = []
        for proto in waiting:
            node = read_node(proto, place + len(nodes), reader, scope, hints)
            left += [proto] if node is None else []
            nodes += [] if node is None else [node]
        if len(left) == len(waiting):
            made = {name for proto in left for name in proto.output}
            first = left[0]
            missing = next(n for n in needed(first) if scope.find(n) is None)
            why = "stand in a cycle" if missing in made else "read what nothing gives"
            raise ModelError(
                f"{len(left)} nodes {why}, the first is '{label(first)}', which reads '{missing}'"
            )
        waiting = left
    return nodes


def needed(proto: onnx.NodeProto) -> list[str]:
    """The names that a node reads, in its bodies too."""
    names = [n for n in proto.input if n]
    for attr in proto.attribute:
        for body in (attr.g, *attr.graphs) if attr.type in (5, 10) else ():
            inside = {i.name for i in body.input} | {t.name for t in body.initializer}
            inside |= {t.values.name for t in body.sparse_initializer}
            inside |= {o for n in body.node for o in n.output}
            names += [n for node in body.node for n in needed(node) if n not in inside]
            names += [o.name for o in body.output if o.name not in inside]
    return names


def label(proto: onnx.NodeProto) -> str:
    """How messages call a node."""
    return proto.name or f"{proto.op_type} of {', '.join(proto.output)}"


def read_node(
    proto: onnx.NodeProto,
    place: int,
    reader: Reader,
    scope: Scope,
    hints: dict[str, onnx.TypeProto],
) -> Node | None:
    """The node; None when it reads what is not there yet."""
    op, domain = proto.op_type, proto.domain
    inputs: list[Value | None] = []
    for name in proto.input:
        value = scope.values.get(name) or (scope.find(name) if name else None)
        if value is None and name:
            return None
        inputs.append(value)
    if op == "Constant" and domain in STANDARD:
        return _constant_node(proto, place, reader, scope, hints)
    bodied = any(a.type in (5, 10) for a in proto.attribute)
    if bodied and any(scope.find(name) is None for name in needed(proto)):
        return None
    bodies, captures = _bodies(proto, inputs, reader, scope) if bodied else ({}, ())
    attrs = {
        a.name: attribute(a, reader)
        for a in proto.attribute
        if a.name not in bodies and a.type not in (5, 10)
    }
    if domain in STANDARD:
        op, inputs, attrs = normal(op, reader.opsets.get("", 1), inputs, attrs, len(proto.output))
    else:
        op = f"{domain}::{op}" + (f":{proto.overload}" if proto.overload else "")
    outputs = _typed(proto, op, inputs, attrs, reader, scope, hints)
    return Node(
        op,
        tuple(inputs),
        attrs,
        outputs,
        captures,
        bodies,
        _origin(proto),
        proto.name,
        float(place),
        proto,
    )


def _typed(
    proto: onnx.NodeProto,
    op: str,
    inputs: list[Value | None],
    attrs: dict[str, Attr],
    reader: Reader,
    scope: Scope,
    hints: dict[str, onnx.TypeProto],
) -> tuple[Value, ...]:
    row = OPS.get(op)
    try:
        types = infer(op, inputs, attrs, len(proto.output))
    except (TypeError, ValueError, IndexError) as error:
        raise ModelError(f"the node '{label(proto)}' does not fit its inputs: {error}") from None
    known: dict[str, Type] | None = None
    outputs = []
    for name, type_ in zip(proto.output, types, strict=True):
        if not name:
            outputs.append(Value())
            continue
        if not isinstance(type_, TensorType) or type_.shape is None:
            hint = hints.get(name)
            said = UNKNOWN if hint is None else type_of(hint, reader.unknown)
            if not _is_settled(said, row is not None):
                if known is None:
                    known = inferred(
                        proto, _as_written(proto, scope), reader.opsets, reader.unknown
                    )
                better = known.get(name, UNKNOWN)
                said = better if _has_rank(better) or said == UNKNOWN else said
            type_ = type_ if said == UNKNOWN else said
        value = Value(type_, name=name)
        scope.add(name, value, f"the node '{label(proto)}'")
        outputs.append(value)
    if row is not None and row.contents is not None and outputs:
        outputs[0].contents = row.contents(inputs, attrs)
    return tuple(outputs)


def _has_rank(type_: Type) -> bool:
    return isinstance(type_, TensorType) and type_.shape is not None


def _is_settled(said: Type, has_row: bool) -> bool:
    """Whether the file's word on a type need not be held against ONNX's inference.

    Inference knows which of our sizes a symbol is; where our own row failed, it would too.
    """
    if not isinstance(said, TensorType) or said.shape is None:
        return False
    return has_row or all(isinstance(d, int) for d in said.shape)


def _as_written(proto: onnx.NodeProto, scope: Scope) -> list[Value | None]:
    return [scope.find(name) if name else None for name in proto.input]


def _bodies(
    proto: onnx.NodeProto, inputs: list[Value | None], reader: Reader, scope: Scope
) -> tuple[dict[str, Graph], tuple[Value, ...]]:
    """Bodies by attribute, all with the same captures as their last inputs."""
    given: list[Type] = []
    if proto.op_type == "Loop":
        given = [TensorType("i64", ()), TensorType("bool", ()), *(_carried(v) for v in inputs[2:])]
    found: dict[str, tuple[Graph, tuple[Value, ...]]] = {}
    for attr in proto.attribute:
        if attr.type == 5:
            found[attr.name] = read_graph(attr.g, reader, scope, given)
        elif attr.type == 10:
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


def _constant_node(
    proto: onnx.NodeProto,
    place: int,
    reader: Reader,
    scope: Scope,
    hints: dict[str, onnx.TypeProto],
) -> Node | None:
    """A Constant becomes a constant value, and no node; where it refers to a function's attribute, it stays."""
    if len(proto.attribute) != 1 or len(proto.output) != 1:
        raise ModelError(
            f"the Constant '{label(proto)}' does not have one attribute and one output"
        )
    attr = proto.attribute[0]
    if attr.ref_attr_name:
        value = Value(name=proto.output[0])
        attrs = {attr.name: attribute(attr, reader)}
        node = Node(
            "Constant",
            (),
            attrs,
            (value,),
            origin=_origin(proto),
            name=proto.name,
            place=place,
            source=proto,
        )
    else:
        const = _constant(attr, reader)
        value = Value(const.type, const=const, name=proto.output[0])
        node = Node("Constant", (), {}, (), place=place)
    scope.add(proto.output[0], value, f"the Constant '{label(proto)}'")
    return node


def _constant(attr: onnx.AttributeProto, reader: Reader) -> Const:
    match attr.name:
        case "value":
            return const_of(attr.t, reader.folder)
        case "sparse_value":
            return sparse_const(attr.sparse_tensor, reader.folder)
        case "value_float":
            return from_array(np.array(attr.f, np.float32))
        case "value_floats":
            return from_array(np.array(attr.floats, np.float32))
        case "value_int":
            return from_array(np.array(attr.i, np.int64))
        case "value_ints":
            return from_array(np.array(attr.ints, np.int64))
        case "value_string":
            return from_array(np.array(attr.s.decode(errors="surrogateescape"), object))
        case "value_strings":
            return from_array(
                np.array([s.decode(errors="surrogateescape") for s in attr.strings], object)
            )
    raise ModelError(f"a Constant has the attribute '{attr.name}', which ONNX does not know")


def attribute(attr: onnx.AttributeProto, reader: Reader) -> Attr:
    """An attribute's value; carried as it came where it is of a kind that rules do not speak of."""
    if attr.ref_attr_name:
        return AttrRef(attr.ref_attr_name, attr.type)
    read = ATTRIBUTES.get(attr.type)
    found: Attr | None = None if read is None else read(attr)
    if attr.type == onnx.AttributeProto.TENSOR:
        return const_of(attr.t, reader.folder)
    return Carried("attribute", attr.SerializeToString()) if found is None or found == () else found


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


ATTRIBUTES: dict[int, Callable[[onnx.AttributeProto], Attr]] = {
    1: lambda a: a.f,
    2: lambda a: a.i,
    3: lambda a: _text(a.s),
    6: lambda a: tuple(a.floats),
    7: lambda a: tuple(a.ints),
    8: lambda a: tuple(_text(s) for s in a.strings),
}


def _origin(proto: onnx.NodeProto) -> Origin:
    if proto.metadata_props:
        found = origin_in({p.key: p.value for p in proto.metadata_props})
        if found is not None:
            return found
    return Origin((proto.name or (proto.output[0] if proto.output else proto.op_type),))
