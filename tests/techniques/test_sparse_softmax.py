"""Softmax over the keys that a threshold leaves, or the k greatest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.techniques.rows import ROWS, softmax, weights

from graphwright.ir.const import Array
from graphwright.ir.errors import ModelError
from graphwright.passes.techniques.threshold_softmax import threshold_softmax
from graphwright.passes.techniques.top_k_softmax import top_k_softmax


@given(s=ROWS, share=st.sampled_from([0.001, 0.1, 1.0]))
def test_a_threshold_leaves_softmax_over_what_is_kept(s: Array, share: float) -> None:
    w, found = softmax(s), weights(threshold_softmax, s, share=share)
    kept = found > 0
    assert kept.any(-1).all()
    np.testing.assert_array_equal(
        w[~kept] < share * w.max(-1, keepdims=True).repeat(w.shape[-1], -1)[~kept] * (1 + 1e-9),
        np.ones(int((~kept).sum()), bool),
    )
    np.testing.assert_allclose(found, softmax(np.where(kept, s, -np.inf)), rtol=1e-12)
    assert w[~kept].sum() <= share * w.size


def test_a_wide_margin_changes_nothing() -> None:
    s = np.random.default_rng(0).normal(0, 1, (1, 2, 8, 12))
    np.testing.assert_array_equal(weights(threshold_softmax, s, share=1e-6), softmax(s))


@given(s=ROWS, k=st.integers(1, 12), rounded=st.booleans())
def test_the_k_greatest_are_those_of_sorting(s: Array, k: int, rounded: bool) -> None:
    s = np.round(s) if rounded else s  # with many that are equal
    found = weights(top_k_softmax, s, k=k)
    kth = np.sort(s, -1)[..., ::-1][..., min(k, s.shape[-1]) - 1, None]
    np.testing.assert_allclose(found, softmax(np.where(s >= kth, s, -np.inf)), rtol=1e-12)


@given(s=ROWS)
def test_hidden_keys_are_not_among_the_greatest(s: Array) -> None:
    n = s.shape[-1]
    s = np.concatenate([np.full_like(s, -np.inf), s], -1)
    found = weights(top_k_softmax, s, k=32)
    np.testing.assert_array_equal(found[..., :n], 0)
    if n <= 32:
        np.testing.assert_allclose(found, softmax(s), rtol=1e-12)


@pytest.mark.parametrize("k", [0, 33])
def test_k_out_of_range_is_said(k: int) -> None:
    with pytest.raises(ModelError, match="top-k-softmax: k is from 1 to 32"):
        top_k_softmax.contract(k=k)
