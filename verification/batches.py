"""Many small graphs as one, so that one session runs them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from graphwright.ir.cut import cut
from graphwright.ir.dims import Dim, sym
from graphwright.ir.graph import Graph, Value
from graphwright.ir.ops import return_node
from graphwright.ir.types import TensorType, Type

COUNT = 64
BYTES = 256 << 20
GUESS = 8  # what a size that is not known counts for
RANK = 3  # what a tensor of unknown rank is taken to have
RUNS = 8  # inputs are made several times
T = TypeVar("T")


@dataclass(frozen=True)
class Merged:
    """Graphs side by side; `inputs` and `outputs` say how many each has."""

    graph: Graph
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def merged(graphs: Sequence[Graph]) -> Merged:
    """A copy of all of `graphs` as one graph, whose inputs are named by number."""
    inputs: list[Value] = []
    outputs: list[Value] = []
    for graph in graphs:
        copy = cut([v for v in graph.outputs if v is not None], graph.inputs)
        copy.result.detach()
        for node in copy.nodes():
            node.name = ""  # the same node may stand in several parts
        inputs += copy.inputs
        outputs += [v for v in copy.outputs if v is not None]
    for i, value in enumerate(inputs):
        value.name = f"in{i}"
        value.type = _ranked(value)
    names = [f"out{i}" for i in range(len(outputs))]
    functions = {name: function for g in graphs for name, function in g.functions.items()}
    graph = Graph("parts", tuple(inputs), return_node(outputs, names), (), graphs[0].header)
    graph.functions = functions
    counts = ([len(g.inputs) for g in graphs], [len(g.outputs) for g in graphs])
    return Merged(graph, tuple(counts[0]), tuple(counts[1]))


def _ranked(value: Value) -> Type:
    """The type of a value; where its rank is not known, one that its readers may want."""
    type_ = value.type
    if not isinstance(type_, TensorType) or type_.shape is not None:
        return type_
    perms = (use.node.attrs.get("perm") for use in value.uses)
    rank = next((len(perm) for perm in perms if isinstance(perm, tuple)), RANK)
    return TensorType(type_.dtype, tuple(sym(f"{value.name} axis {i}") for i in range(rank)))


def parts(whole: Sequence[T], counts: Sequence[int]) -> Iterator[Sequence[T]]:
    """`whole` cut into pieces of `counts` elements."""
    at = 0
    for count in counts:
        yield whole[at : at + count]
        at += count


def batched(sized: Sequence[tuple[T, int]]) -> Iterator[list[T]]:
    """The first of each pair, in batches that are bounded in number and in bytes."""
    batch: list[T] = []
    total = 0
    for each, nbytes in sized:
        if batch and (len(batch) == COUNT or total + nbytes > BYTES):
            yield batch
            batch, total = [], 0
        batch.append(each)
        total += nbytes
    if batch:
        yield batch


def weight(graph: Graph) -> int:
    """About how many bytes it takes to run `graph`: its constants, and inputs of several runs."""
    constants = {
        v: v.type for n in graph.nodes() for v in n.operands() if v is not None and v.const
    }
    held = sum(_nbytes(type_) for type_ in constants.values() if isinstance(type_, TensorType))
    return held + RUNS * sum(
        _nbytes(v.type) for v in graph.inputs if isinstance(v.type, TensorType)
    )


def _nbytes(type_: TensorType) -> int:
    shape: tuple[Dim, ...] = tuple(d if isinstance(d, int) else GUESS for d in type_.shape or ())
    return TensorType(type_.dtype, shape).nbytes or 0
