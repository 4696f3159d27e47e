"""Attention to keys near the query alone.

Paper: Beltagy, Peters and Cohan 2020, "Longformer: The Long-Document Transformer",
arXiv:2004.05150, section 3.1, without dilation; `first` keys that all queries see are those of Xiao
et al. 2023, "Efficient Streaming Language Models with Attention Sinks", arXiv:2309.17453, section
3.2. Not here: the kernel that skips what is not seen; the mask is written out.
Claims: with the first four keys seen, models run over 4 million tokens without training.
Checked: it is attention under that mask, a window of all keys changes nothing, rows that would see
nothing stay, and what it costs on a trained encoder.
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


def _promise(*, width: int = 128, first: int = 0) -> Approximate:
    if width < 1 or first < 0:
        raise ModelError(f"sliding-window: a width of {width} and {first} first keys are no window")
    return REPORTED


@technique(
    _promise,
    Example(
        "q: f32[B, 2, 3, 4], k: f32[B, 2, 3, 4], v: f32[B, 2, 3, 5]",
        f"Attention(q, k, v, {ATTRS})",
        f"""
        rows = Unsqueeze(i64([0, 1, 2]), axes=(1,))
        near = Less(Abs(rows - i64([0, 1, 2])), i64(128))
        Attention(q, k, v, None, Unsqueeze(near, axes=(0, 1)), {ATTRS})""",
    ),
    Example(
        "q: f32[B, 2, S, 4], k: f32[B, 2, S, 4], v: f32[B, 2, S, 5], b: f32[B, 1, 1, S]",
        f"Attention(q, k, v, b, {ATTRS})",
    ),
    Example(
        "q: f32[B, 2, S, 4], k: f32[B, 2, T, 4], v: f32[B, 2, T, 5]",
        f"Attention(q, k, v, {ATTRS})",
        because="another sequence",
    ),
    needs="nothing",
)
def sliding_window(
    graph: Graph, work: Work, *, width: int = 128, first: int = 0
) -> Iterator[Replacement]:
    """Attention(q, k, v)  ->  Attention(q, k, v) where query i sees key j if |i - j| < width

    q: [*B, H, S, D]; k: [*B, K, S, D], or [*B, K, P + S, D] behind a cache of P keys, where query i
    stands at P + i. All queries also see the `first` keys. Its masks go on hiding what they hid.
    """

    def near(op: Builder, rows: Value, columns: Value) -> Value:
        found = op.Less(op.Abs(op.Sub(rows, columns)), width)
        return op.Or(found, op.Less(columns, first)) if first else found

    for _, node in work.layers(graph):
        with work.trying(node):
            yield seeing(work, node, near)
