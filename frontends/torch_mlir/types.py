"""The types of the torch dialect, which have no class in Python, read from their text."""

from __future__ import annotations

import re
from collections.abc import Callable

from graphwright.ir.dims import Dim
from graphwright.ir.errors import ModelError
from graphwright.ir.types import UNKNOWN, TensorType, Type

ELEMENTS = {
    "f16": "f16",
    "f32": "f32",
    "f64": "f64",
    "bf16": "bf16",
    "i1": "bool",
    "si8": "i8",
    "si16": "i16",
    "si32": "i32",
    "si64": "i64",
    "i8": "i8",
    "i16": "i16",
    "i32": "i32",
    "i64": "i64",
    "ui8": "u8",
    "ui16": "u16",
    "ui32": "u32",
    "ui64": "u64",
    "complex<f32>": "c64",
    "complex<f64>": "c128",
    "f8E4M3FN": "f8e4m3fn",
    "f8E5M2": "f8e5m2",
    "f8E4M3FNUZ": "f8e4m3fnuz",
    "f8E5M2FNUZ": "f8e5m2fnuz",
}
"""Our names of MLIR's element types."""

_TENSOR = re.compile(r"!torch\.v?tensor(?:<(?:(\*)|\[([^\]]*)\]),([^,]+)(?:,.*)?>)?")
Unknown = Callable[[int], Dim]
"""The size of an axis that a type does not tell."""


def is_tensor(text: str) -> bool:
    """Whether a type is one of a tensor, mutable or not."""
    return _TENSOR.fullmatch(text) is not None


def is_list(text: str) -> bool:
    """Whether a type is one of several values."""
    return text.startswith(("!torch.list<", "!torch.tuple<"))


def read_type(text: str, unknown: Unknown) -> Type:
    """`!torch.vtensor<[2,?],f32>` as `f32[2, ...]`, with what `unknown` gives for each `?`.

    Raises ModelError for element types that no graph has.
    """
    found = _TENSOR.fullmatch(text)
    if found is None or found[3] is None or found[3] == "unk":
        return UNKNOWN
    dtype = ELEMENTS.get(found[3])
    if dtype is None:
        raise ModelError(f"the element type {found[3]} is not read")
    if found[1]:
        return TensorType(dtype)
    dims = found[2].split(",") if found[2] else []
    return TensorType(
        dtype, tuple([unknown(i) if dim == "?" else int(dim) for i, dim in enumerate(dims)])
    )
