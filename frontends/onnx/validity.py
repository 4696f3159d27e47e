"""Whether a model is valid ONNX, asked when no runtime will run it."""

from __future__ import annotations

import onnx
import onnx.checker

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
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx", "ai.onnx.ml"):
            continue
        try:
            onnx.checker.check_node(node, context)
        except onnx.checker.ValidationError as error:
            said = " ".join(str(error).split()).partition(" Bad node spec")[0]
            return f"the node '{node.name or node.op_type}' is no valid ONNX: {said}"
    return ""
