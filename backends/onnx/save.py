"""A graph written to a file, whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from graphwright.backends.onnx.placing import place
from graphwright.backends.onnx.stream import write_model
from graphwright.backends.onnx.write import to_proto
from graphwright.ir.errors import ModelError
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
    _check(path)
    with uncollected():
        proto, weights = to_proto(graph, opset)
    beside = path.with_name(f"{path.name}.data")
    with _temporary(path) as model, _temporary(beside) as data:
        placed, moved = place(weights, path, proto.ByteSize(), data)
        write_model(model, proto, placed)
        if moved:
            os.replace(data, beside)
        os.replace(model, path)


def _check(path: Path) -> None:
    if not path.parent.is_dir():
        raise ModelError(f"{path}: the folder '{path.parent}' does not exist")
    if path.exists() and not path.is_file():
        raise ModelError(f"{path}: there is something that is not a file")


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A new file beside `path`; whatever is there under its name at the end goes."""
    while True:
        name = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            # With the permissions that any new file has; mkstemp's are its owner's alone.
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            break
        except FileExistsError:
            continue
    try:
        yield name
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)
