"""Attention as one operator: its type, its meaning, and the operators that it is made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, TypeAlias

import numpy as np

from graphwright.ir.dims import Dim, at_least
from graphwright.ir.graph import Graph, Value
from graphwright.ir.normalizers import inlined
from graphwright.ir.operators.operands import Shape, broadcast, shape_of, tensor
from graphwright.ir.ops import Attrs, Inputs, NotTyped, Op, constant, register
from graphwright.ir.own_sizes import numbers_of, own_sizes
from graphwright.ir.quotients import exact_quotient
from graphwright.ir.types import NUMPY, TensorType, Type

Array = np.ndarray[Any, np.dtype[Any]]
Make: TypeAlias = Callable[..., Value]
Normalize: TypeAlias = Callable[[Value], Value]
Reshape: TypeAlias = Callable[[Value, Shape], Value]

DEFAULTS = {"scale": 1.0, "cap": 0.0, "filler": -inf, "guard": 0, "precision": ""}
"""What is left out where nothing is capped, hidden or guarded, and no other type comes in."""


def _attention(inputs: Inputs, attrs: Attrs) -> tuple[Type, ...]:
    q, k, v = (shape_of(inputs, i) for i in range(3))
    if not len(q) == len(k) == len(v) >= 3:
        raise TypeError("Attention of queries, keys and values of different ranks")
    for one, other, what in ((q[-1], k[-1], "widths"), (k[-2], v[-2], "keys")):
        if isinstance(one, int) and isinstance(other, int) and one != other:
            raise TypeError(f"Attention with {one} and {other} {what}")
    if exact_quotient(q[-3], k[-3]) is None:
        raise TypeError(f"Attention with {q[-3]} heads of queries and {k[-3]} of keys")
    lead = broadcast(q[:-3], k[:-3], v[:-3])
    for i in range(3, len(inputs)):
        if inputs[i] is not None:
            if len(shape_of(inputs, i)) != len(q):
                raise TypeError("Attention with a mask, bias or sink of another rank")
            lead = broadcast(lead, shape_of(inputs, i)[:-3])
    return (TensorType(tensor(inputs, 2).dtype, (*lead, q[-3], q[-2], v[-1])),)


def _repeated(x: Array, heads: int) -> Array:
    return np.repeat(x, heads // x.shape[-3], axis=-3)


def _attention_numpy(
    q: Array,
    k: Array,
    v: Array,
    bias: Array | None = None,
    mask: Array | None = None,
    sink: Array | None = None,
    scale: float = 1.0,
    cap: float = 0.0,
    filler: float = -inf,
    guard: int = 0,
    precision: str = "",
    late: int = 0,
    normalizer: Callable[[Array], Array] | None = None,
) -> Array:
    heads = q.shape[-3]
    by = q.dtype.type(scale)
    s = (q if late else q * by) @ np.swapaxes(_repeated(k, heads), -1, -2)
    s = s * by if late else s
    wide = s.dtype if s.dtype == np.float64 or not precision else NUMPY[precision]
    s = s if bias is not None and bias.dtype == s.dtype else s.astype(wide)
    s = cap * np.tanh(s / cap) if cap else s
    s = s if bias is None else s + bias
    s = s.astype(wide)
    s = s if mask is None else np.where(mask, s, s.dtype.type(filler))
    columns = s.shape[-1]
    if sink is not None:
        s = np.concatenate([s, np.broadcast_to(sink, (*s.shape[:-1], 1))], -1)
    p = (normalizer or _softmax_numpy)(s)[..., :columns]
    none = np.isnan(p) if guard else np.zeros_like(p, bool)
    y = np.where(none, 0, p).astype(v.dtype) @ _repeated(v, heads)
    return np.where(none[..., :1].any(-1, keepdims=True) & np.isnan(y), 0, y).astype(v.dtype)


def _softmax_numpy(s: Array) -> Array:
    with np.errstate(invalid="ignore"):
        e = np.exp(s - s.max(-1, keepdims=True, initial=-np.inf))
        return np.asarray(e / e.sum(-1, keepdims=True))


register(Op("Attention", _attention, _attention_numpy, own=True))


def written_out(
    make: Make,
    q: Value,
    k: Value,
    v: Value,
    bias: Value | None = None,
    mask: Value | None = None,
    sink: Value | None = None,
    *,
    scale: float = 1.0,
    cap: float = 0.0,
    filler: float = -inf,
    guard: int = 0,
    precision: str = "",
    late: int = 0,
    depth: float = 0.0,
    normalizer: Graph | Normalize | None = None,
    reshape: Reshape | None = None,
) -> Value:
    """Attention in operators that every runtime has, made by `make(op, *inputs, **attrs)`.

    Query heads that share keys stand below one another in one product, so nothing is repeated. No
    score is let fall more than `depth` below the greatest of its row, if that is not 0. The body
    `normalizer`, or what such a function makes of the scores [*B, H, S, T], stands in place of the
    softmax; `reshape`, if given, knows sizes better than the tensors themselves. Raises NotTyped
    where heads are not known.
    """
    heads, shared = _shape(q)[-3], _shape(k)[-3]
    if scale != 1.0 and not late:
        q = make("Mul", q, scale)
    deal = partial(_heads, reshape or partial(_reshaped, make))
    rank = len(_shape(q))
    keys = make("Transpose", k, perm=(*range(rank - 2), rank - 1, rank - 2))
    s = make("MatMul", deal(q, shared), keys)
    if scale != 1.0 and late:
        s = make("Mul", s, scale)
    if cap and not precision:
        s = make("Div", s, cap)
    if bias is not None or mask is not None or sink is not None or normalizer is not None:
        s = deal(s, heads)
    s = _scores(make, s, bias, cap, precision)
    if mask is not None:
        s = make("Where", mask, s, filler)
    normalize = partial(_normalized, make, normalizer=normalizer, depth=depth)
    p = normalize(s) if sink is None else _beside_sink(make, s, sink, normalize)
    weights = p
    if guard and normalizer is not None:
        weights = make("Where", make("IsNaN", p), 0.0, p)
    weights = make("Cast", weights, to=_dtype(v)) if precision else weights
    y = deal(make("MatMul", deal(weights, shared), v), heads)
    return _guarded(make, y, deal(p, heads), normalizer is not None) if guard else y


def _guarded(make: Make, y: Value, p: Value, partly: bool) -> Value:
    """0 in the rows whose weights are NaN, which all of a row are if one is.

    Of a normalizer a row may be so `partly`; then those of infinite values, which are NaN.
    """
    start, end, axis = (constant([n], "i64") for n in (0, 1, -1))
    first = make("Slice", p, start, end, axis)
    if at_least(_shape(p)[-1]) < 1:
        first = make("ReduceSum", first, axes=(-1,), keepdims=1)  # 0 where there are no keys
    none = make("IsNaN", first)
    return make("Where", make("And", none, make("IsNaN", y)) if partly else none, 0.0, y)


def _heads(reshape: Reshape, x: Value, heads: Dim) -> Value:
    """The rows of `x` dealt out to so many heads, where it has another number of them."""
    shape = _shape(x)
    if shape[-3] == heads:
        return x
    rows = exact_quotient(shape[-3] * shape[-2], heads)
    if not isinstance(shape[-3], int) or not isinstance(heads, int) or rows is None:
        raise NotTyped
    return reshape(x, (*shape[:-3], heads, rows, shape[-1]))


def _reshaped(make: Make, x: Value, shape: Shape) -> Value:
    numbers = numbers_of(_shape(x), shape)
    sizes = own_sizes(make, x, shape) if numbers is None else constant(numbers, "i64")
    return make("Reshape", x, sizes)


def _scores(make: Make, s: Value, bias: Value | None, cap: float, precision: str) -> Value:
    """Scores with all that is done to them before keys are hidden."""
    late = bias is not None and _dtype(bias) == _dtype(s)  # what is added before the cast
    if precision and not late:
        s = make("Cast", s, to=precision)
    if cap:
        s = make("Mul", make("Tanh", make("Div", s, cap) if precision else s), cap)
    if bias is not None:
        s = make("Add", s, bias)
    return make("Cast", s, to=precision) if precision and late else s


def _normalized(make: Make, s: Value, normalizer: Graph | Normalize | None, depth: float) -> Value:
    if callable(normalizer):
        return normalizer(s)
    if normalizer is not None:
        return inlined(make, normalizer, s)
    if depth:
        top = make("ReduceMax", s, axes=(-1,), keepdims=1)
        # What is hidden twice stays below what is hidden once: a part of the number itself goes off
        # too, since so large a number less 60 is the same number.
        part = make("Mul", make("Abs", top), 1 / 1024)
        s = make("Max", s, make("Sub", top, make("Add", part, depth)))
    return make("Softmax", s, axis=-1)


def _beside_sink(make: Make, s: Value, sink: Value, normalize: Callable[[Value], Value]) -> Value:
    """The weights of keys beside a column that takes a part and gives nothing."""
    start, before_last, last = (constant([n], "i64") for n in (0, -1, -1))
    if _dtype(sink) != _dtype(s):
        sink = make("Cast", sink, to=_dtype(s))
    if _shape(sink) != (*_shape(s)[:-1], 1):
        lead = make("Slice", make("Shape", s), start, before_last, start)
        sink = make("Expand", sink, make("Concat", lead, constant([1], "i64"), axis=0))
    p = normalize(make("Concat", s, sink, axis=-1))
    return make("Slice", p, start, before_last, last)


def _shape(value: Value) -> Shape:
    if not isinstance(value.type, TensorType) or value.type.shape is None:
        raise NotTyped
    return value.type.shape


def _dtype(value: Value) -> str:
    return value.type.dtype if isinstance(value.type, TensorType) else ""
