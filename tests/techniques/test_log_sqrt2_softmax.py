"""Quantization to powers of sqrt 2: the form with shifts, and how far weights are off."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.techniques.rows import ROWS, assert_keeps_order, softmax, weights

from graphwright.ir.const import Array
from graphwright.ir.errors import ModelError
from graphwright.passes.techniques.log_sqrt2_softmax import log_sqrt2_softmax

SCALES = st.sampled_from([1.0, 0.5, 0.1])


@given(s=ROWS, bits=st.integers(2, 8), scale=SCALES)
def test_the_form_with_shifts_is_a_power_of_sqrt_2(s: Array, bits: int, scale: float) -> None:
    found = weights(log_sqrt2_softmax, s, bits=bits, scale=scale)
    n = np.maximum(np.round(-2 * np.log2(softmax(s) / scale)), 0)
    wanted = np.where(n > 2**bits - 1, 0, scale * 2 ** (-n / 2))
    near_a_tie = np.abs(np.abs(n + 2 * np.log2(softmax(s) / scale)) - 0.5) < 1e-9
    np.testing.assert_allclose(found[~near_a_tie], wanted[~near_a_tie], rtol=1e-12)


@given(s=ROWS, bits=st.integers(2, 8), scale=SCALES)
def test_how_far_a_weight_is_off(s: Array, bits: int, scale: float) -> None:
    w, found = softmax(s), weights(log_sqrt2_softmax, s, bits=bits, scale=scale)
    inside = (found > 0) & (w <= scale)
    assert (np.abs(found - w)[inside] <= (2**0.25 - 1) * w[inside] * (1 + 1e-9)).all()
    lost = found == 0
    assert (w[lost] <= scale * 2 ** -((2**bits - 0.5) / 2) * (1 + 1e-9)).all()
    clipped = w > scale * 2**0.25
    np.testing.assert_allclose(found[clipped], scale)
    assert_keeps_order(s, found)


def test_knobs_out_of_range_are_said() -> None:
    for knobs in ({"bits": 1}, {"scale": 0.0}, {"scale": 1.5}):
        with pytest.raises(ModelError, match=r"log-sqrt2-softmax: (bits|scale) is from"):
            log_sqrt2_softmax.contract(**knobs)
