"""The sizes of a graph's symbols, read off the arrays that it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from graphwright.ir.dims import Dim, Sym, atoms_of, sym
from graphwright.ir.graph import Graph
from graphwright.ir.substitution import evaluate as number
from graphwright.ir.types import TensorType


def read_sizes(graph: Graph, feed: Mapping[str, Any]) -> dict[str, int]:
    """What each name stands for, as far as the shapes and contents of the inputs tell."""
    found: dict[str, int] = {}
    waiting = [pair for pair in _pairs(graph, feed) if isinstance(pair[0], Sym)]
    while True:
        left = [pair for pair in waiting if not _solved(*pair, found)]
        if len(left) == len(waiting):
            return found
        waiting = left


def _pairs(graph: Graph, feed: Mapping[str, Any]) -> Iterator[tuple[Dim, int]]:
    for value in graph.inputs:
        if value.name not in feed or not isinstance(value.type, TensorType):
            continue
        array = np.asarray(feed[value.name])
        yield from zip(value.type.shape or (), array.shape, strict=False)
        if value.contents is not None:
            dims = value.contents if isinstance(value.contents, tuple) else (value.contents,)
            yield from zip(dims, array.reshape(-1).tolist(), strict=False)


def _solved(dim: Dim, size: int, found: dict[str, int]) -> bool:
    """Whether `dim == size` tells nothing more, after learning the one name that it may tell."""
    unknown = atoms_of(dim) - found.keys()
    if len(unknown) > 1:
        return False
    if unknown:
        name = unknown.pop()
        # Linear in the one unknown: two values tell the slope.
        at = [number(dim, {**found, name: n}) for n in (0, 1)]
        slope = at[1] - at[0]
        if dim != sym(name) and (not slope or (size - at[0]) % slope):
            return False
        found[name] = (size - at[0]) // slope
        if number(dim, found) != size:
            del found[name]
            return False
    return True
