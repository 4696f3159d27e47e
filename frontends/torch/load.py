"""A module, an exported program or a `.pt2` file as a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from graphwright.frontends.torch.export import export, opened, taken_apart
from graphwright.frontends.torch.read import read_program
from graphwright.ir.errors import ModelError
from graphwright.ir.garbage import uncollected
from graphwright.ir.graph import Graph


def is_model(model: object) -> bool:
    """Whether it is a module or an exported program."""
    return isinstance(model, torch.nn.Module | torch.export.ExportedProgram)


def load(
    model: Any,
    example_inputs: Sequence[Any] | Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,
) -> Graph:
    """The graph of a module, of an exported program, or of the `.pt2` file at a path.

    A module is exported with `example_inputs`: a tuple of its arguments, or a mapping of those by
    name. `dynamic_shapes` is what `torch.export.export` takes, where a size may also be a name.
    Parameters are shared with the graph, not copied. Raises ModelError for what cannot be exported,
    and one that lists all operators that have no reading.
    """
    names: dict[int, dict[int, str]] = {}
    if isinstance(model, torch.nn.Module):
        if example_inputs is None:
            raise ModelError("a module is exported with example inputs; give them after the module")
        program, names = export(model, example_inputs, dynamic_shapes)
    elif isinstance(model, torch.export.ExportedProgram):
        program = model
    else:
        program = opened(Path(model))
    with uncollected():
        return read_program(taken_apart(program), names)
