"""What operators that are attentions already have in common: heads, caches, masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphwright.ir.const import from_array
from graphwright.ir.dims import Dim, Sym, atoms_of
from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import constant, scalar
from graphwright.ir.quotients import exact_quotient
from graphwright.passes.rule import Builder, need
from graphwright.passes.shapes import dtype_of, shape_of

LOWEST = {"f16": -65504.0, "bf16": -3.3895313892515355e38, "f32": -3.4028234663852886e38}
LARGEST_MASK = 1 << 22  # bytes of a constant mask that is looked into


def padded(node: Node, count: int) -> list[Value | None]:
    """The inputs of a node, with those that it leaves out at the end."""
    return [*node.inputs, *[None] * (count - len(node.inputs))]


def number(node: Node, name: str, default: float) -> float:
    """An attribute that is a number."""
    found = node.attrs.get(name, default)
    need(isinstance(found, int | float), f"its {name} is no number")
    assert isinstance(found, int | float)
    return found


def is_given(node: Node, index: int) -> bool:
    """Whether a node gives an output, read or not."""
    return index < len(node.outputs) and bool(node.outputs[index].uses or node.outputs[index].name)


def dims_of(x: Value | None, what: str) -> tuple[Dim, ...]:
    """The shape of what has to have one."""
    shape = shape_of(x)
    need(shape is not None, f"the rank of its {what} is not known")
    assert shape is not None
    return shape


def apart(op: Builder, x: Value, heads: int) -> Value:
    """[B, S, H*D] as [B, H, S, D]."""
    width = exact_quotient(dims_of(x, "inputs")[2], heads)
    need(isinstance(width, int), "the width of its heads is not known")
    assert isinstance(width, int)
    return op.Transpose(op.Reshape(x, constant([0, 0, heads, width], "i64")), perm=(0, 2, 1, 3))


def together(op: Builder, y: Value) -> Value:
    """[B, H, S, D] as [B, S, H*D]."""
    _, heads, _, width = dims_of(y, "result")
    whole = heads * width
    sizes = constant([0, 0, whole if isinstance(whole, int) else -1], "i64")
    return op.Reshape(op.Transpose(y, perm=(0, 2, 1, 3)), sizes)


def joined(op: Builder, past: Value | None, x: Value) -> Value:
    """Keys or values behind those of the cache."""
    return x if past is None else op.Concat(past, x, axis=2)


def default_scale(given: float, width: Dim) -> float:
    """The scale, which is 1/sqrt(width of a head) where 0 stands for none."""
    if given:
        return float(given)
    need(isinstance(width, int) and width, "the width of its heads is not known")
    assert isinstance(width, int)
    return float(width**-0.5)


def to_rank_4(op: Builder, x: Value, at: int = 0) -> Value:
    """`x` with axes of size 1 put in at `at`, four in all."""
    missing = 4 - len(dims_of(x, "mask"))
    need(missing >= 0, "its mask has more than four axes")
    return op.Unsqueeze(x, axes=tuple(range(at, at + missing))) if missing else x


def length(op: Builder, x: Value, axis: int) -> Value:
    """The size of an axis, as a list of one number."""
    dim = dims_of(x, "inputs")[axis]
    if isinstance(dim, int):
        return constant([dim], "i64")
    if atoms_of(dim) <= op.budget.sizes:
        return op.Sizes(dims=(dim,))
    start, end, along = (constant([n], "i64") for n in (axis, axis + 1, 0))
    return op.Slice(op.Shape(x), start, end, along)


def positions(op: Builder, x: Value, axis: int) -> Value:
    """The numbers from 0 on, along an axis of `x`."""
    dim = dims_of(x, "inputs")[axis]
    if isinstance(dim, int):
        return constant(list(range(dim)), "i64")
    end = op.Squeeze(length(op, x, axis), axes=(0,))
    return op.Range(constant(0, "i64"), end, constant(1, "i64"))


def not_later(op: Builder, q: Value, k: Value, past: Value | None) -> Value:
    """True where a key, of the cache and the new ones, is no later than the query."""
    rows, columns = dims_of(q, "queries")[2], dims_of(k, "keys")[2]
    before = 0 if past is None else dims_of(past, "cache")[2]
    ints = [n for n in (rows, columns, before) if isinstance(n, int)]
    if len(ints) == 3 and op.budget.afford(ints[0] * ints[1]):
        return constant_mask(np.tri(*ints, dtype=np.bool_))
    sizes = op.Concat(length(op, q, 2), length(op, k, 2), axis=0)
    seen = op.Expand(constant([[True]], "bool"), sizes)
    if past is None:
        return to_rank_4(op, op.Trilu(seen, upper=0))
    shift = op.Squeeze(length(op, past, 2), axes=(0,))
    return to_rank_4(op, op.Trilu(seen, shift, upper=0))


def constant_mask(seen: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Value:
    """A boolean mask that is the same for all in a batch."""
    const = from_array(seen.reshape((1,) * (4 - seen.ndim) + seen.shape))
    return Value(const.type, const=const)


def both(op: Builder, masks: Sequence[Value | None]) -> Value | None:
    """What all masks leave to be seen."""
    found: Value | None = None
    for mask in masks:
        if mask is not None:
            found = mask if found is None else op.And(found, mask)
    return found


def need_length(mask: Value, keys: Value) -> None:
    """Refuse a mask that is shorter than the keys, or repeated along them."""
    have, want = dims_of(mask, "mask")[-1], dims_of(keys, "keys")[2]
    same = have == want or (have != 1 and (isinstance(have, Sym) or isinstance(want, Sym)))
    need(same, "its mask is not as long as its keys, which ONNX Runtime does not run")


def sorted_out(op: Builder, mask: Value) -> tuple[Value | None, Value | None]:
    """What a mask adds to scores, and which it leaves to be seen, of rank 4 each.

    ONNX Runtime takes the lowest number of the type, and all below, for a hidden key, so that rows
    of nothing else give 0; any other number is added.
    """
    dtype = dtype_of(mask)
    if dtype == "bool":
        const = mask.const
        small = const is not None and (const.type.nbytes or 0) <= LARGEST_MASK
        return None, None if const and small and const.load().all() else to_rank_4(op, mask)
    need(dtype in LOWEST, f"ONNX Runtime has no attention with a mask of {dtype or 'no type'}")
    lowest = LOWEST[dtype]
    if mask.const is not None and (mask.const.type.nbytes or 0) <= LARGEST_MASK:
        array = mask.const.load()
        hidden = array <= lowest
        if not hidden.any():
            return (to_rank_4(op, mask) if array.any() else None), None
        if not array[~hidden].any():
            return None, constant_mask(~np.asarray(hidden))
    chosen = _chosen(op, mask, lowest)
    if chosen is not None:
        return None, to_rank_4(op, chosen)
    mask = to_rank_4(op, mask)
    return mask, op.Greater(mask, lowest)


def _chosen(op: Builder, mask: Value, lowest: float) -> Value | None:
    """The condition of a mask that is 0 where it holds and hides where it does not, or so."""
    made = mask.producer
    if made is None or made.op != "Where" or shape_of(made.inputs[0]) != shape_of(mask):
        return None
    condition, yes, no = made.inputs[0], scalar(made.inputs[1]), scalar(made.inputs[2])
    if condition is None or yes is None or no is None:
        return None
    if yes == 0 and no <= lowest:
        return condition
    return op.Not(condition) if no == 0 and yes <= lowest else None
