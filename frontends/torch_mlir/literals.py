"""What literals of a module hold, and which of them are tensors of the program it was made from."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphwright.ir.const import Array, Const, content, from_array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Value
from graphwright.ir.types import NUMPY, TensorType

ELIDED = "__elided__"
_BLOB = re.compile(r'([\w$.-]+|"[^"]*"): "0x([0-9A-Fa-f]*)"')
_RESOURCE = re.compile(r'dense_resource<([\w$.-]+|"[^"]*")>')
_NUMBER = re.compile(r"dense<(.*)> :", re.DOTALL)
ALIGNMENT = 4  # bytes that say how a blob is aligned, before it


class Blobs:
    """The data of a module's `dense_resource` literals, read from its text when first asked for."""

    def __init__(self, module: Any, text: str | None) -> None:
        self.module, self.text = module, text
        self.found: dict[str, str] | None = None

    def bytes_of(self, name: str) -> bytes:
        """The bytes of a resource. Raises ModelError where the text has left them out."""
        if self.found is None:
            text = self.module.operation.get_asm() if self.text is None else self.text
            start = text.rfind("dialect_resources:")
            self.found = dict(_BLOB.findall(text, start)) if start >= 0 else {}
            self.text = None
        data = self.found.get(name)
        if data is None:
            raise ModelError(f"the data of '{name}' was left out when the module was printed")
        return bytes.fromhex(data)[ALIGNMENT:]


class Weights:
    """Tensors of the program that a module was made from, by what they hold."""

    def __init__(self, tensors: Mapping[str, tuple[TensorType, Const]]) -> None:
        self.by_type: dict[TensorType, list[tuple[str, Const]]] = {}
        for name, (type_, const) in tensors.items():
            self.by_type.setdefault(type_, []).append((name, const))
        self.keys: dict[TensorType, dict[bytes, Value]] = {}

    def value_of(self, const: Const) -> Value | None:
        """The tensor that holds what `const` does, over the memory of the program."""
        type_ = const.type
        if type_ not in self.keys:
            known = self.keys[type_] = {}
            for name, held in self.by_type.get(type_, ()):
                known.setdefault(content(held.load()), Value(type_, const=held, name=name))
        return self.keys[type_].get(content(const.load()))


def literal(attribute: Any, type_: TensorType, blobs: Blobs) -> Const:
    """The constant that an attribute of elements is. Raises ModelError for one that is not read."""
    text = str(attribute)
    shape = tuple(d for d in type_.shape or () if isinstance(d, int))
    kind = NUMPY[type_.dtype]
    resource = _RESOURCE.match(text)
    if resource is not None:
        name = resource[1]
        if name == ELIDED:
            raise ModelError(
                "the module was printed without its weights (dense_resource<__elided__>)"
            )
        return from_array(_shaped(blobs.bytes_of(name), shape, kind))
    return from_array(_dense(text, shape, kind))


def _shaped(data: bytes, shape: tuple[int, ...], kind: np.dtype[Any]) -> Array:
    """Bytes as elements: all of them, or one for all."""
    many = math.prod(shape)
    if len(data) not in (kind.itemsize, many * kind.itemsize):
        raise ModelError(f"a literal has {len(data)} bytes for {many} elements of {kind}")
    found = np.frombuffer(data, kind)
    return np.broadcast_to(found, shape) if found.size == 1 else found.reshape(shape)


def _dense(text: str, shape: tuple[int, ...], kind: np.dtype[Any]) -> Array:
    """The elements of `dense<...>`: one for all, lists of them, or bytes in hex."""
    found = _NUMBER.match(text)
    if found is None:
        raise ModelError(f"the literal {text[:60]} is not read")
    said = found[1].strip()
    if not said:
        return np.empty(shape, kind)
    if said.startswith('"0x'):
        return _shaped(bytes.fromhex(said[3:-1]), shape, kind)
    try:
        numbers = [_number(each, kind) for each in re.split(r"[\[\],\s]+", said) if each]
    except ValueError:
        raise ModelError(f"the literal {text[:60]} is not read") from None
    array = np.array(numbers, kind)
    return np.full(shape, array[0]) if array.size == 1 else array.reshape(shape)


def _number(text: str, kind: np.dtype[Any]) -> Any:
    if text in ("true", "false"):
        return text == "true"
    if kind.kind in "iub":
        return int(text, 0)
    if text.startswith(("0x", "0X")):  # the bits of a NaN or an infinity
        bits = np.array(int(text, 16), f"u{kind.itemsize}")
        return bits.view(kind).astype(np.float64).item()
    return float(text)
