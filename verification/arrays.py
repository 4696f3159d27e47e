"""Arrays for the inputs of a graph, each made for what the input is read for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphwright.ir.const import Array
from graphwright.ir.dims import Dim, Sym, atoms_of
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node, Use, Value
from graphwright.ir.substitution import evaluate
from graphwright.ir.types import FLOATS, INTS, NUMPY, TensorType
from graphwright.verification.masks import Rng, added, visible
from graphwright.verification.roles import Role, role_of

FEW = 8  # how many different numbers an integer input holds of which nothing is known
WORDS = np.array(["one", "another", "", "ÄÖ"], object)
SCALES = {"large": 50.0, "tiny": 1e-3, "zero": 0.0}
LARGEST = 1 << 26  # elements


@dataclass(frozen=True)
class Slot:
    """An input that an array is to be made for; `kind` says in a word what it is read for."""

    value: Value
    role: Role
    kind: str
    dtype: str
    dims: tuple[Dim, ...]


def slots_of(graph: Graph) -> list[Slot]:
    """One slot for each input that has no default.

    Raises ModelError for sequences, optionals and inputs whose rank is not known.
    """
    return [_slot(graph, v) for v in graph.inputs if v not in graph.defaults]


def _slot(graph: Graph, value: Value) -> Slot:
    type_ = value.type
    if not isinstance(type_, TensorType):
        raise ModelError(f"no value of type {type_} can be made for the input '{value.name}'")
    if type_.shape is None:
        raise ModelError(
            f"the input '{value.name}' has no shape, so that no array can be made for it"
        )
    role = role_of(graph, value)
    return Slot(value, role, _kind(value, type_.dtype, role), type_.dtype, type_.shape)


def _kind(value: Value, dtype: str, role: Role) -> str:
    """The first that fits; what readers do counts for more than the name."""
    named = "mask" in value.name.lower()
    if not value.uses:
        return "unread"  # what counts is its shape
    if value.contents is not None:
        return "contents"
    if dtype in FLOATS:
        is_bias = role.is_bias or (named and not role.is_mask)
        return "bias" if is_bias else "mask" if role.is_mask and named else "float"
    if dtype == "bool":
        return "mask"
    if dtype not in INTS:
        return "other"
    if role.bounds and not named:
        return "position" if "position" in value.name.lower() else "index"
    if role.is_mask or named:
        return "mask"
    if role.sizes:
        return "size"
    return "position" if "position" in value.name.lower() else "integer"


def largest(slots: Sequence[Slot], sizes: Mapping[str, int]) -> int:
    """The elements of the largest array whose shape `sizes` have a say in."""
    open_ = [s.dims for s in slots if not all(isinstance(d, int) for d in s.dims)]
    return max((math.prod(evaluate(d, sizes) for d in dims) for dims in open_), default=0)


def array_for(slot: Slot, sizes: Mapping[str, int], numbers: str, padding: str, rng: Rng) -> Array:
    """An array: floats as `numbers` says, masks as `padding` does, of shapes as `sizes` tell.

    Raises ModelError where the shape comes out negative or far too large.
    """
    shape = tuple(evaluate(dim, sizes) for dim in slot.dims)
    if min(shape, default=0) < 0 or np.prod(shape, dtype=np.float64) > LARGEST:
        raise ModelError(f"the input '{slot.value.name}' cannot have the shape {list(shape)}")
    match slot.kind:
        case "contents":
            return _contents(slot, shape, sizes)
        case "mask":
            return visible(padding, shape, rng).astype(NUMPY[slot.dtype])
        case "bias" if padding:
            return added(visible(padding, shape, rng), padding, slot.dtype)
        case "index" | "position" | "integer":
            return _integers(slot, shape, sizes, rng)
        case "size":
            return _sizing(*slot.role.sizes[0], shape, sizes).astype(NUMPY[slot.dtype])
        case "float" | "bias":
            return floats(numbers, shape, slot.dtype, rng)
        case "unread":
            return np.zeros(shape, NUMPY[slot.dtype])
    return _others(slot.dtype, shape, rng)


def floats(numbers: str, shape: tuple[int, ...], dtype: str, rng: Rng) -> Array:
    """Normally distributed numbers, scaled, made positive, or with some of them infinite."""
    found = np.asarray(rng.standard_normal(shape)) * SCALES.get(numbers, 1.0)
    if numbers == "positive":
        found = np.abs(found)
    if numbers == "infinite":
        found = np.where(rng.random(shape) < 0.2, np.copysign(np.inf, found), found)
    return np.asarray(found).astype(NUMPY[dtype])


def _contents(slot: Slot, shape: tuple[int, ...], sizes: Mapping[str, int]) -> Array:
    contents = slot.value.contents
    dims = contents if isinstance(contents, tuple) else (contents,)
    found = np.array([evaluate(d, sizes) for d in dims if isinstance(d, int | Sym)], object)
    if slot.dtype == "i64":  # it wraps around
        found = (found + (1 << 63)) % (1 << 64) - (1 << 63)
    return found.astype(NUMPY[slot.dtype]).reshape(shape)


def _integers(slot: Slot, shape: tuple[int, ...], sizes: Mapping[str, int], rng: Rng) -> Array:
    low, high = _limits(slot, sizes)
    if slot.kind == "position" and shape:
        start = int(rng.integers(low, max(low + 1, high - shape[-1] + 2)))
        found = np.broadcast_to(np.minimum(start + np.arange(shape[-1]), high), shape)
        return found.astype(NUMPY[slot.dtype])
    found = np.asarray(rng.integers(low, high + 1, shape))
    flat = found.reshape(-1)
    special = [low, high, *(n for n in slot.role.compared if low <= n <= high)]
    if flat.size > 2 * len(special):
        flat[rng.permutation(flat.size)[: len(special)]] = special
    return found.astype(NUMPY[slot.dtype])


def _limits(slot: Slot, sizes: Mapping[str, int]) -> tuple[int, int]:
    """The least and the greatest index that points into every table it is used on."""
    low, high = 0, np.iinfo(np.int64).max
    for bound in slot.role.bounds:
        try:
            size = evaluate(bound.size, sizes)
        except KeyError:  # a size that is known only inside
            size = 1
        low = max(low, -(bound.low // bound.scale))
        high = min(high, (size - 1 - bound.high) // bound.scale)
    if not slot.role.bounds:
        kind = np.iinfo(NUMPY[slot.dtype]) if slot.dtype in INTS else None
        largest = 255 if slot.dtype == "u8" else max(FEW, *slot.role.compared, 0)
        high = largest if kind is None else min(largest, int(kind.max))
    return low, max(low, high)


def _sizing(use: Use, place: int, shape: tuple[int, ...], sizes: Mapping[str, int]) -> Array:
    """Numbers that an operator can take for a shape, for axes, for bounds or for a count."""
    node, index = use
    op, count = node.op.partition("@")[0], shape[0] if shape else 1
    found: Any = np.ones(count, np.int64)
    if op in ("Reshape", "Expand"):
        whole = _known(node.inputs[1], sizes) or [place + count]
        found = _target(node, whole[0], sizes)[place : place + count]
    elif op == "Slice":
        found = {1: np.zeros(count), 2: np.full(count, 2), 3: np.arange(count)}.get(index, found)
    elif op in ("Squeeze", "Unsqueeze", "Trilu", "Pad", "CumSum") or (op == "Range" and not index):
        found = np.arange(count) if op == "Unsqueeze" else np.zeros(count)
    elif op in ("ConstantOfShape", "Tile", "Range") and index < 2:
        found = np.full(count, 2)
    return np.resize(np.asarray(found), shape)


def _target(node: Node, count: int, sizes: Mapping[str, int]) -> list[int]:
    """The shape that the result is said to have, or else one that the operand can take."""
    have, want = (_known(v, sizes) for v in (node.inputs[0], node.outputs[0]))
    fits = node.op == "Expand" or have is None or want is None or np.prod(have) == np.prod(want)
    if want is not None and len(want) == count and fits:
        return want
    have = have or []
    if node.op == "Expand":
        return [*[1] * count, *have][-count:]
    return [*have[: count - 1], -1] if count <= len(have) else [*have, *[1] * (count - len(have))]


def _known(value: Value | None, sizes: Mapping[str, int]) -> list[int] | None:
    shape = value.type.shape if value is not None and isinstance(value.type, TensorType) else None
    if shape is None or any(atoms_of(dim) - sizes.keys() for dim in shape):
        return None
    return [evaluate(dim, sizes) for dim in shape]


def _others(dtype: str, shape: tuple[int, ...], rng: Rng) -> Array:
    if dtype == "str":
        return np.asarray(rng.choice(WORDS, shape), object).reshape(shape)
    if dtype.startswith("c"):
        return np.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(NUMPY[dtype])
    if dtype[0] in "ui":  # of 2 or 4 bits
        return np.asarray(rng.integers(0, 2, shape)).astype(NUMPY[dtype])
    return floats("", shape, dtype, rng)
