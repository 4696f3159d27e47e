"""Where a model's weights lie, and whether they are too large for the whole to be run here."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from graphwright.ir.const import FileSlice
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph


def weights(graph: Graph) -> set[FileSlice]:
    """Where the constants of a graph lie that lie in files."""
    nodes = [node for _, part in graph.walked() for node in part]
    read = [v.const for node in nodes for v in node.inputs if v is not None]
    consts = {*read, *(v.const for v in graph.outputs if v is not None), *graph.defaults.values()}
    return {const.where for const in consts if const is not None and const.where is not None}


def weight_files(graph: Graph) -> set[Path]:
    """The files, links followed, that constants of a graph lie in."""
    return {Path(os.path.realpath(path)) for path in {w.path for w in weights(graph)}}


def refuse_to_lose(out: Path, read: Iterable[Path]) -> None:
    """Raise ModelError where writing a model to `out` would write over what was `read`."""
    real = os.path.realpath(out)
    for path in (Path(real), Path(f"{real}.data")):
        if path.exists() and any(each.exists() and path.samefile(each) for each in read):
            raise ModelError(
                f"{path} is read here, for weights or data; choose another place to write to"
            )


def too_large(graph: Graph) -> str:
    """Why the whole is not run here; empty when its weights take less than half the memory."""
    size = sum(where.length for where in weights(graph))
    memory = _memory()
    if size <= memory // 2:
        return ""
    return (
        f"the whole was not run: its weights take {size / 2**30:.1f} GiB, more than half of the "
        f"{memory / 2**30:.1f} GiB of memory here; each rewrite was checked on the part it changed"
    )


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 << 30  # not told here
