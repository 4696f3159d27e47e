"""Queries and keys of one bit, whose products are counts.

Paper: He et al. 2022, "BiViT: Extremely Compressed Binary Vision Transformer", arXiv:2211.07091,
as its authors' code has it; the scales of rows are those of Rastegari et al. 2016, "XNOR-Net",
arXiv:1603.05279, section 3.1. Not here: the training; weights and the softmax are techniques of
their own, `binary-weights` and `binarized-softmax`.
Claims: 70.8% on ImageNet with Swin-T, after training.
Checked: what is of one size already stays, the scores are counts, the scale is the best one, and
what it costs on a trained encoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import constant
from graphwright.passes.attention.native_parts import dims_of
from graphwright.passes.heads import head_count, in_heads
from graphwright.passes.normalizer import REPORTED
from graphwright.passes.rule import Approximate, Builder, Example, need
from graphwright.passes.shapes import dtype_of
from graphwright.passes.technique import Replacement, Work, technique

WHAT = {"qk": (0, 1), "q": (0,), "k": (1,), "v": (2,), "qkv": (0, 1, 2)}
GIVEN = "q: f32[B, 2, S, 4], k: f32[B, 2, T, 4], v: f32[B, 2, T, 3]"
ATTRS = "scale=0.5, cap=0.0, filler=-inf, guard=0, precision=''"


def _promise(*, what: str = "qk", scale: str = "row") -> Approximate:
    if what not in WHAT:
        raise ModelError(f"binary-attention: what is {', '.join(WHAT)}, not '{what}'")
    if scale not in ("row", "none"):
        raise ModelError(f"binary-attention: scale is row or none, not '{scale}'")
    return REPORTED


@technique(
    _promise,
    Example(
        GIVEN,
        f"Attention(q, k, v, {ATTRS})",
        f"""
        b = Where(Less(q, f32(0)), f32(-1), f32(1)) * ReduceMean(Abs(q), axes=(-1,), keepdims=1)
        c = Where(Less(k, f32(0)), f32(-1), f32(1)) * ReduceMean(Abs(k), axes=(-1,), keepdims=1)
        Attention(b, c, v, {ATTRS})""",
    ),
    needs="training",
)
def binary_attention(
    graph: Graph, work: Work, *, what: str = "qk", scale: str = "row"
) -> Iterator[Replacement]:
    """Attention(q, k, v)  ->  Attention(|q| sign q, |k| sign k, v)

    q: [B, H, S, D]; k: [B, K, T, D]; |x| is the mean of the sizes of a row (scale=row), for which
    |x| sign x is nearest to x, or 1 (scale=none, as in BiViT); sign 0 is 1. q k^T is then a count
    of equal signs: |q_i| |k_j| (2 count - D). `what` may be qk, q, k, v or qkv.
    Source: XNOR-Net, equation 6, for the scale.
    """
    for _, node in work.layers(graph):
        with work.trying(node):
            yield _binary(work, node, WHAT[what], scale == "row")


def _binary(work: Work, node: Node, chosen: tuple[int, ...], scaled: bool) -> Replacement:
    result = node.outputs[0]
    op = work.at(result, [v for v in node.inputs if v is not None])
    heads = head_count(node)
    inputs = list(node.inputs)
    for i in chosen:
        x = inputs[i]
        assert x is not None
        made = _signs(op, x, scaled)
        if work.places.heads is not None:
            need(dims_of(x, "inputs")[-3] == heads, "its heads share keys and values")
            made = in_heads(op, work, heads, made, x)
        inputs[i] = made
    attrs: dict[str, Any] = dict(node.attrs)
    return Replacement(result, op.Attention(*inputs, **attrs, **node.bodies))


def _signs(op: Builder, x: Value, scaled: bool) -> Value:
    signs = op.Where(op.Less(x, 0.0), constant(-1.0, dtype_of(x)), constant(1.0, dtype_of(x)))
    return op.Mul(signs, op.ReduceMean(op.Abs(x), axes=(-1,), keepdims=1)) if scaled else signs
