"""An ONNX file as a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError

from graphwright.frontends.onnx.read import Reader, Scope, read_graph, read_nodes
from graphwright.frontends.onnx.shapes import fix_shapes
from graphwright.frontends.onnx.wire import skeleton
from graphwright.ir import operators as _rows  # noqa: F401, importing them fills the table
from graphwright.ir.const import FileSlice
from graphwright.ir.errors import ModelError
from graphwright.ir.garbage import uncollected
from graphwright.ir.graph import Function, Graph, Header, Value
from graphwright.ir.ops import return_node

OLDEST = 7


def load(
    path: str | Path,
    *,
    inline: bool = False,
    freeze: bool = False,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Graph:
    """The graph in the ONNX file at `path`; its large weights stay in the file.

    `inline` puts the bodies of model-local functions where they are called; `freeze` makes
    constants of initializers that are also inputs; `shapes` fixes the shapes of inputs. Raises
    ModelError when the file is no valid model or a shape does not fit, and OSError when it cannot
    be read.
    """
    path = Path(path)
    data, weights = skeleton(path)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise ModelError(f"{path}: not an ONNX model, or damaged") from None
    if inline and model.functions:
        model = onnx.inliner.inline_local_functions(model)
    with uncollected():
        try:
            fix_shapes(model, shapes or {})
            return from_proto(model, path.parent, weights, freeze=freeze)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None


def from_proto(
    model: onnx.ModelProto,
    folder: Path = Path(),
    weights: dict[int, FileSlice] | None = None,
    *,
    freeze: bool = False,
) -> Graph:
    """The graph of a model in memory; `folder` is where its external data lies."""
    opsets = {o.domain if o.domain != "ai.onnx" else "": o.version for o in model.opset_import}
    if not model.HasField("graph") or not model.graph.output:
        raise ModelError("not an ONNX model: it has no graph, or one without outputs")
    if "" not in opsets and any(n.domain in ("", "ai.onnx") for n in model.graph.node):
        raise ModelError("the model does not say which opset it is written in")
    if opsets.get("", OLDEST) < OLDEST:
        raise ModelError(
            f"the model is written in opset {opsets['']}; graphwright reads {OLDEST} and later"
        )
    reader = Reader(folder, opsets, weights or {})
    graph, _ = read_graph(model.graph, reader)
    graph.header = Header(model.ir_version, opsets, model)
    graph.functions = {f.name: f for f in (_function(p, folder) for p in model.functions)}
    if freeze:
        _freeze(graph)
    return graph


def _function(proto: onnx.FunctionProto, folder: Path) -> Function:
    opsets = {o.domain if o.domain != "ai.onnx" else "": o.version for o in proto.opset_import}
    reader, scope = Reader(folder, opsets), Scope()
    inputs = tuple(Value(name=name) for name in proto.input)
    for value in inputs:
        scope.add(value.name, value, "an input")
    nodes = read_nodes(proto.node, reader, scope, {v.name: v.type for v in proto.value_info})
    missing = [name for name in proto.output if scope.find(name) is None]
    if missing:
        raise ModelError(f"the function '{proto.name}' does not give its output '{missing[0]}'")
    outputs = [scope.find(name) for name in proto.output]
    body = Graph(proto.name, inputs, return_node(outputs, list(proto.output)))
    name = f"{proto.domain}::{proto.name}" + (f":{proto.overload}" if proto.overload else "")
    attributes = (*proto.attribute, *(a.name for a in proto.attribute_proto))
    del nodes
    return Function(proto.domain, name, attributes, body, proto)


def _freeze(graph: Graph) -> None:
    for value, const in graph.defaults.items():
        value.const = const
    graph.inputs = tuple(v for v in graph.inputs if v not in graph.defaults)
    graph.defaults = {}
