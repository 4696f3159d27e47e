"""Attention heads that add little are cut out, and with them all that only they needed.

Paper: Muralidharan et al. 2024, "Compact Language Models via Pruning and Knowledge Distillation",
arXiv:2407.14679, section 2.2, without the distillation after it. Its score of a head is the norm of
what the head gives; here it is what the head adds to the output of its layer, behind the
projection, which is the error that cutting it alone makes.
Claims: none without training; Nemotron-4 15B to 8B and 4B with less than 3% of its training data.
Checked: heads whose rows of the projection are 0 go without any change, a cut model is the one
whose heads are masked, weights shrink as they should, and what it costs on a trained encoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphwright.ir.const import Array
from graphwright.ir.contracts import Approximate
from graphwright.ir.graph import Graph
from graphwright.passes.narrow.heads import Heads, heads_of
from graphwright.passes.narrow.ways import Kept
from graphwright.passes.padding import laid, padding, rows
from graphwright.passes.rule import Example, need
from graphwright.passes.technique import Replacement, Tap, Work, technique
from graphwright.passes.weights import share as is_share

GIVEN = "x: f32[B, S, 2]"


def _promise(*, share: float = 0.25) -> Approximate:
    is_share("head-pruning: share", share)
    return Approximate("relative_l2", 2.0)


@technique(
    _promise,
    Example(
        "q: f32[B, 2, S, 4], k: f32[B, 2, T, 4], v: f32[B, 2, T, 4]",
        "Attention(q, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='')",
        because="are not mixed",
    ),
    needs="data, unless heads are named",
)
def head_pruning(graph: Graph, work: Work, *, share: float = 0.25) -> Iterator[Replacement]:
    """sum_h softmax(q_h k_h^T) v_h w_h  ->  the same sum without the heads that add least

    w: [H * E, N], the output projection, of which each head meets E rows. `@heads` names heads to
    be cut; else it is the share of the heads of each layer, rounded down, whose |y_h w_h|^2 over
    all tokens of the data but padding is smallest. Heads that share keys go together. The columns
    of the projections of queries, keys and values go with them, and their parts of biases and
    sinks.
    """
    found: list[Heads] = []
    for _, node in work.layers(graph):
        with work.trying(node):
            heads = heads_of(node)
            if work.places.heads is None:
                heads.matrix()  # or it is refused
            found.append(heads)
    scores = iter(_scores(graph, found, work) if found and work.places.heads is None else ())
    for each in found:
        with work.trying(each.attention):
            gone = work.places.heads_of(each.count)
            if work.places.heads is None:
                gone = _least(next(scores), each.group, share)
                work.chosen[each.attention] = {"heads": gone}
            need(gone, f"a share of {share:g} of its {each.count // each.group} heads is none")
            yield each.cut(work, gone)


def _least(scores: Array, group: int, share: float) -> Kept:
    """The heads of the groups of least score."""
    order = np.argsort(scores, kind="stable")[: int(share * len(scores))]
    return tuple(sorted(int(unit) * group + i for unit in order for i in range(group)))


def _scores(graph: Graph, found: list[Heads], work: Work) -> list[Array]:
    """Of each attention the sum of |y w|^2 of each group of heads, over all tokens of the data."""
    with padding(graph, work) as known:
        taps: list[Tap[Any]] = [Tap((h.x, *known.of(laid(h.x))), 0.0, _gram) for h in found]
        grams = known.observe(taps)
    return [_energy(heads, gram) for heads, gram in zip(found, grams, strict=True)]


def _gram(state: Any, x: Array, *real: Array) -> Any:
    wide = rows(x, *real).astype(np.float64)
    return state + wide.T @ wide


def _energy(heads: Heads, gram: Array) -> Array:
    weight, owners = heads.matrix(), heads.owners // heads.group
    energies = []
    for unit in range(heads.count // heads.group):
        mine = owners == unit
        rows = weight[mine].astype(np.float64)
        energies.append(float(np.sum(gram[np.ix_(mine, mine)] * (rows @ rows.T))))
    return np.array(energies)
