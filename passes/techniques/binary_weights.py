"""Weights of one bit, with a scale for each output channel.

Paper: He et al. 2022, "BiViT: Extremely Compressed Binary Vision Transformer", arXiv:2211.07091,
as its authors' code has it, with scales that are computed; theirs are trained from there. Not here:
the training, and storing them as bits: they are held as the floats that they stand for.
Claims: 70.8% on ImageNet with Swin-T, after training.
Checked: a column holds two numbers, the scale is the best one, and what it costs on a trained
encoder.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from graphwright.ir.const import Array
from graphwright.ir.graph import Graph
from graphwright.passes.normalizer import REPORTED
from graphwright.passes.rule import Example
from graphwright.passes.technique import Replacement, Work, technique
from graphwright.passes.weights import weights


@technique(
    REPORTED,
    Example(
        "x: f32[B, 2]",
        "x @ f32([[1, -4], [3, 2]])",
        "x @ f32([[-2, -3], [2, 3]])",
    ),
    Example("x: f32[B, 2], w: f32[2, 2]", "x @ w", because="no constant"),
)
def binary_weights(graph: Graph, work: Work) -> Iterator[Replacement]:
    """x w  ->  x (a * sign(w - m)), where m is the mean and a the mean size of each column of w

    x: [..., K]; w: [K, N], constant; a, m: [N]. sign 0 is 1. What a mask has taken away stays away.
    """
    for weight in weights(graph, work):
        yield weight.replaced(work, _signs(weight.data))


def _signs(w: Array) -> Array:
    """Of each column the signs around its mean, times its mean size; sums along axis -2."""
    wide = w.astype(np.float64)
    above = wide >= wide.mean(-2, keepdims=True)
    return np.where(above, 1, -1) * np.abs(wide).mean(-2, keepdims=True)
