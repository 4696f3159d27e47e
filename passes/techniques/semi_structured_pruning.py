"""Of each few weights in a row only some stay, as sparse kernels want it.

Paper: Mishra et al. 2021, "Accelerating Sparse Deep Neural Networks", arXiv:2104.08378, section 3,
without the training after it; by activations: Sun et al. 2024, arXiv:2306.11695, section 3.
Claims: 2 of 4 multiplies up to twice as fast on NVIDIA's sparse tensor cores.
Checked: n of each m are left, along what is summed over; what it costs on a trained encoder.
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
from graphwright.passes.weights import Mask, largest, norms, weights


def _promise(*, n: int = 2, m: int = 4, by: str = "magnitude") -> Approximate:
    if not 0 < n <= m:
        raise ModelError(f"semi-structured-pruning: {n} of {m} weights cannot be kept")
    if by not in ("magnitude", "activation"):
        raise ModelError(f"semi-structured-pruning: by is magnitude or activation, not '{by}'")
    return Approximate("relative_l2", 2.0)


@technique(
    _promise,
    Example(
        "x: f32[B, 4]",
        "x @ f32([[1, 8], [-2, 7], [3, 6], [-4, 5]])",
        """
        w = f32([[1, 8], [-2, 7], [3, 6], [-4, 5]])
        x @ (w * f32([[0, 1], [0, 1], [1, 0], [1, 0]]))""",
    ),
    Example("x: f32[B, 3]", "x @ f32([[1, 8], [-2, 7], [3, 6]])", because="no multiple of 4"),
    needs="weights, or data",
)
def semi_structured_pruning(
    graph: Graph, work: Work, *, n: int = 2, m: int = 4, by: str = "magnitude"
) -> Iterator[Replacement]:
    """x w  ->  x (w * k), where k keeps the n largest of each m weights that follow one another

    x: [..., K]; w: [K, N], constant; k: [K, N], whose groups of m lie along K, which m divides.
    `by` is magnitude, |w|, or activation, |w| |x| on data, as of activation-pruning.
    """
    found = list(weights(graph, work))
    scales = norms(graph, found, work) if by == "activation" else [np.ones(1)] * len(found)
    for weight, scale in zip(found, scales, strict=True):
        with work.trying(weight.node):
            yield weight.masked(work, _grouped(np.abs(weight.data) * scale[:, None], n, m))


def _grouped(scores: Array, n: int, m: int) -> Mask:
    *lead, rows, columns = scores.shape
    need(rows % m == 0, f"the {rows} channels that it reads are no multiple of {m}")
    return largest(scores.reshape(*lead, rows // m, m, columns), n).reshape(scores.shape)
