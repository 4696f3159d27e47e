"""Models whose attentions are kernels in Triton: in memory, and as folders that stand alone."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.torch_models import need_torch

if TYPE_CHECKING:
    from types import ModuleType

    from graphwright.runtime import Feed, Runtime
    from graphwright.verification.data import Data

log = logging.getLogger("graphwright")
MISSING = (
    "Triton is not installed (pip install 'graphwright[triton]'), so PyTorch computes attention"
)


def compile(
    model: Graph | str | os.PathLike[str],
    *,
    target: str = "triton",
    data: Data | None = None,
    verify: bool = True,
) -> Any:
    """A torch.nn.Module that computes `model`, optimized, its attentions as kernels in Triton.

    It takes the model's inputs in their order or by name; move it to a GPU as any module. There
    kernels run, each one sweep or more over the keys, whatever makes the weights; on a CPU, and
    where an attention has no kernel, which is logged, PyTorch computes it. Gradients of softmax
    have kernels, others are those of what PyTorch computes. Raises ModelError for other targets,
    without PyTorch, for operators that have no form there, and where the optimized model does not
    verify.
    """
    if target != "triton":
        raise ModelError(f"there is nothing to compile for the target '{target}', only for triton")
    need_torch("made")
    from graphwright.api import optimize

    result = optimize(model, target=target, data=data, verify=verify)
    if not result.report.ok:
        raise ModelError("the optimized model is not the same function, so it is not given")
    module, notes = module_of(result.graph)
    for note in notes:
        log.warning("%s", note)
    return module


def module_of(graph: Graph) -> tuple[Any, list[str]]:
    """The module of a graph, and what a user should know of it. Raises ModelError."""
    from graphwright.backends.triton.torch_module import with_kernels

    made = with_kernels(graph, kernel_of)
    return made.module, [*_left(made.left), *([] if _has_triton() else [MISSING])]


def kernel_of(source: str) -> ModuleType | None:
    """The module of a kernel's text, or None where Triton is not installed."""
    from graphwright.backends.triton.loading import loaded

    return loaded(source) if _has_triton() else None


def check_target(tune: bool) -> None:
    """Raise ModelError, before all work, where nothing can leave for Triton."""
    need_torch("made")
    if tune:
        raise ModelError("tuning measures ONNX Runtime, and the target triton does not run there")


def save_folder(graph: Graph, folder: Path) -> list[str]:
    """Write a graph as a folder, whole or not at all; what a user should know of it.

    Raises ModelError and OSError.
    """
    from graphwright.backends.triton.folder import write_folder

    made = write_folder(graph, folder)
    count = len(made.sources)
    said = [f"{count} kernel{'' if count == 1 else 's'} in {folder / 'kernels'}"]
    return [*said, *_left(made.left), *([] if _has_triton() else [MISSING])]


def running(runtime: Runtime, graph: Graph) -> Callable[[Graph, Sequence[Feed]], list[list[Any]]]:
    """What runs `graph` as the module that it leaves as, and any other on ONNX Runtime.

    Where there is no GPU, PyTorch computes its attentions. Raises ModelError.
    """
    import torch

    from graphwright.backends.torch.weights import const_of, tensor_of
    from graphwright.ir.const import from_array
    from graphwright.passes.shapes import dtype_of

    module, _ = module_of(graph)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    module = module.to(device)
    names = [v.name for v in graph.inputs if v not in graph.defaults]
    dtypes = [dtype_of(v) for v in graph.outputs if v is not None]

    def run(feed: Feed) -> list[Any]:
        with torch.no_grad():
            given = [tensor_of(from_array(np.asarray(feed[name]))) for name in names]
            found = module(*(x.to(device) for x in given))
        results = found if isinstance(found, tuple) else (found,)
        return [const_of(x, dtype).load() for x, dtype in zip(results, dtypes, strict=True)]

    def evaluate(each: Graph, feeds: Sequence[Feed]) -> list[list[Any]]:
        if each is not graph:
            return runtime.evaluate(each, feeds)
        try:
            return [run(feed) for feed in feeds]
        except RuntimeError as error:
            raise ModelError(f"PyTorch refuses it: {error}") from None

    return evaluate


def _has_triton() -> bool:
    return find_spec("triton") is not None


def _left(left: Sequence[tuple[str, str]]) -> list[str]:
    return [f"the attention at {where} is left to PyTorch: {why}" for where, why in left]
