"""An ONNX file as a graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from graphwright.frontends.onnx.calls import domain_of, functions_of
from graphwright.frontends.onnx.external import Folder, take_in, tensors_in
from graphwright.frontends.onnx.inlining import inline_functions
from graphwright.frontends.onnx.named_sizes import dims_of, plain_names
from graphwright.frontends.onnx.read import read_function, read_graph
from graphwright.frontends.onnx.scope import Reader
from graphwright.frontends.onnx.shapes import fix_shapes
from graphwright.frontends.onnx.text import NOT_TEXT, texts_in
from graphwright.frontends.onnx.wire import skeleton
from graphwright.ir.const import FileSlice
from graphwright.ir.errors import ModelError
from graphwright.ir.garbage import uncollected
from graphwright.ir.graph import Graph, Header
from graphwright.ir.provenance import PREFIX

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
    told = PREFIX.encode() in data
    del data
    with uncollected():
        try:
            if inline and model.functions:
                inline_functions(model)
            fix_shapes(model, shapes or {})
            folder = Folder(path.parent, path)
            return from_proto(model, folder, weights, freeze=freeze, told=told)
        except ModelError as error:
            raise ModelError(f"{path}: {' '.join(str(error).split())}") from None
        except (TypeError, AttributeError, UnicodeDecodeError):
            if all(isinstance(text, str) for text in texts_in(model)):
                raise
            raise ModelError(f"{path}: {NOT_TEXT}") from None


def from_proto(
    model: onnx.ModelProto,
    folder: Folder | None = None,
    weights: dict[int, FileSlice] | None = None,
    *,
    freeze: bool = False,
    told: bool = True,
) -> Graph:
    """The graph of a model in memory; `folder` is where its external data lies.

    Data that lies elsewhere and is no weight of a graph is put into `model`. `told`: some nodes may
    say where they are from. Raises ModelError.
    """
    folder = folder or Folder(Path())
    opsets = _opsets(model.opset_import)
    if not model.HasField("graph") or not model.graph.output:
        raise ModelError("not an ONNX model: it has no graph, or one without outputs")
    if "" not in opsets and any(n.domain in ("", "ai.onnx") for n in model.graph.node):
        raise ModelError("the model does not say which opset it is written in")
    if opsets.get("", OLDEST) < OLDEST:
        raise ModelError(
            f"the model is written in opset {opsets['']}; graphwright reads {OLDEST} and later"
        )
    functions_of(model)  # raises for those that nobody can call
    for part in (*model.functions, *model.training_info):
        for tensor in tensors_in(part):
            take_in(tensor, folder)
    promises = frozenset(d.dim_param for i in model.graph.input for d in dims_of(i))
    plain = plain_names(model)
    reader = Reader(folder, opsets, weights or {}, promises=promises, plain=plain, told=told)
    graph, _ = read_graph(model.graph, reader)
    graph.header = Header(model.ir_version, opsets, model)
    for proto in model.functions:
        function = read_function(proto, Reader(folder, _opsets(proto.opset_import), refers=True))
        graph.functions[function.name] = function
    if freeze:
        _freeze(graph)
    return graph


def _opsets(said: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in said:
        domain = domain_of(each.domain)
        if found.setdefault(domain, each.version) != each.version:
            raise ModelError(f"the model imports two versions of the domain '{domain}'")
    return found


def _freeze(graph: Graph) -> None:
    for value, const in graph.defaults.items():
        value.const = const
    graph.inputs = tuple(v for v in graph.inputs if v not in graph.defaults)
    graph.defaults = {}
