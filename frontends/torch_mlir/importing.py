"""An exported program as a module of the torch dialect, with torch-mlir's importer."""

from __future__ import annotations

from typing import Any

import torch
from torch_mlir import fx, ir
from torch_mlir.compiler_utils import OutputType
from torch_mlir.dialects import torch as torch_dialect
from torch_mlir.extras.fx_importer import FxImporter

from graphwright.frontends.torch.export import taken_apart
from graphwright.ir.errors import ModelError


def imported(program: Any, output: str = "raw") -> Any:
    """The module of a program of torch.export: as it is ("raw"), or simplified ("torch").

    Operators stay whole (softmax, layer_norm, scaled_dot_product_attention), and the program is
    left as it is. Raises ModelError for what torch-mlir cannot import.
    """
    functional = taken_apart(program)
    _bind_tensors(functional)
    context = ir.Context()
    torch_dialect.register_dialect(context)
    importer = FxImporter(context=context)
    try:
        importer.import_stateless_graph(functional.graph, func_name="main")
        return fx._module_lowering(False, False, OutputType.get(output), importer.module)
    except Exception as error:  # it raises what it likes
        said = " ".join(str(error).split())
        raise ModelError(f"torch-mlir cannot import the program: {said[:300]}") from error


def _bind_tensors(program: Any) -> None:
    """Let nodes of the graph give parameters and buffers, in place of inputs.

    torch-mlir's own way puts tensors where nodes were, which it refuses inside of lists of indices,
    and does not find the buffers that a program does not save.
    """
    graph, signature = program.graph, program.graph_signature
    held = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    for i, node in enumerate([n for n in graph.nodes if n.op == "placeholder"]):
        target = held.get(node.name)
        if target is not None:
            tensor = program.state_dict.get(target)
            tensor = program.constants[target] if tensor is None else tensor
            name = f"held_{i}"
            graph.owning_module.register_buffer(name, tensor.detach(), persistent=False)
            for user in list(node.users):
                _read_attribute(graph, user, node, name)
            graph.erase_node(node)


def _read_attribute(graph: Any, user: Any, node: Any, name: str) -> None:
    """Let `user` read an attribute in the place of `node`, by a node of its own at each place.

    torch-mlir imports an attribute once for each reader, and stumbles over the second of a node.
    """

    def given(each: Any) -> Any:
        if each is not node:
            return each
        with graph.inserting_before(user):
            made = graph.get_attr(name)
        made.meta["val"] = node.meta.get("val")
        return made

    user.args = torch.fx.node.map_arg(user.args, given)
    user.kwargs = torch.fx.node.map_arg(user.kwargs, given)
