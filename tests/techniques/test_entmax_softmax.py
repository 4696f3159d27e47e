"""Entmax: sparsemax by sorting, softmax in the limit, and what holds between them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.techniques.rows import ROWS, assert_keeps_order, softmax, weights

from graphwright.ir.const import Array
from graphwright.passes.techniques.entmax_softmax import entmax_softmax

ALPHA = st.sampled_from([1.01, 1.2, 1.5, 2.0])


def sparsemax(s: Array) -> Array:
    """The projection on the simplex, by sorting."""
    z = -np.sort(-s, -1)
    k = np.arange(1, s.shape[-1] + 1)
    total = np.cumsum(z, -1)
    size = (1 + k * z > total).sum(-1, keepdims=True)
    t = (np.take_along_axis(total, size - 1, -1) - 1) / size
    return np.maximum(s - t, 0)


@settings(max_examples=30)
@given(s=ROWS)
def test_alpha_2_is_the_projection_on_the_simplex(s: Array) -> None:
    np.testing.assert_allclose(weights(entmax_softmax, s, alpha=2.0), sparsemax(s), atol=1e-6)


@settings(max_examples=40)
@given(s=ROWS, alpha=ALPHA, shift=st.floats(-50, 50))
def test_rows_sum_to_1_keep_their_order_and_see_no_shift(
    s: Array, alpha: float, shift: float
) -> None:
    found = weights(entmax_softmax, s, alpha=alpha)
    np.testing.assert_allclose(found.sum(-1), 1.0)
    assert_keeps_order(s, found)
    np.testing.assert_allclose(weights(entmax_softmax, s + shift, alpha=alpha), found, atol=1e-6)


def test_alpha_near_1_goes_to_softmax() -> None:
    s = np.random.default_rng(0).normal(0, 1, (1, 2, 8, 12))
    apart = [
        np.abs(weights(entmax_softmax, s, alpha=a) - softmax(s)).max()
        for a in (1.5, 1.2, 1.05, 1.01)
    ]
    assert apart == sorted(apart, reverse=True)
    assert apart[-1] < apart[0] / 20
