"""Constants: data that a graph holds, looked at only when somebody asks."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphwright.ir.errors import ModelError
from graphwright.ir.types import BITS, NAMES, NUMPY, TensorType

Array = np.ndarray[Any, np.dtype[Any]]
SMALL = 256  # bytes
PLURAL = ("str", "c64", "c128")  # types of elements that are more than a number


@dataclass(frozen=True, slots=True)
class FileSlice:
    """`length` bytes of a file from `offset` on: little-endian elements in row-major order."""

    path: Path
    offset: int
    length: int
    stamp: tuple[int, ...] = field(default=(), compare=False, repr=False)

    def check(self) -> None:
        """Raise ModelError when the file is another one than when it was found."""
        if self.stamp and self.stamp != stamp_of(self.path):
            raise ModelError(f"{self.path} has changed since the model was read: load it again")

    def map(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The bytes, mapped and not read; OSError or ValueError when the file is gone or short."""
        if not self.length:
            return np.empty(0, np.uint8)
        self.check()
        return np.memmap(self.path, np.uint8, "r", self.offset, (self.length,))


def stamp_of(path: Path) -> tuple[int, ...]:
    """What changes whenever a file does: which it is, its size and when it was written."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@dataclass(eq=False, slots=True)
class Const:
    """The data of a constant value; moving one touches no byte.

    `where` is set when the data lies in a file as it stands; `payload` is what a front end wants
    back unchanged when the constant is written again (only the back end of the same format looks).
    """

    type: TensorType
    read: Callable[[], Array]
    where: FileSlice | None = None
    payload: object = None
    _key: object = field(default=None, repr=False)
    _small: Array | None = field(default=None, repr=False)
    _number: float | None = field(default=None, repr=False)

    def load(self) -> Array:
        """The elements, read-only; large ones are mapped from their file, small ones kept."""
        if self._small is not None:
            return self._small
        array = self.read()
        array.flags.writeable = False
        if array.nbytes <= SMALL:
            self._small = array
        return array

    def number(self) -> float | None:
        """The number in a constant of one element, a NaN too; None for complex ones and text."""
        if self._number is None and self.type.dtype not in PLURAL:
            self._number = float(self.load().reshape(-1)[0].item())
        return self._number

    def key(self) -> object:
        """Equal only for constants of equal type and content; reads small data, once.

        Data of more than 64 KiB in files is the same only where it is the same place.
        """
        if self._key is None:
            if self.where is not None and self.where.length > 1 << 16:
                self._key = (self.type, self.where)
            else:
                self._key = (self.type, content(self.load()))
        return self._key


def content(array: Array) -> bytes:
    """Equal for arrays of one type and shape that hold the same: their bytes, or a hash of them."""
    data = repr(array.tolist()).encode() if array.dtype == object else array.tobytes()
    return data if len(data) <= 64 else hashlib.sha256(data).digest()


def from_array(array: Array) -> Const:
    """A constant that holds `array`; TypeError for elements that no model has."""
    dtype = np.dtype(object) if array.dtype.kind in "UT" else array.dtype.newbyteorder("=")
    if dtype not in NAMES:
        raise TypeError(f"no constant has elements of the NumPy type {array.dtype}")
    kept = array.astype(dtype, copy=array.flags.writeable)
    kept.flags.writeable = False
    return Const(TensorType(NAMES[dtype], kept.shape), lambda: kept)


def from_slice(type: TensorType, where: FileSlice, payload: object = None) -> Const:
    """A constant whose elements lie in a file, of `type` with a shape of numbers."""

    def read() -> Array:
        data = where.map()
        if type.dtype in BITS:
            return unpacked(data, type)
        dtype = NUMPY[type.dtype].newbyteorder("<") if sys.byteorder == "big" else NUMPY[type.dtype]
        shape = tuple(d for d in type.shape or () if isinstance(d, int))
        if data.flags.aligned and where.offset % dtype.itemsize == 0:
            return data.view(dtype).reshape(shape)
        return np.frombuffer(data.tobytes(), dtype).reshape(shape)

    return Const(type, read, where, payload)


def unpacked(data: np.ndarray[Any, np.dtype[np.uint8]], type: TensorType) -> Array:
    """The elements of fewer than eight bits that files pack, the first in the lowest bits."""
    bits = BITS[type.dtype]
    shape = tuple(d for d in type.shape or () if isinstance(d, int))
    fields = np.stack([(data >> shift) & ((1 << bits) - 1) for shift in range(0, 8, bits)], -1)
    flat = fields.reshape(-1)[: int(np.prod(shape, dtype=np.int64))].astype(np.uint8)
    if type.dtype[0] == "i":
        flat = np.where(flat >= 1 << (bits - 1), flat.astype(np.int8) - (1 << bits), flat)
        return flat.astype(np.int8).astype(NUMPY[type.dtype]).reshape(shape)
    if type.dtype[0] == "u":
        return flat.astype(NUMPY[type.dtype]).reshape(shape)
    return flat.view(NUMPY[type.dtype]).reshape(shape)
