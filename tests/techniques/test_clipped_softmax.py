"""Clipped softmax: its neutral value, exact zeros, and how far weights are off."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.techniques.rows import ROWS, assert_keeps_order, softmax, weights

from graphwright.ir.const import Array
from graphwright.passes.techniques.clipped_softmax import clipped_softmax


@given(s=ROWS)
def test_gamma_0_and_zeta_1_change_no_bit(s: Array) -> None:
    from graphwright.ir.normalizers import body, compute
    from graphwright.ir.types import TensorType

    plain = compute(body("Softmax(s)", TensorType("f64", tuple(s.shape))), s)
    np.testing.assert_array_equal(weights(clipped_softmax, s, gamma=0.0), plain)


@given(s=ROWS, gamma=st.sampled_from([0.0, -0.03, -0.2]), zeta=st.sampled_from([1.0, 1.1, 1.5]))
def test_zeros_are_exact_and_errors_bounded(s: Array, gamma: float, zeta: float) -> None:
    w, found = softmax(s), weights(clipped_softmax, s, gamma=gamma, zeta=zeta)
    edge = -gamma / (zeta - gamma)
    apart = np.abs(w - edge) > 1e-12
    np.testing.assert_array_equal((found == 0)[apart], (w < edge)[apart])
    assert (np.abs(found - w) <= max(-gamma, zeta - 1) + 1e-12).all()
    assert_keeps_order(s, found)


@given(s=ROWS)
def test_alpha_counts_the_keys_that_are_not_hidden(s: Array) -> None:
    hidden = np.concatenate([s, np.full_like(s, -np.inf)], -1)
    n = s.shape[-1]
    found = weights(clipped_softmax, hidden, alpha=0.5)
    np.testing.assert_array_equal(found[..., n:], 0)
    wanted = weights(clipped_softmax, s, gamma=-0.5 / n)
    np.testing.assert_allclose(found[..., :n], wanted, rtol=1e-9, atol=1e-15)
