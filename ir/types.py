"""What a value is: an element type and a shape, or ONNX's sequences, optionals and the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

from graphwright.ir.dims import Dim, is_open

NUMPY: dict[str, np.dtype[Any]] = {
    name: np.dtype(kind)
    for name, kind in {
        "f16": np.float16,
        "f32": np.float32,
        "f64": np.float64,
        "bf16": ml_dtypes.bfloat16,
        "i8": np.int8,
        "i16": np.int16,
        "i32": np.int32,
        "i64": np.int64,
        "u8": np.uint8,
        "u16": np.uint16,
        "u32": np.uint32,
        "u64": np.uint64,
        "bool": np.bool_,
        "c64": np.complex64,
        "c128": np.complex128,
        "str": np.object_,
        "f8e4m3fn": ml_dtypes.float8_e4m3fn,
        "f8e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
        "f8e5m2": ml_dtypes.float8_e5m2,
        "f8e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
        "f8e8m0": ml_dtypes.float8_e8m0fnu,
        "f4e2m1": ml_dtypes.float4_e2m1fn,
        "i4": ml_dtypes.int4,
        "u4": ml_dtypes.uint4,
        "i2": ml_dtypes.int2,
        "u2": ml_dtypes.uint2,
    }.items()
}
"""The NumPy type of each element type, by the short name used in text and in rules."""

NAMES: dict[np.dtype[Any], str] = {dtype: name for name, dtype in NUMPY.items()}
FLOATS = frozenset({"f16", "bf16", "f32", "f64"})
INTS = frozenset({"i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"})
BITS: dict[str, int] = {"i4": 4, "u4": 4, "f4e2m1": 4, "i2": 2, "u2": 2}
"""Element types that files pack: bits an element."""

WIDTHS = {name: BITS.get(name, kind.itemsize * 8) for name, kind in NUMPY.items()}
"""Bits an element, of every element type."""


@dataclass(frozen=True, slots=True)
class TensorType:
    """An element type and a shape; a shape of None has an unknown rank.

    Written `f32[B, 4]`, `f32` for a scalar and `f32[...]` where the rank is unknown.
    """

    dtype: str
    shape: tuple[Dim, ...] | None = None

    def admits(self, other: Type) -> bool:
        """Whether a value of type `other` may stand where this type was promised.

        Of a size that is open nothing was promised, so any may stand there.
        """
        if not isinstance(other, TensorType) or self.dtype != other.dtype:
            return False
        if self.shape is None or self.shape == other.shape:
            return True
        if other.shape is None or len(self.shape) != len(other.shape):
            return False
        pairs = zip(self.shape, other.shape, strict=True)
        return all(a == b or is_open(a) for a, b in pairs)

    @property
    def rank(self) -> int | None:
        """The number of axes, where known."""
        return None if self.shape is None else len(self.shape)

    @property
    def nbytes(self) -> int | None:
        """The bytes it takes in a file, where every size is known."""
        count = 1
        for dim in self.shape if self.shape is not None else (None,):
            if not isinstance(dim, int):
                return None
            count *= dim
        return (count * WIDTHS[self.dtype] + 7) // 8

    def __str__(self) -> str:
        if self.shape == ():
            return self.dtype
        dims = "..." if self.shape is None else ", ".join(map(str, self.shape))
        return f"{self.dtype}[{dims}]"


@dataclass(frozen=True, slots=True)
class SequenceType:
    """A sequence of values of one type."""

    element: Type

    def admits(self, other: Type) -> bool:
        """Whether a value of type `other` may stand where this type was promised."""
        return isinstance(other, SequenceType) and self.element.admits(other.element)

    def __str__(self) -> str:
        return f"Seq[{self.element}]"


@dataclass(frozen=True, slots=True)
class OptionalType:
    """A value of one type, or nothing."""

    element: Type

    def admits(self, other: Type) -> bool:
        """Whether a value of type `other` may stand where this type was promised."""
        return isinstance(other, OptionalType) and self.element.admits(other.element)

    def __str__(self) -> str:
        return f"Opt[{self.element}]"


@dataclass(frozen=True, slots=True)
class OpaqueType:
    """A type that rules do not speak of, or none known: `note` says what is known of it."""

    note: str = "?"

    def admits(self, other: Type) -> bool:
        """Whether a value of type `other` may stand here: nothing is promised, so anything may."""
        return True

    def __str__(self) -> str:
        return f"Opaque[{self.note!r}]"


Type: TypeAlias = TensorType | SequenceType | OptionalType | OpaqueType
UNKNOWN = OpaqueType()
