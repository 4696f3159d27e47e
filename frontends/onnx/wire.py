"""A model file without its large weights: the rest is parsed, the weights stay in the file.

Protobuf's parser would copy every byte. This walks the three levels that lead to a weight's bytes
(ModelProto.graph, GraphProto.initializer, TensorProto.raw_data), cuts the large ones out and says
where they lie.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TypeAlias

import numpy as np

from graphwright.ir.const import FileSlice, stamp_of
from graphwright.ir.errors import ModelError
from graphwright.ir.wire import framed

GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9
TRAINING, QUANTIZATION = 20, 14  # where a model speaks of weights that no node may read
WEIGHTS = frozenset({INITIALIZER, QUANTIZATION})
LARGE = 1 << 12
Field: TypeAlias = tuple[int, int, int, int]  # number, start of the tag, start of the content, end


def skeleton(path: Path) -> tuple[bytes, dict[int, FileSlice]]:
    """The bytes of a model without its large weights, and where those are, by initializer.

    Raises ModelError when the file is not a protobuf, OSError when it cannot be read.
    """
    found = path.stat()
    if not (S_ISREG(found.st_mode) or S_ISDIR(found.st_mode)):
        raise ModelError(f"{path}: the model has to be a file, and this is none")
    if not found.st_size:
        raise ModelError(f"{path}: the file is empty, so it is not an ONNX model")
    data = memoryview(np.memmap(path, np.uint8, "r"))  # type: ignore[arg-type]
    try:
        return _without_weights(data, path)
    except (IndexError, ValueError) as error:
        raise ModelError(f"{path}: not an ONNX model, or cut short ({error})") from None


def _without_weights(data: memoryview, path: Path) -> tuple[bytes, dict[int, FileSlice]]:
    pieces: list[bytes | memoryview] = []
    weights: dict[int, FileSlice] = {}
    kept = 0
    whole = list(fields(data, 0, len(data)))
    graphs = [f for f in whole if f[0] == GRAPH]
    if len(graphs) != 1:
        raise ModelError(
            f"{path}: not an ONNX model, or damaged (it has {len(graphs)} graphs, not 1)"
        )
    _, tag, start, end = graphs[0]
    if any(f[0] == TRAINING for f in whole):
        return bytes(data), {}
    stamp = stamp_of(path)
    for index, (number, at, inner, stop) in enumerate(fields(data, start, end, WEIGHTS)):
        if number == QUANTIZATION:
            return bytes(data), {}
        cut = _raw_data(data, inner, stop) if stop - inner > LARGE else None
        if cut is not None:
            raw_tag, raw_start, raw_end = cut
            weights[index] = FileSlice(path, raw_start, raw_end - raw_start, stamp)
            body = [data[inner:raw_tag], data[raw_end:stop]]
            length = sum(map(len, body))
            pieces += [data[max(kept, start) : at], framed(INITIALIZER, length), *body]
            kept = stop
    if not weights:
        return bytes(data), {}
    pieces.append(data[kept:end])
    length = sum(map(len, pieces))
    return b"".join([data[:tag], framed(GRAPH, length), *pieces, data[end:]]), weights


def _raw_data(data: memoryview, start: int, end: int) -> tuple[int, int, int] | None:
    found = [f for f in fields(data, start, end) if f[0] == RAW_DATA]
    return found[0][1:] if len(found) == 1 and found[0][3] - found[0][2] > LARGE else None


def fields(
    data: memoryview, at: int, end: int, wanted: frozenset[int] | None = None
) -> Iterator[Field]:
    """The fields of the message in `data[at:end]`, or those of them that are `wanted`.

    Raises ValueError or IndexError where the message is damaged.
    """
    while at < end:
        tag = at
        number = data[at]
        at += 1
        if number & 0x80:
            number, at = _long_varint(data, at, number)
        kind, number = number & 7, number >> 3
        if kind == 2:
            length = data[at]
            at += 1
            if length & 0x80:
                length, at = _long_varint(data, at, length)
            start, at = at, at + length
        elif kind == 0:
            start = at
            while data[at] & 0x80:
                at += 1
            at += 1
        elif kind in (1, 5):
            start, at = at, at + (8 if kind == 1 else 4)
        else:
            raise ValueError(f"a field of kind {kind} at byte {tag}")
        if at > end or not number:
            raise ValueError(f"a field at byte {tag} is longer than what holds it")
        if wanted is None or number in wanted:
            yield number, tag, start, at


def _long_varint(data: memoryview, at: int, first: int) -> tuple[int, int]:
    value, shift = first & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(f"a number of more than 64 bits at byte {at}")
