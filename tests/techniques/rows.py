"""Rows of scores, and what normalizers make of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from graphwright.ir.const import Array
from graphwright.ir.dims import sym
from graphwright.ir.graph import Graph
from graphwright.ir.normalizers import body, compute
from graphwright.ir.types import NAMES, TensorType
from graphwright.passes.technique import Technique

ROWS = st.builds(
    lambda seed, keys, spread: np.random.default_rng(seed).normal(0, spread, (1, 2, 8, keys)),
    st.integers(0, 10_000),
    st.integers(1, 40),
    st.sampled_from([0.1, 1.0, 3.0, 10.0]),
)
"""Scores [1, 2, 8, T]: of one sample two heads of eight queries, flat rows and peaked ones."""


def weights(technique: Technique, s: Array, **knobs: Any) -> Array:
    """What a normalizer makes of scores, in their own type."""
    return compute(_body(technique, NAMES[s.dtype], s.shape[-3], **knobs), s)


@cache
def _body(technique: Technique, dtype: str, heads: int, **knobs: Any) -> Graph:
    assert technique.formula is not None
    return body(
        technique.formula(**knobs), TensorType(dtype, (sym("B"), heads, sym("S"), sym("T")))
    )


def softmax(s: Array) -> Array:
    """What softmax makes of scores, in float64."""
    s = s.astype(np.float64)
    e = np.exp(s - s.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def assert_keeps_order(s: Array, found: Array) -> None:
    """No key weighs more than one of a greater score."""
    sorted_by_score = np.take_along_axis(found, np.argsort(s, axis=-1, kind="stable"), -1)
    assert (np.diff(sorted_by_score, axis=-1) >= -1e-12).all()
