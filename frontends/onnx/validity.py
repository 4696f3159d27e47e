"""Whether a model is valid ONNX, asked when no runtime will run it."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
import onnx.checker

from graphwright.frontends.onnx.calls import bodies_of
from graphwright.ir.graph import Graph


def first_fault(graph: Graph) -> str:
    """What is wrong with the first node that is no valid ONNX, as a sentence; empty if none is.

    Operators of domains that the installed onnx does not know are not judged.
    """
    header = graph.header
    model = header.source if header is not None else None
    if not isinstance(model, onnx.ModelProto):
        return ""
    context = onnx.checker.DEFAULT_CONTEXT.__class__()
    context.ir_version = model.ir_version
    context.opset_imports = {o.domain: o.version for o in model.opset_import}
    return _fault_among(model.graph.node, context)


def _fault_among(nodes: Iterable[onnx.NodeProto], context: onnx.checker.C.CheckerContext) -> str:
    for node in nodes:
        bodies = list(bodies_of(node))
        for body in bodies:
            if found := _fault_among(body.node, context):
                return found
        # The checker takes what a body reads from outside for something that nothing gives.
        if bodies or node.domain not in ("", "ai.onnx", "ai.onnx.ml"):
            continue
        try:
            onnx.checker.check_node(node, context)
        except onnx.checker.ValidationError as error:
            said = " ".join(str(error).split()).partition(" Bad node spec")[0]
            return f"the node '{node.name or node.op_type}' is no valid ONNX: {said}"
    return ""
