"""Softplus attention with re-weighting: its neutral values, its limit, and what order is kept."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.techniques.rows import ROWS, assert_keeps_order, softmax, weights

from graphwright.ir.const import Array
from graphwright.passes.techniques.softplus_attention import softplus_attention

PHI = st.sampled_from(["softplus", "exp"])


@given(s=ROWS)
def test_exponentials_without_re_weighting_are_softmax(s: Array) -> None:
    for neutral in ({"power": 0}, {"power": 1, "offset": 0.0}):
        found = weights(softplus_attention, s, phi="exp", **neutral)
        np.testing.assert_allclose(found, softmax(s), rtol=1e-9, atol=1e-15)


@given(s=ROWS, phi=PHI, power=st.sampled_from([0, 1, 3, 15]))
def test_rows_sum_to_1_and_keep_their_order(s: Array, phi: str, power: int) -> None:
    found = weights(softplus_attention, s, phi=phi, power=power)
    np.testing.assert_allclose(found.sum(-1), 1.0)
    assert (found >= 0).all()
    assert_keeps_order(s, found)


@given(s=ROWS, phi=PHI)
def test_power_1_and_offset_0_change_nothing(s: Array, phi: str) -> None:
    plain = weights(softplus_attention, s, phi=phi, power=0)
    found = weights(softplus_attention, s, phi=phi, power=1, offset=0.0)
    np.testing.assert_allclose(found, plain, rtol=1e-9, atol=1e-300)


def test_a_large_power_leaves_the_greatest_alone() -> None:
    s = np.array([[[[2.0, 0.0, 1.0, -1.0, 0.5]]]])
    found = weights(softplus_attention, s, power=64)
    np.testing.assert_allclose(found, [[[[1, 0, 0, 0, 0]]]], atol=1e-9)


@given(s=ROWS)
def test_what_is_not_above_the_average_goes(s: Array) -> None:
    first = weights(softplus_attention, s, power=0)
    found = weights(softplus_attention, s, power=3, rows=0)
    n = s.shape[-1]
    told = first.max(-1, keepdims=True) * n > 1 + 1e-9  # an even row keeps what it has
    assert (found[(first * n <= 1) & told] == 0).all()


def test_first_rows_under_a_causal_mask_have_no_offset() -> None:
    s = np.where(np.tri(6, dtype=bool), np.random.default_rng(0).normal(size=(6, 6)), -np.inf)
    found = weights(softplus_attention, s[None, None], power=1)
    plain = weights(softplus_attention, s[None, None], power=0)
    np.testing.assert_allclose(found[..., :3, :], plain[..., :3, :])
    assert (np.abs(found - plain)[..., 3:, :].max(-1) > 0).all()
    np.testing.assert_array_equal(found[0, 0][~np.tri(6, dtype=bool)], 0)


def test_float16_does_not_overflow() -> None:
    s = np.linspace(-50, 50, 600, dtype=np.float16).reshape(1, 1, 2, 300)
    found = weights(softplus_attention, s, power=15)
    assert np.isfinite(found.astype(np.float32)).all()
    np.testing.assert_allclose(found.astype(np.float64).sum(-1), 1, atol=0.02)
