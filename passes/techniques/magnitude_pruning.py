"""Weights of small magnitude become 0.

Paper: Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks",
arXiv:1506.02626, section 3; the training between the steps is not here.
Claims: AlexNet and VGG-16 to a ninth and a thirteenth of their weights, with training.
Checked: the share of zeros, masks put on one another, and what it costs on a trained encoder.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from graphwright.ir.contracts import Approximate
from graphwright.ir.graph import Graph
from graphwright.passes.rule import Example
from graphwright.passes.technique import Replacement, Work, technique
from graphwright.passes.weights import largest, share, weights


def _promise(*, sparsity: float = 0.5) -> Approximate:
    share("magnitude-pruning: sparsity", sparsity)
    return Approximate("relative_l2", 2.0)


@technique(
    _promise,
    Example(
        "x: f32[B, 2]",
        "x @ f32([[1, -4], [3, 2]])",
        "x @ (f32([[1, -4], [3, 2]]) * f32([[0, 1], [1, 0]]))",
    ),
    Example("x: f32[B, 2], w: f32[2, 2]", "x @ w", because="no constant"),
)
def magnitude_pruning(graph: Graph, work: Work, *, sparsity: float = 0.5) -> Iterator[Replacement]:
    """x w  ->  x (w * m), where m is 0 at the given share of the smallest |w| of each matrix

    x: [..., K]; w: [K, N], constant; m: [K, N]. As many weights are 0 as the share rounds to, the
    later ones of equal ones. The error is at most |x| |w - w * m| (Frobenius). The mask m is a
    constant beside w, which other techniques may add to; it is folded into w in the end.
    """
    for weight in weights(graph, work):
        scores = np.abs(weight.data)
        flat = scores.reshape(-1, 1)
        kept = largest(flat, flat.size - round(sparsity * flat.size))
        yield weight.masked(work, kept.reshape(scores.shape))
