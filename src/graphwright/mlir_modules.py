"""Modules of MLIR: of the torch dialect, which are read, and of linalg, which graphs leave as."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from graphwright.ir.errors import ModelError
from graphwright.ir.fixed import with_shapes
from graphwright.ir.graph import Graph

if TYPE_CHECKING:
    from graphwright.runtime import Feed, Runtime

ENDING = ".mlir"


def is_module(model: object) -> bool:
    """Whether it is a module of torch-mlir, or the path of a file that holds one."""
    if isinstance(model, str | os.PathLike):
        return os.fspath(model).endswith(ENDING)
    kind = type(model)
    return kind.__name__ == "Module" and kind.__module__.startswith("torch_mlir.")


def load_module(model: Any, program: Any, shapes: Mapping[str, Sequence[int]] | None) -> Graph:
    """The graph of a module of the torch dialect, or of one in a file. Raises ModelError."""
    if find_spec("torch_mlir") is None or find_spec("torch") is None:
        raise ModelError(
            "modules of MLIR are read with torch-mlir and PyTorch, of which one is not installed: "
            "pip install 'graphwright[torch-mlir]'"
        )
    from graphwright.frontends.torch_mlir import load

    graph = load(model, program)
    return with_shapes(graph, shapes) if shapes else graph


def save_module(graph: Graph, path: str | os.PathLike[str], opset: int | None) -> None:
    """Write a graph as a module of linalg. Raises ModelError."""
    from graphwright.backends.mlir import save

    if opset is not None:
        raise ModelError("an MLIR module has no opset")
    save(graph, path)


def check_lowering(graph: Graph, tune: bool) -> None:
    """Raise ModelError, before all work, where a graph cannot leave as a module of linalg."""
    from graphwright.backends.mlir import check_sizes

    if tune:
        raise ModelError("tuning measures ONNX Runtime, and the target mlir does not run there")
    check_sizes(graph)


def compiled(runtime: Runtime, graph: Graph) -> Callable[[Graph, Sequence[Feed]], list[list[Any]]]:
    """What runs `graph` as it leaves, compiled from linalg, and any other on ONNX Runtime.

    Raises ModelError where torch-mlir refuses an operator of `graph`.
    """
    runtime.mlir().check(graph)

    def evaluate(each: Graph, feeds: Sequence[Feed]) -> list[list[Any]]:
        return (runtime.mlir() if each is graph else runtime).evaluate(each, feeds)

    return evaluate
