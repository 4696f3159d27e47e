"""Quantization in equal steps: half a step at most, and what is clipped."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.techniques.rows import ROWS, assert_keeps_order, softmax, weights

from graphwright.ir.const import Array
from graphwright.passes.techniques.uniform_softmax import uniform_softmax


@given(s=ROWS, bits=st.integers(2, 8), scale=st.sampled_from([1.0, 0.5, 0.1]))
def test_a_weight_is_a_step_near_to_itself(s: Array, bits: int, scale: float) -> None:
    w, found = softmax(s), weights(uniform_softmax, s, bits=bits, scale=scale)
    step = scale / (2**bits - 1)
    np.testing.assert_allclose(found / step, np.round(found / step), atol=1e-9)
    assert (np.abs(found - np.minimum(w, scale)) <= step / 2 * (1 + 1e-9)).all()
    assert len(np.unique(np.round(found / step))) <= 2**bits
    assert_keeps_order(s, found)


def test_even_rows_of_many_keys_are_lost() -> None:
    assert not weights(uniform_softmax, np.zeros((1, 1, 1, 40)), bits=4).any()
    assert weights(uniform_softmax, np.zeros((1, 1, 1, 29)), bits=4).all()


@given(s=ROWS, bits=st.integers(2, 8), scale=st.sampled_from([1.0, 0.5, 0.1]))
def test_how_far_a_row_drifts_from_1(s: Array, bits: int, scale: float) -> None:
    clipped = np.maximum(softmax(s) - scale, 0).sum(-1)
    drift = weights(uniform_softmax, s, bits=bits, scale=scale).sum(-1) - 1
    allowed = s.shape[-1] * scale / (2**bits - 1) / 2 + 1e-9
    assert (drift <= allowed - clipped).all()
    assert (drift >= -allowed - clipped).all()
