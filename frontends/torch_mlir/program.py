"""What the exported program that a module was made from says of it: names, types and tensors."""

from __future__ import annotations

from typing import Any

import torch

from graphwright.frontends.torch.outputs import output_names
from graphwright.frontends.torch.tensors import Sizes, const_of
from graphwright.frontends.torch_mlir.read import Signature
from graphwright.ir.const import Const
from graphwright.ir.types import TensorType


def signature_of(program: Any) -> Signature:
    """The names of a program's inputs and outputs, and the types of its inputs."""
    wanted = set(program.graph_signature.user_inputs)
    nodes = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in wanted]
    held = [(n.name, n.meta["val"]) for n in nodes if isinstance(n.meta.get("val"), torch.Tensor)]
    sizes = Sizes()
    types = tuple([sizes.type_of(value) for _, value in held])
    return Signature(tuple([name for name, _ in held]), types, tuple(output_names(program)))


def tensors_of(program: Any) -> dict[str, tuple[TensorType, Const]]:
    """The parameters, buffers and constants of a program, by name, over its memory."""
    held = {**program.constants, **program.state_dict}
    tensors = {name: t for name, t in held.items() if isinstance(t, torch.Tensor)}
    made = {name: const_of(tensor) for name, tensor in tensors.items()}
    return {name: (const.type, const) for name, const in made.items()}
