"""Logarithmic quantization of attention weights: how far each is off, and what rows sum to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.techniques.rows import ROWS, assert_keeps_order, softmax, weights

from graphwright.ir.const import Array
from graphwright.ir.errors import ModelError
from graphwright.passes.techniques.log2_softmax import log2_softmax

BASES = (2.0, 1.5, 1.1, 1.01)


@given(s=ROWS, bits=st.integers(2, 8), base=st.sampled_from([4.0, *BASES]))
def test_a_weight_is_a_power_near_to_itself_or_lost(s: Array, bits: int, base: float) -> None:
    w, found = softmax(s), weights(log2_softmax, s, bits=bits, base=base)
    kept = found > 0
    powers = -np.log(found[kept]) / np.log(base)
    np.testing.assert_allclose(powers, np.round(powers), atol=1e-6)
    assert (np.abs(found - w)[kept] <= (base**0.5 - 1) * w[kept] * (1 + 1e-9)).all()
    assert (w[~kept] <= base ** -(2**bits - 0.5) * (1 + 1e-9)).all()
    assert_keeps_order(s, found)


def test_the_error_goes_to_nothing_as_the_base_goes_to_1() -> None:
    s = np.random.default_rng(0).normal(0, 0.1, (1, 2, 8, 5))  # so even that nothing is lost
    w = softmax(s)
    worst = [(abs(weights(log2_softmax, s, bits=8, base=b) - w) / w).max() for b in BASES]
    for base, found in zip(BASES, worst, strict=True):
        assert found <= base**0.5 - 1 + 1e-12, base
    assert worst == sorted(worst, reverse=True)
    assert worst[-1] < 0.005


@given(s=ROWS, base=st.sampled_from(BASES[:2]))
def test_a_row_drifts_from_1_by_a_factor_and_by_what_is_lost(s: Array, base: float) -> None:
    found = weights(log2_softmax, s, bits=4, base=base)
    left = np.where(found > 0, softmax(s), 0).sum(-1)
    total = found.sum(-1)
    assert (total <= left * base**0.5 * (1 + 1e-9)).all()
    assert (total >= left / base**0.5 * (1 - 1e-9)).all()


@pytest.mark.parametrize("knobs", [{"bits": 1}, {"bits": 9}, {"base": 1.0}, {"base": 5.0}])
def test_knobs_out_of_range_are_said(knobs: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=r"log2-softmax: (bits|base) is from"):
        log2_softmax.contract(**knobs)
