"""Blocks of weights of small norm become 0.

Paper: Narang et al. 2017, "Block-Sparse Recurrent Neural Networks", arXiv:1711.02782, section 3.1;
here by the norm of a block instead of its largest element, in one step and without training.
Claims: 10 times fewer weights of recurrent layers at blocks of 4 to 32, with training.
Checked: whole blocks are 0, of the share asked for; what it costs on a trained encoder.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from graphwright.ir.const import Array
from graphwright.ir.contracts import Approximate
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.passes.rule import Example, need
from graphwright.passes.technique import Replacement, Work, technique
from graphwright.passes.weights import largest, share, weights


def _promise(*, sparsity: float = 0.5, rows: int = 16, columns: int = 16) -> Approximate:
    share("block-pruning: sparsity", sparsity)
    if rows < 1 or columns < 1:
        raise ModelError(f"block-pruning: there is no block of {rows} by {columns}")
    return Approximate("relative_l2", 2.0)


@technique(
    _promise,
    Example("x: f32[B, 2]", "x @ f32([[1, 2], [3, 4]])", because="no multiple of 16"),
)
def block_pruning(
    graph: Graph, work: Work, *, sparsity: float = 0.5, rows: int = 16, columns: int = 16
) -> Iterator[Replacement]:
    """x w  ->  x (w * m), where m is 0 at the given share of blocks of w of the smallest norm

    x: [..., K]; w: [K, N], constant; m: [K, N], of blocks of `rows` of K by `columns` of N, which
    have to divide them. The norm of a block is the root of the sum of its squares.
    """
    for weight in weights(graph, work):
        with work.trying(weight.node):
            scores = _norms(weight.data, rows, columns)
            flat = scores.reshape(-1, 1)
            kept = largest(flat, flat.size - round(sparsity * flat.size)).reshape(scores.shape)
            kept = np.repeat(np.repeat(kept, rows, axis=-2), columns, axis=-1)
            yield weight.masked(work, kept)


def _norms(data: Array, rows: int, columns: int) -> Array:
    *lead, k, n = data.shape
    need(k % rows == 0, f"the {k} channels that it reads are no multiple of {rows}")
    need(n % columns == 0, f"the {n} channels that it gives are no multiple of {columns}")
    blocks = data.reshape(*lead, k // rows, rows, n // columns, columns).astype(np.float64)
    return np.asarray(np.sqrt(np.square(blocks).sum((-3, -1))))
