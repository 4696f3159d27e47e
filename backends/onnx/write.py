"""Our graphs as ONNX's models."""

from __future__ import annotations

import onnx

from graphwright.backends.onnx.draft import Draft
from graphwright.backends.onnx.functions import brought_along
from graphwright.backends.onnx.graphs import write_graph
from graphwright.backends.onnx.header import (
    Weight,
    header_proto,
    import_domains,
    model_of,
)
from graphwright.backends.onnx.names import Scope
from graphwright.backends.onnx.signature import keep_weights
from graphwright.ir.graph import Graph


def to_proto(graph: Graph, opset: int | None = None) -> tuple[onnx.ModelProto, list[Weight]]:
    """The model without its large weights, and those by name, in the order they stand in a file.

    `opset` asks for a newer one than the graph's own. Raises ModelError where that is impossible.
    """
    model = model_of(graph, opset)
    proto = header_proto(graph, model)
    proto.graph.SetInParent()
    draft = Draft(proto.graph, model, Scope())
    write_graph(graph, draft)
    if proto.training_info and isinstance(graph.source, onnx.GraphProto):
        keep_weights(graph.source, (t.name for t in graph.source.initializer), draft)
    proto.functions.extend(brought_along(graph, model, write_graph))
    # One function may stand under several keys.
    made = {f.name: f for f in model.functions.values() if f.name not in model.had_functions}
    proto.functions.extend(made.values())
    import_domains(proto, model)
    return proto, model.weights
