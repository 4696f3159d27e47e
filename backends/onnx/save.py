"""A graph written to a file, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx

from graphwright.backends.onnx.tensors import tensor_of
from graphwright.backends.onnx.write import to_proto
from graphwright.ir.const import Const, FileSlice
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.ir.wire import framed

GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9
LIMIT = 2**31 - (1 << 20)  # bytes that a protobuf message may have
ALIGN = 4096
CHUNK = 1 << 24


def save(graph: Graph, path: str | Path, opset: int | None = None) -> None:
    """Write `graph` as an ONNX file; weights go from file to file, not through memory.

    External data stays where it is when that is in the folder written to, and goes to PATH.data
    otherwise. Raises ModelError where the opset asked for is impossible and OSError where a file
    cannot be written; then nothing is.
    """
    path = Path(path)
    proto, weights = to_proto(graph, opset)
    inline, staying, moving = _sorted(weights, path, proto.ByteSize())
    with _temporary(path) as model, _temporary(Path(f"{path}.data")) as data:
        placed = [*((_stay(name, c, path), None) for name, c in staying)]
        if moving:
            with data.open("wb") as file:
                offsets = [_copied(file, c) for _, c in moving]
            location = f"{path.name}.data"
            placed += [
                (_external(name, c, location, offset), None)
                for (name, c), offset in zip(moving, offsets, strict=True)
            ]
        placed += [(_header(name, c), c.where) for name, c in inline]
        with model.open("wb") as file:
            _write_model(file, proto, placed)
        if moving:
            os.replace(data, f"{path}.data")
        os.replace(model, path)


Weight = tuple[str, Const]


def _sorted(
    weights: list[Weight], path: Path, size: int
) -> tuple[list[Weight], list[Weight], list[Weight]]:
    """Weights that go into the model file, those that stay in theirs, and those that are copied."""
    inline, staying, moving = [], [], []
    for weight in weights:
        if not _is_external(weight[1]):
            inline.append(weight)
        elif _inside(weight[1].where, path.parent):
            staying.append(weight)
        else:
            moving.append(weight)
    if size + sum(c.where.length + 64 for _, c in inline if c.where) > LIMIT:
        return [], staying, moving + inline
    return inline, staying, moving


def _is_external(const: Const) -> bool:
    payload = const.payload
    external = onnx.TensorProto.EXTERNAL
    return isinstance(payload, onnx.TensorProto) and payload.data_location == external


def _inside(where: FileSlice | None, folder: Path) -> bool:
    if where is None:
        return False
    return Path(os.path.realpath(where.path)).is_relative_to(os.path.realpath(folder))


def _header(name: str, const: Const) -> onnx.TensorProto:
    """The tensor without data, and without any word on where data lies."""
    header = onnx.TensorProto()
    header.CopyFrom(tensor_of(const, name))
    header.ClearField("external_data")
    header.ClearField("data_location")
    return header


def _external(name: str, const: Const, location: str, offset: int) -> onnx.TensorProto:
    header = _header(name, const)
    header.data_location = onnx.TensorProto.EXTERNAL
    length = const.where.length if const.where else 0
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        header.external_data.add(key=key, value=str(value))
    return header


def _stay(name: str, const: Const, path: Path) -> onnx.TensorProto:
    assert const.where is not None
    folder = os.path.realpath(path.parent)
    location = Path(os.path.realpath(const.where.path)).relative_to(folder).as_posix()
    tensor = tensor_of(const, name)
    said = next((e.value for e in tensor.external_data if e.key == "location"), "")
    if said == location:
        return tensor
    return _external(name, const, location, const.where.offset)


def _copied(file: BinaryIO, const: Const) -> int:
    """Copy a weight to the end of `file`, aligned so that it can be mapped; where it begins."""
    file.write(b"\0" * (-file.tell() % ALIGN))
    start = file.tell()
    for chunk in _chunks(const.where):
        file.write(chunk)
    return start


def _chunks(where: FileSlice | None) -> Iterator[bytes]:
    assert where is not None
    with where.path.open("rb") as source:
        source.seek(where.offset)
        left = where.length
        while left:
            chunk = source.read(min(left, CHUNK))
            if not chunk:
                raise ModelError(f"{where.path} became shorter while it was read")
            left -= len(chunk)
            yield chunk


def _write_model(
    file: BinaryIO,
    proto: onnx.ModelProto,
    weights: Iterable[tuple[onnx.TensorProto, FileSlice | None]],
) -> None:
    graph = proto.graph.SerializeToString(deterministic=True)
    proto.ClearField("graph")
    headers = [(t.SerializeToString(deterministic=True), where) for t, where in weights]
    tails = [b"" if where is None else framed(RAW_DATA, where.length) for _, where in headers]
    frames = []
    for (header, where), tail in zip(headers, tails, strict=True):
        length = len(header) + len(tail) + (0 if where is None else where.length)
        frames.append(framed(INITIALIZER, length))
    total = len(graph) + sum(
        len(f) + len(h) + len(t) + (w.length if w else 0)
        for f, (h, w), t in zip(frames, headers, tails, strict=True)
    )
    file.write(proto.SerializeToString(deterministic=True))
    file.write(framed(GRAPH, total))
    file.write(graph)
    for frame, (header, where), tail in zip(frames, headers, tails, strict=True):
        file.write(frame + header + tail)
        if where is not None:
            for chunk in _chunks(where):
                file.write(chunk)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A free name beside `path`; whatever is there under it at the end goes."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(name, 0o666 & ~mask)  # mkstemp's file is its owner's alone
    try:
        yield Path(name)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)
