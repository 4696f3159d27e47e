"""Attention weights whose rows and columns both sum to 1.

Paper: Born et al. 2025, "Quantum Doubly Stochastic Transformers", arXiv:2504.16275, of which this
is what it is compared to: Sander et al. 2021, "Sinkformers: Transformers with Doubly Stochastic
Attention", arXiv:2110.11773, equation 3. Not here: the quantum circuit, and the map by a QR
decomposition, for which ONNX has no operator.
Claims: none as a number.
Checked: one step is softmax, sums of rows and columns after more, one more step changes nothing in
the end, padding takes no part, and what it costs on a trained encoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from graphwright.ir.contracts import Contract
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.operators.attention import written_out
from graphwright.passes.attention.native_parts import dims_of, padded
from graphwright.passes.attention.validity import hide
from graphwright.passes.heads import head_count, in_heads
from graphwright.passes.normalizer import REPORTED
from graphwright.passes.rule import Builder, Example, Tolerance, need
from graphwright.passes.technique import Replacement, Work, technique

GIVEN = "q: f32[B, 2, S, 4], k: f32[B, 2, S, 4], v: f32[B, 2, S, 5]"
ATTRS = "scale=0.5, cap=0.0, filler=-inf, guard=0, precision=''"


def _promise(*, steps: int = 3) -> Contract:
    if not 1 <= steps <= 50:
        raise ModelError(f"doubly-stochastic: steps is 1 to 50, not {steps}")
    return Tolerance() if steps == 1 else REPORTED


@technique(
    _promise,
    Example(
        GIVEN,
        f"Attention(q, k, v, {ATTRS})",
        """
        p = Softmax((q * 0.5) @ Transpose(k, perm=(0, 1, 3, 2)), axis=-1)
        columns = ReduceSum(p, axes=(-2,), keepdims=1)
        b = p / Where(Greater(columns, f32(0)), columns, f32(1))
        rows = ReduceSum(b, axes=(-1,), keepdims=1)
        b / Where(Greater(rows, f32(0)), rows, f32(1)) @ v""",
    ),
    Example(f"{GIVEN}, m: f32[B, 1, 1, S]", f"Attention(q, k, v, m, {ATTRS})"),
    Example(
        "q: f32[B, 2, S, 4], k: f32[B, 2, T, 4], v: f32[B, 2, T, 5]",
        f"Attention(q, k, v, {ATTRS})",
        because="as many keys as queries",
    ),
    needs="training",
)
def doubly_stochastic(graph: Graph, work: Work, *, steps: int = 3) -> Iterator[Replacement]:
    """softmax(s) v  ->  p v, where p is softmax(s), then divided by its sums of columns and of rows

    s, p: [B, H, S, S]. `steps` counts divisions, the softmax among them: after an odd number rows
    sum to 1, after an even one columns do, both in the limit. A token that no query may see takes
    no part in the sums of columns. A causal mask leaves nothing but the identity in the limit: it
    has no other matrix of the kind. The attention is written out, since a body sees one row alone.
    """
    for _, node in work.layers(graph):
        with work.trying(node):
            yield _written(work, node, steps)


def _written(work: Work, node: Node, steps: int) -> Replacement:
    need(not node.bodies, "its softmax is replaced already")
    q, k, v, bias, mask, sink = padded(node, 6)
    queries, keys = dims_of(q, "queries")[-2], dims_of(k, "keys")[-2]
    need(queries == keys, "it has not as many keys as queries")
    need(sink is None, "a sink beside its scores is no column")
    op = work.at(node.outputs[0], [each for each in node.inputs if each is not None])
    valid = hide(op, bias, mask)
    tokens = None if valid is None else _tokens(op, valid)
    heads = head_count(node)
    attrs: dict[str, Any] = dict(node.attrs)
    assert q is not None
    assert k is not None
    assert v is not None
    normalize = partial(_balanced, op, work, heads=heads, tokens=tokens, steps=steps)
    made = written_out(op.call, q, k, v, bias, mask, **attrs, normalizer=normalize)
    return Replacement(node.outputs[0], made)


def _tokens(op: Builder, valid: Value) -> Value:
    """Which queries some query sees as keys: bool[*B, H, S, 1]."""
    seen = op.ReduceMax(op.Cast(valid, to="f32"), axes=(-2,), keepdims=1)
    rank = len(dims_of(seen, "mask"))
    turned = op.Transpose(seen, perm=(*range(rank - 2), rank - 1, rank - 2))
    return op.Greater(turned, 0.5)


def _balanced(
    op: Builder, work: Work, s: Value, heads: int, tokens: Value | None, steps: int
) -> Value:
    """The weights after so many divisions, in the heads asked for."""
    softmax = p = op.Softmax(s, axis=-1)
    for step in range(1, steps):
        counted = p
        if step % 2 and tokens is not None:  # nor does a row that is NaN, of hidden keys, count
            counted = op.Where(op.And(tokens, op.Greater(p, 0.0)), p, 0.0)
        total = op.ReduceSum(counted, axes=(-1 - step % 2,), keepdims=1)
        p = op.Div(p, op.Where(op.Greater(total, 0.0), total, 1.0))
    return in_heads(op, work, heads, p, softmax)
