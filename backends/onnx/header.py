"""What a model file says beside its graph, and what the graphs of one model share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from onnx.helper import make_opsetid

from graphwright.ir.const import Const
from graphwright.ir.dims import Dim, Sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Header, Value
from graphwright.ir.types import TensorType
from graphwright.ir.wire import framed

DOMAIN = "graphwright"
FUNCTIONS_SINCE = 8  # the first IR version that has model-local functions
BARE_WEIGHTS_SINCE = 4  # the first IR version where a weight need not be an input too
DEFAULT = Header(10, {"": 21})
STANDARD = ("", "ai.onnx")

Weight = tuple[str, Const]


@dataclass
class Model:
    """What the graphs of one model share while it is written.

    `own` is the opset that the graphs speak of and `opset` the one that is written. `weights` are
    kept apart from the message where that is allowed. `calls`: functions may be made for operators
    that the opset lacks.
    """

    own: int
    opset: int
    ir_version: int
    from_file: bool
    sizes: dict[Dim, tuple[Value, int]] = field(default_factory=dict)
    functions: dict[object, onnx.FunctionProto] = field(default_factory=dict)
    had_functions: dict[str, onnx.FunctionProto] = field(default_factory=dict)
    domains: set[str] = field(default_factory=set)
    weights: list[Weight] = field(default_factory=list)
    apart: bool = True
    calls: bool = True

    @property
    def same_opset(self) -> bool:
        """Whether a node may be written just as its file had it."""
        return self.from_file and self.own == self.opset

    @property
    def has_functions(self) -> bool:
        """Whether the model may hold functions of its own."""
        return self.calls and self.ir_version >= FUNCTIONS_SINCE

    @property
    def constant_nodes(self) -> bool:
        """Whether constants are given by nodes: functions and old files know no bare weights."""
        return not self.apart or self.ir_version < BARE_WEIGHTS_SINCE


def model_of(graph: Graph, opset: int | None) -> Model:
    """What is shared, for a graph to be written in `opset`, the one it wants, or its own.

    Raises ModelError for an opset that is older than the graph's, or newer than ONNX's.
    """
    header = graph.header or DEFAULT
    own = header.opsets.get("") or _newest_for(header.ir_version)
    target = opset or header.wanted or own
    if target < own:
        raise ModelError(f"the model is in opset {own}, which cannot be lowered to {target}")
    newest = onnx.defs.onnx_opset_version()
    if target > max(own, newest):
        raise ModelError(
            f"there is no opset {target}: the newest that the installed onnx knows is {newest}"
        )
    ir = header.ir_version
    if target > own:
        ir = max(ir, _ir_version(target))
    sizes = _readable(graph)
    model = Model(own, target, ir, header.source is not None, sizes, calls=header.calls)
    had = [f.source for f in graph.functions.values()]
    for function in had:
        if isinstance(function, onnx.FunctionProto) and function.domain == DOMAIN:
            model.had_functions[function.name] = function
    return model


def _ir_version(opset: int) -> int:
    found: int = onnx.helper.find_min_ir_version_for([make_opsetid("", opset)])
    return found


def _newest_for(ir_version: int) -> int:
    """The newest opset that a file of an IR version may use which uses none so far."""
    known = onnx.helper.OP_SET_ID_VERSION_MAP.items()
    return max(n for (domain, n), ir in known if domain == "ai.onnx" and ir <= max(ir_version, 3))


def _readable(graph: Graph) -> dict[Dim, tuple[Value, int]]:
    """The sizes that can be read off the inputs: which input has each, and on which axis."""
    found: dict[Dim, tuple[Value, int]] = {}
    for value in graph.inputs:
        if isinstance(value.type, TensorType) and value not in graph.defaults:
            for axis, dim in enumerate(value.type.shape or ()):
                if isinstance(dim, Sym):
                    found.setdefault(dim, (value, axis))
    return found


def header_proto(graph: Graph, model: Model) -> onnx.ModelProto:
    """The model without its graph, and without the functions that it is written with."""
    header = graph.header or DEFAULT
    proto = onnx.ModelProto(ir_version=model.ir_version)
    source = header.source
    if isinstance(source, onnx.ModelProto):
        carry(source, proto, {"graph", "opset_import", "ir_version", "functions"})
        spelled = [o.domain for o in source.opset_import]
    else:
        spelled = []
    versions = dict(header.opsets)
    for domain in dict.fromkeys([*spelled, *versions]):
        key = "" if domain in STANDARD else domain
        if key in versions:
            version = versions.pop(key)
            proto.opset_import.add(domain=domain, version=version if key else model.opset)
    _add_notes(proto, header.notes)
    return proto


def _add_notes(proto: onnx.ModelProto, notes: Mapping[str, str]) -> None:
    """Say `notes` in the model's metadata, in the place of what had their names."""
    kept = [each for each in proto.metadata_props if each.key not in notes]
    if notes:
        del proto.metadata_props[:]
        proto.metadata_props.extend(kept)
    for key, value in sorted(notes.items()):
        proto.metadata_props.add(key=key, value=value)


def import_domains(proto: onnx.ModelProto, model: Model) -> None:
    """Import what new nodes are of and the model does not say yet."""
    have = {"" if o.domain in STANDARD else o.domain for o in proto.opset_import}
    for domain in sorted(model.domains - have):
        proto.opset_import.add(domain=domain, version=1 if domain else model.opset)


def carry(source: Message, target: Message, but: set[str]) -> None:
    """Copy all that `source` says to `target`, known to onnx or not, but the fields named."""
    for about, value in source.ListFields():
        if about.name in but:
            continue
        if isinstance(value, Message):
            getattr(target, about.name).CopyFrom(value)
        elif isinstance(value, bytes):  # text that is not UTF-8, which protobuf takes unasked
            target.MergeFromString(framed(about.number, len(value)) + value)
        elif isinstance(value, str | int | float):
            setattr(target, about.name, value)
        else:
            getattr(target, about.name).extend(value)
    if len(UnknownFieldSet(source)):
        rest = type(source)()
        rest.CopyFrom(source)
        for about in source.DESCRIPTOR.fields:
            rest.ClearField(about.name)
        target.MergeFrom(rest)
