"""Attention within blocks of the sequence.

Paper: Qiu et al. 2020, "Blockwise Self-Attention for Long Document Understanding",
arXiv:1911.02972, section 3.2, with the identity as the permutation. Not here: other permutations,
and the kernel that skips blocks; the mask is written out.
Claims: 18.7 to 36.1% less memory and 12.0 to 25.1% less time than RoBERTa.
Checked: it is attention of each block alone, one block of all keys changes nothing, and what it
costs on a trained encoder.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Value
from graphwright.passes.normalizer import REPORTED
from graphwright.passes.rule import Approximate, Builder, Example
from graphwright.passes.technique import Replacement, Work, technique
from graphwright.passes.unseen import seeing

ATTRS = "scale=0.5, cap=0.0, filler=-inf, guard=0, precision=''"


def _promise(*, size: int = 64, around: int = 0) -> Approximate:
    if size < 1 or around < 0:
        raise ModelError(f"block-mask: there are no blocks of {size}, or {around} around one")
    return REPORTED


@technique(
    _promise,
    Example(
        "q: f32[B, 2, 3, 4], k: f32[B, 2, 3, 4], v: f32[B, 2, 3, 5]",
        f"Attention(q, k, v, {ATTRS})",
        f"""
        rows = Unsqueeze(i64([0, 1, 2]), axes=(1,)) / i64(64)
        near = Less(Abs(rows - i64([0, 1, 2]) / i64(64)), i64(1))
        Attention(q, k, v, None, Unsqueeze(near, axes=(0, 1)), {ATTRS})""",
    ),
    Example(
        "q: f32[B, 2, S, 4], k: f32[B, 2, T, 4], v: f32[B, 2, T, 5]",
        f"Attention(q, k, v, {ATTRS})",
        because="another sequence",
    ),
    needs="nothing",
)
def block_mask(
    graph: Graph, work: Work, *, size: int = 64, around: int = 0
) -> Iterator[Replacement]:
    """Attention(q, k, v)  ->  Attention(q, k, v) where query i sees key j of its own block

    q: [*B, H, S, D]; k: [*B, K, S, D]; the block of i is i // size; `around` more blocks are seen
    to either side. Its masks go on hiding what they hid. Behind a cache, query i stands at P + i.
    """

    def near(op: Builder, rows: Value, columns: Value) -> Value:
        apart = op.Abs(op.Sub(op.Div(rows, size), op.Div(columns, size)))
        return op.Less(apart, around + 1)

    for _, node in work.layers(graph):
        with work.trying(node):
            yield seeing(work, node, near)
