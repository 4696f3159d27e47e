"""Sigmoid attention: what rows of zeros sum to, and that keys do not see one another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from tests.techniques.rows import ROWS, assert_keeps_order, weights

from graphwright.ir.const import Array
from graphwright.passes.techniques.sigmoid_attention import sigmoid_attention


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_n_keys_of_score_0_sum_to_n_over_n_plus_1(n: int) -> None:
    found = weights(sigmoid_attention, np.zeros((1, 1, 1, n)))
    np.testing.assert_allclose(found.sum(-1), n / (n + 1))


@given(s=ROWS)
def test_keys_see_only_how_many_there_are(s: Array) -> None:
    found = weights(sigmoid_attention, s)
    other = s.copy()
    other[..., 1:] += 3.0
    np.testing.assert_array_equal(weights(sigmoid_attention, other)[..., 0], found[..., 0])
    hidden = np.concatenate([s, np.full_like(s, -np.inf)], -1)
    np.testing.assert_allclose(weights(sigmoid_attention, hidden)[..., : s.shape[-1]], found)
    assert_keeps_order(s, found)


def test_one_key_of_a_difference_is_softmax_of_two() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 1, 2, 3, 1))
    two = np.exp(a) / (np.exp(a) + np.exp(b))
    np.testing.assert_allclose(weights(sigmoid_attention, a - b), two)
