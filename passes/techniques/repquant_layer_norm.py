"""Channels of a layer norm brought to one range, so that one quantizer serves them all.

Paper: Li et al. 2024, "RepQuant: Towards Accurate Post-Training Quantization of Large Transformer
Models via Scale Reparameterization", arXiv:2402.05628, section 3.2, as in the code of RepQ-ViT. Not
here: dual clipping and the reconstruction of weights, which are learnt, and quantized weights.
Claims: none as one number.
Checked: nothing changes but rounding until something is quantized, one quantizer is then as good as
one for each channel, and what it costs on a trained encoder beside one quantizer alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np

from graphwright.ir.const import Array
from graphwright.ir.contracts import Contract
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import constant
from graphwright.passes.normalizer import REPORTED
from graphwright.passes.padding import laid, padding, rows
from graphwright.passes.rule import Builder, Example, Tolerance, need
from graphwright.passes.shapes import dtype_of, shape_of
from graphwright.passes.technique import Replacement, Tap, Work, technique
from graphwright.passes.weights import (
    PRODUCTS,
    Weight,
    computed,
    is_constant,
    need_whole,
    weight_of,
)

Ranges = tuple[Array, Array]
LN = "LayerNormalization(x, f32([1, 2]), f32([3, 4]), axis=-1, epsilon=1e-5, stash_type=1)"


def _promise(*, bits: int = 0, by: str = "channel") -> Contract:
    if bits != 0 and not 2 <= bits <= 8:
        raise ModelError(f"repquant-layer-norm: bits is 2 to 8, or 0 for none, not {bits}")
    if by not in ("channel", "layer"):
        raise ModelError(f"repquant-layer-norm: by is channel or layer, not '{by}'")
    return REPORTED if bits else Tolerance()


@technique(
    _promise,
    Example("x: f32[B, S, 2]", f"{LN} @ f32([[1, 2], [3, 4]])"),
    Example("x: f32[B, S, 2]", f"{LN} @ f32([[1, 2], [3, 4]]) + f32([5, 6])"),
    Example("x: f32[B, S, 2]", f"{LN} * f32([1, 2])", because="no product with a weight reads it"),
    needs="data",
)
def repquant_layer_norm(
    graph: Graph, work: Work, *, bits: int = 0, by: str = "channel"
) -> Iterator[Replacement]:
    """LayerNorm(x, g, b) w + c  ->  LayerNorm(x, g / r, b / r - t) (r w) + (c + (r t) w)

    x: [..., C]; g, b, r, t: [C]; w: [C, N]; c: [N]. r is the range of a channel on the data beside
    the mean of all, and t moves the least of each to one number, so that all channels have one
    range. With `bits` what the product reads is then rounded to 2^bits numbers of that range;
    by=layer does so without r and t, to compare with. A norm that others read too stays for them.
    Source: section 3.2, equations for the reparameterized norm and the next layer.
    """
    need_whole(work)
    found = dict(_norms(graph, work))
    for node, low, high in _observed(graph, work, found):
        even = _even(low, high, by)
        if bits:
            work.chosen[node] = {"from": (even.low,), "to": (even.low + even.width,)}
        once: list[Value] = []
        for weight in found[node]:
            yield _replaced(work, weight, even, bits, once)


class Even(NamedTuple):
    """What makes the channels y of one range: y / r - t, from `low` on and `width` wide."""

    r: Array
    t: Array
    low: float
    width: float


def _even(low: Array, high: Array, by: str) -> Even:
    if by == "layer":
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
    width = high - low
    mean = float(width.mean()) or 1.0
    r = np.where(width > 0, width, mean) / mean
    least = float((low / r).mean())
    return Even(r, low / r - least, least, mean)


def _norms(graph: Graph, work: Work) -> Iterator[tuple[Node, list[Weight]]]:
    """The norms with the products that read them, in the layers asked for."""
    layers = work.layers_of(graph)
    for node in graph.nodes():
        if node.op == "LayerNormalization" and work.places.holds(layers.get(node)):
            with work.trying(node):
                known = [v.const for v in node.inputs[1:] if v is not None]
                need(all(known), "its scale or its bias is no constant")
                need(len(shape_of(node.inputs[1]) or ()) == 1, "it is over more than one axis")
                found = list(_read_by(node))
                need(found, "no product with a weight reads it")
                yield node, found


def _read_by(norm: Node) -> Iterator[Weight]:
    for node, index in norm.outputs[0].uses:
        if node.op in PRODUCTS and index == 0 and len(node.inputs) > 1 and _is_plain(node):
            yield weight_of(node)


def _is_plain(product: Node) -> bool:
    """Whether it is a product with a matrix and adds no more than a constant vector."""
    w, *bias = product.inputs[1:]
    one = all(product.attrs.get(name, 1) == 1 for name in ("alpha", "beta"))
    vectors = all(v is None or (v.const and len(shape_of(v) or ()) == 1) for v in bias)
    matrix = w is not None and len(shape_of(w) or ()) == 2 and is_constant(w)
    return one and vectors and matrix


def _observed(
    graph: Graph, work: Work, found: Collection[Node]
) -> Iterator[tuple[Node, Array, Array]]:
    """The least and the greatest number in each channel of norms, on the data but for padding."""
    states: list[Ranges | None] = []
    for node in list(found)[:1]:
        with work.trying(node), padding(graph, work) as known:
            made = [each.outputs[0] for each in found]
            taps: list[Tap[Any]] = [Tap((y, *known.of(laid(y))), None, _range) for y in made]
            states = known.observe(taps)
    for node, state in zip(found, states, strict=False):
        if state is not None:
            yield node, *state


def _range(state: Ranges | None, y: Array, *real: Array) -> Ranges | None:
    wide = rows(y, *real).astype(np.float64)
    if not len(wide):
        return state
    low, high = wide.min(0), wide.max(0)
    return (low, high) if state is None else (np.minimum(state[0], low), np.maximum(state[1], high))


def _replaced(work: Work, weight: Weight, even: Even, bits: int, once: list[Value]) -> Replacement:
    """A product behind a norm, both rewritten; `once` holds the new norm for all that read it."""
    product, norm = weight.node, weight.x.producer
    assert norm is not None
    x = norm.inputs[0]
    assert x is not None
    root, bias = _biased(product)
    op = work.at(root, (x,))
    if not once:
        once.append(_norm(op, norm, even, bits))
    data = weight.data.astype(np.float64)
    moved = (even.r * even.t) @ data + (0.0 if bias is None else bias)
    w, c = weight.holding(even.r[:, None] * data), constant(moved, dtype_of(weight.value))
    attrs: dict[str, Any] = dict(product.attrs)
    if product.op == "MatMul":
        return Replacement(root, op.Add(op.MatMul(once[0], w), c), (x,))
    return Replacement(root, op.call(product.op, once[0], w, c, **attrs), (x,))


def _biased(product: Node) -> tuple[Value, Array | None]:
    """Where the bias of a product is added, and the bias; the product itself where it has none."""
    result = product.outputs[0]
    if product.op != "MatMul":
        given = product.inputs[2] if len(product.inputs) > 2 else None
        return result, None if given is None or given.const is None else given.const.load()
    for use in result.uses if len(result.uses) == 1 else ():
        other = use.node.inputs[1 - use.index] if use.node.op == "Add" else None
        if other is not None and other.const is not None and len(shape_of(other) or ()) == 1:
            return use.node.outputs[0], other.const.load()
    return result, None


def _norm(op: Builder, norm: Node, even: Even, bits: int) -> Value:
    """The norm with channels of one range, rounded if that is asked for."""
    x, gamma, *beta = (v for v in norm.inputs if v is not None)
    dtype, attrs = dtype_of(gamma), dict(norm.attrs)
    scale = computed(gamma) / even.r
    shift = (computed(beta[0]) if beta else 0.0) / even.r - even.t
    y = op.LayerNormalization(x, constant(scale, dtype), constant(shift, dtype), **attrs)
    if not bits:
        return y
    step = even.width / (2**bits - 1)
    zero = float(np.round(-even.low / step))
    n = op.Max(op.Min(op.Round(op.Div(y, step)), 2.0**bits - 1 - zero), -zero)
    return op.Mul(n, step)
