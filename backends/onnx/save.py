"""A graph written to a file, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from graphwright.backends.onnx.placing import place
from graphwright.backends.onnx.stream import write_model
from graphwright.backends.onnx.write import to_proto
from graphwright.backends.temporary import check_place, temporary
from graphwright.ir.garbage import uncollected
from graphwright.ir.graph import Graph


def save(graph: Graph, path: str | Path, opset: int | None = None) -> None:
    """Write `graph` as an ONNX file; weights go from file to file, not through memory.

    Where `path` is a link, what it points to is written. External data stays where it is when that
    is in the folder written to, and goes to PATH.data otherwise. Raises ModelError where the opset
    or the place asked for is impossible, and OSError where a file cannot be written; then nothing
    is.
    """
    path = Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)
    check_place(path)
    with uncollected():
        proto, weights = to_proto(graph, opset)
    beside = path.with_name(f"{path.name}.data")
    with temporary(path) as model, temporary(beside) as data:
        placed, moved = place(weights, path, proto.ByteSize(), data)
        write_model(model, proto, placed)
        if moved:
            os.replace(data, beside)
        os.replace(model, path)
