"""Types, sizes, constants and attributes as text; `graphwright.ir.reading` reads them back."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from graphwright.ir.const import Array, Const
from graphwright.ir.dims import Dim, Sym, written
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, AttrRef, Carried
from graphwright.ir.types import (
    NUMPY,
    OpaqueType,
    OptionalType,
    SequenceType,
    TensorType,
    Type,
)

FORMS = frozenset({"call", "weight", "sym", "ref", "carried", "function"})
"""What looks like an operator in text and is none."""

NUMBERS = {"inf": math.inf, "nan": math.nan}
RESERVED = FORMS | NUMBERS.keys() | NUMPY.keys() | {"Seq", "Opt", "Opaque", "_"}
MAX_LITERAL = 16  # elements that a constant may have to be written out
MAX_CHARACTERS = 64  # ... and characters, where it holds strings


def is_name(name: str) -> bool:
    """Whether `name` can stand in text as it is."""
    return (
        name.isascii()
        and name.isidentifier()
        and not keyword.iskeyword(name)
        and name not in RESERVED
    )


def as_name(name: str, otherwise: str) -> str:
    """`name`, or what is left of it where it cannot stand in text."""
    if is_name(name):
        return name
    left = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    if not left:
        return otherwise
    if left[0].isdigit():
        return f"{otherwise}_{left}"
    return left if is_name(left) else f"{left}_"


def quoted(text: str) -> str:
    """A string as Python reads it, in double quotes where that needs no escape."""
    plain = repr(text)
    return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in plain else plain


def symbol(name: str) -> str:
    """The name of a size."""
    return name if is_name(name) else f"sym({quoted(name)})"


def dim_text(dim: Dim) -> str:
    """A size: `B*S+1`."""
    return str(dim) if isinstance(dim, int) else written(dim, symbol)


def type_text(type_: Type) -> str:
    """A type: `f32[B, 4]`, `f32` for a scalar, `f32[...]` for an unknown rank, `Seq[f32]`."""
    match type_:
        case TensorType(dtype, ()):
            return dtype
        case TensorType(dtype, None):
            return f"{dtype}[...]"
        case TensorType(dtype, shape) if shape is not None:
            return f"{dtype}[{', '.join(map(dim_text, shape))}]"
        case SequenceType(element):
            return f"Seq[{type_text(element)}]"
        case OptionalType(element):
            return f"Opt[{type_text(element)}]"
        case OpaqueType(note):
            return f"Opaque[{quoted(note)}]"
    raise AssertionError(type_)


def number_of(const: Const, dtype: str) -> str | None:
    """A scalar of `dtype` as a bare number, for where its type is clear; None if it is none."""
    if const.type.shape != () or const.type.dtype != dtype or dtype in ("bool", "str"):
        return None
    return _elements(const)


def literal(const: Const) -> str | None:
    """A small constant written out, `i64([1, 2])`; None where that is impossible."""
    elements = _elements(const)
    if elements is None:
        return None
    shape = const.type.shape or ()
    lost = 0 in shape[:-1]  # an empty list does not say what it is a list of
    return f"{const.type.dtype}({'[]' if lost else elements}{f', shape={shape}' if lost else ''})"


def _elements(const: Const) -> str | None:
    shape = const.type.shape
    if shape is None or math.prod(d if isinstance(d, int) else 99 for d in shape) > MAX_LITERAL:
        return None
    try:
        array = const.load()
    except ModelError:
        return None
    if array.dtype == object:
        return _strings(array)
    for plain in (_shortest, _exact):
        listed = _nested(array, plain)
        if array.dtype.kind != "c" and _bits(listed, array.dtype) == array.tobytes():
            return repr(listed)
    return None


def _bits(listed: object, dtype: np.dtype[Any]) -> bytes:
    return np.asarray(listed, dtype).tobytes()


def _nested(array: Array, plain: Callable[[Any], object]) -> object:
    return plain(array[()]) if array.ndim == 0 else [_nested(part, plain) for part in array]


def _strings(array: Array) -> str | None:
    flat = array.reshape(-1).tolist()
    if not all(isinstance(s, str) for s in flat) or sum(map(len, flat)) > MAX_CHARACTERS:
        return None
    return repr(array.tolist()) if array.ndim else quoted(flat[0])


def _shortest(number: Any) -> object:
    """The number with the fewest digits that is nearest to this one and to no other."""
    plain = number.item()
    return float(str(number)) if isinstance(plain, float) else plain


def _exact(number: Any) -> object:
    plain = number.item()
    return plain if plain == plain else math.nan  # text has one NaN, whatever the bits of this one


def single(number: float) -> float:
    """The float32 that a decimal means if it is the shortest one for it, else the float64.

    Attributes of operators are float32, so that 0.1 in text is the 0.1 of the files.
    """
    with np.errstate(over="ignore"):
        near = np.float32(number)
    return float(near) if float(str(near)) == number else number


def float_text(number: float) -> str:
    """An attribute's number, as `single` reads it."""
    with np.errstate(over="ignore"):
        near = np.float32(number)
    return repr(float(str(near)) if float(near) == number else number)


def tuple_text(parts: Iterable[str]) -> str:
    """A tuple of what is written already."""
    written_out = list(parts)
    return f"({', '.join(written_out)}{',' if len(written_out) == 1 else ''})"


def attr_text(attr: Attr, const: Callable[[Const], str], name: Callable[[str], str]) -> str:
    """An attribute; `const` writes tensors and `name` the names of sizes."""
    match attr:
        case bool() | bytes():
            return repr(attr)
        case float():
            return float_text(attr)
        case str():
            return quoted(attr)
        case int() | Sym():
            return written(attr, name)
        case tuple():
            return tuple_text(attr_text(a, const, name) for a in attr)
        case Const():
            return const(attr)
        case Carried(kind, data):
            return f"carried({quoted(kind)}, {data!r})"
        case AttrRef(ref, kind):
            return f"ref({quoted(ref)}, {kind})"
    raise TypeError(f"{attr!r} is no attribute")
