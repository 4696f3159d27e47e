"""The target mlir: graphs that leave as modules of linalg, and are checked as those."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph

if TYPE_CHECKING:
    from graphwright.runtime import Feed, Runtime

ENDING = ".mlir"


def is_module(path: str | os.PathLike[str]) -> bool:
    """Whether a path is one of an MLIR module."""
    return os.fspath(path).endswith(ENDING)


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
