"""Which element type operands of several types are computed in, as PyTorch has it."""

from __future__ import annotations

from collections.abc import Iterable

from graphwright.frontends.aten.builder import Operand, dtype_of, rank_of
from graphwright.ir.dims import Sym
from graphwright.ir.graph import Value

SCALAR_TYPES = {
    0: "u8", 1: "i8", 2: "i16", 3: "i32", 4: "i64", 5: "f16", 6: "f32", 7: "f64", 9: "c64",
    10: "c128", 11: "bool", 15: "bf16", 23: "f8e5m2", 24: "f8e4m3fn", 27: "u16", 28: "u32",
    29: "u64",
}  # fmt: skip
"""Our element types by PyTorch's numbers of them (c10/core/ScalarType.h)."""

_INTS = ("u8", "i8", "i16", "i32", "i64")
_DEFAULT = {"bool": "bool", "int": "i64", "float": "f32"}


def category(dtype: str) -> str:
    """`bool`, `int` or `float`; a type of a later one wins over one of an earlier."""
    if dtype == "bool":
        return "bool"
    return "int" if dtype[0] in "iu" else "float"


def promoted(*operands: Operand) -> str:
    """The element type that operands have together.

    Numbers count less than scalars, and those less than tensors with axes; what counts less decides
    only where it is of a higher category.
    """
    tensors = [x for x in operands if isinstance(x, Value)]
    ranked = [
        _wider(dtype_of(x) for x in tensors if rank_of(x)),
        _wider(dtype_of(x) for x in tensors if not rank_of(x)),
        _wider(_of_number(x) for x in operands if not isinstance(x, Value)),
    ]
    order = list(_DEFAULT)
    found = ""
    for dtype in ranked:
        higher = dtype and (
            not found or order.index(category(dtype)) > order.index(category(found))
        )
        if higher:
            found = dtype
    return found


def _of_number(x: int | float | Sym) -> str:
    if isinstance(x, bool):
        return "bool"
    return "f32" if isinstance(x, float) else "i64"


def _wider(dtypes: Iterable[str]) -> str:
    found = ""
    for dtype in dtypes:
        found = _both(found, dtype) if found else dtype
    return found


def _both(a: str, b: str) -> str:
    """The type of two tensors together."""
    if a == b:
        return a
    order = list(_DEFAULT)
    if category(a) != category(b):
        return max(a, b, key=lambda d: order.index(category(d)))
    if category(a) == "float":
        return "f32" if {a, b} == {"f16", "bf16"} else max(a, b, key=_bits)
    if "u8" in (a, b):  # the only unsigned type that is promoted
        other = a if b == "u8" else b
        return "i16" if other == "i8" else other
    return max(a, b, key=_bits)


def _bits(dtype: str) -> int:
    return int(dtype.lstrip("bfiuc"))
