"""Where the large weights of a model go: into its file, beside it, or nowhere else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import onnx

from graphwright.backends.onnx.header import Weight
from graphwright.backends.onnx.stream import Data, Placed, copy, length_of
from graphwright.backends.onnx.tensors import header_of, raw_bytes
from graphwright.ir.const import Const, FileSlice
from graphwright.ir.errors import ModelError

LIMIT = 2**31 - (1 << 20)  # bytes that a protobuf message may have
PAGE, LINE = 4096, 64


def place(
    weights: Sequence[Weight], path: Path, size: int, data: Path
) -> tuple[list[Placed], bool]:
    """The weights as the file at `path` has them, and whether some were written to `data`.

    `size` is that of the rest of the model. What goes to `data`, which becomes PATH.data: external
    data that is not in the folder of `path`, and all where the file would be too large.
    """
    if size > LIMIT:
        raise ModelError(f"{path}: the model is larger than 2 GiB even without its weights")
    inside = sum((c.type.nbytes or 0) + 128 for _, c in weights if not _is_external(c))
    crowded, folder = size + inside > LIMIT, os.path.realpath(path.parent)
    moving = {c for _, c in weights if (not _lies_in(c, folder) if _is_external(c) else crowded)}
    if moving:  # then PATH.data is written anew
        before = os.path.join(folder, f"{path.name}.data")
        moving |= {c for _, c in weights if _is_external(c) and _lies_in(c, before)}
    with data.open("wb") as file:
        beside = _Beside(file, f"{path.name}.data")
        placed = [
            beside.add(name, const) if const in moving else _kept(name, const, folder)
            for name, const in weights
        ]
    return placed, bool(moving)


def _is_external(const: Const) -> bool:
    payload, external = const.payload, onnx.TensorProto.EXTERNAL
    return isinstance(payload, onnx.TensorProto) and payload.data_location == external


def _lies_in(const: Const, place: str) -> bool:
    """Whether external data lies in a folder, or is a file."""
    return const.where is not None and Path(os.path.realpath(const.where.path)).is_relative_to(
        place
    )


def _data(const: Const) -> Data:
    if const.where is not None:
        return const.where
    return raw_bytes(const.load(), const.type.dtype)


def _kept(name: str, const: Const, folder: str) -> Placed:
    if not _is_external(const) or const.where is None:
        return Placed(header_of(const, name), _data(const))
    file = Path(os.path.realpath(const.where.path))
    tensor = onnx.TensorProto()
    tensor.CopyFrom(const.payload)
    tensor.name = name
    said = next((e.value for e in tensor.external_data if e.key == "location"), "")
    if os.path.realpath(os.path.join(folder, said)) != str(file):
        return Placed(_external(name, const, file.relative_to(folder).as_posix(), const.where))
    return Placed(tensor)


def _external(name: str, const: Const, location: str, where: FileSlice) -> onnx.TensorProto:
    header = header_of(const, name)
    header.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (
        ("location", location),
        ("offset", where.offset),
        ("length", where.length),
    ):
        header.external_data.add(key=key, value=str(value))
    return header


class _Beside:
    """A file of weights, which is written as they come."""

    def __init__(self, file: BinaryIO, location: str) -> None:
        self.file, self.location = file, location
        self.have: dict[FileSlice, FileSlice] = {}

    def add(self, name: str, const: Const) -> Placed:
        """Write a weight, aligned so that it can be mapped, unless it was written before."""
        data = _data(const)
        where = self.have.get(data) if isinstance(data, FileSlice) else None
        if where is None:
            length = length_of(data)
            self.file.write(b"\0" * (-self.file.tell() % (PAGE if length >= PAGE else LINE)))
            where = FileSlice(Path(self.location), self.file.tell(), length)
            copy(data, self.file)
            if isinstance(data, FileSlice):
                self.have[data] = where
        return Placed(_external(name, const, self.location, where))
