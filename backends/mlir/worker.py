"""torch-mlir in a child process, which its passes, and what they compile, may end."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from graphwright.backends.child import Child, answer_calls
from graphwright.backends.mlir.pack import Packed, Shapes, constant_of, pack, typed, with_literals
from graphwright.backends.temporary import check_place, temporary
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.ir.types import TensorType

Feed: TypeAlias = Mapping[str, Any]
MISSING = "torch-mlir is not installed; it comes with: pip install 'graphwright[torch-mlir]'"


class Mlir(Child):
    """A child process that lowers and runs graphs; started at the first call, ended by `stop`."""

    def __init__(self) -> None:
        super().__init__("graphwright.backends.mlir.worker", "torch-mlir")

    def evaluate(self, graph: Graph, feeds: Sequence[Feed]) -> list[list[Any]]:
        """The outputs of `graph` for each set of inputs, compiled for the shapes of each.

        Raises ModelError where torch-mlir is missing, refuses an operator, fails or crashes.
        """
        _require()
        found: list[list[Any]] = [[] for _ in feeds]
        for shapes, places in _alike(feeds):
            arrays = [{name: feeds[i][name] for name in shapes} for i in places]
            outputs = self.call("evaluate", pack(graph, shapes), arrays)
            for i, each in zip(places, outputs, strict=True):
                found[i] = each
        return found

    def check(self, graph: Graph) -> None:
        """Raise ModelError where torch-mlir does not lower `graph` to linalg."""
        _require()
        self.call("check", pack(graph, check_sizes(graph)))

    def write(self, graph: Graph, path: Path) -> None:
        """Write the linalg module of `graph` to `path`. Raises ModelError, as `evaluate`."""
        _require()
        self.call("write", pack(graph, check_sizes(graph)), str(path))


def _alike(feeds: Sequence[Feed]) -> Iterator[tuple[Shapes, list[int]]]:
    """The shapes that there are, each with the places of the feeds that have them."""
    found: dict[object, tuple[Shapes, list[int]]] = {}
    for i, feed in enumerate(feeds):
        shapes = {name: np.shape(array) for name, array in feed.items() if array is not None}
        found.setdefault(tuple(sorted(shapes.items())), (shapes, []))[1].append(i)
    yield from found.values()


def save(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write `graph` as a module of linalg on tensors, whole or not at all.

    Raises ModelError where a size is open, torch-mlir is missing or refuses an operator, and
    OSError where the file cannot be written.
    """
    place = Path(os.path.realpath(path))
    check_place(place)
    with temporary(place) as made, Mlir() as mlir:
        mlir.write(graph, made)
        os.replace(made, place)


def check_sizes(graph: Graph) -> Shapes:
    """The shapes of a graph's inputs. Raises ModelError where one is not made of numbers."""
    found = {}
    for value in graph.inputs:
        if value not in graph.defaults:
            if not isinstance(value.type, TensorType):
                raise ModelError(
                    f"torch-mlir cannot take the input '{value.name}': it is no tensor"
                )
            shape = value.type.shape
            dims = tuple(d for d in shape or () if isinstance(d, int))
            if shape is None or len(dims) < len(shape):
                raise ModelError(
                    f"the shape of the input '{value.name}' is open ({value.type}), and an MLIR "
                    f"module is written for one: give it, as in --shape {value.name}=1x128"
                )
            found[value.name] = dims
    return found


def _require() -> None:
    if importlib.util.find_spec("torch_mlir") is None:
        raise ModelError(MISSING)


def evaluate(packed: Packed, feeds: Sequence[Feed]) -> list[list[Any]]:
    """In the child: the outputs for each of several sets of inputs of one shape."""
    from onnx.helper import tensor_dtype_to_np_dtype

    from graphwright.backends.mlir.engine import Engine
    from graphwright.backends.mlir.lowering import linalg

    proto = typed(packed)
    kept = {tensor.name for tensor in proto.graph.initializer}
    names = [info.name for info in proto.graph.input if info.name not in kept]
    types = [info.type.tensor_type.elem_type for info in proto.graph.output]
    engine = Engine(linalg(proto), [tensor_dtype_to_np_dtype(type_) for type_ in types])
    weights = {weight[0]: constant_of(weight).load() for weight in packed.weights}
    return [engine.run([{**weights, **feed}[name] for name in names]) for feed in feeds]


def check(packed: Packed) -> bool:
    """In the child: lower the module to linalg, and let it go."""
    from graphwright.backends.mlir.lowering import linalg

    linalg(typed(packed))
    return True


def write(packed: Packed, path: str) -> bool:
    """In the child: write the module with all weights as literals."""
    from graphwright.backends.mlir.lowering import linalg

    module = linalg(with_literals(packed))
    with open(path, "w", encoding="utf-8") as file:
        module.operation.print(file=file, enable_debug_info=True)
    return True


if __name__ == "__main__":
    answer_calls({"evaluate": evaluate, "check": check, "write": write})
