"""StableMax: another way to write it, its order, and that nothing overflows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from tests.techniques.rows import ROWS, assert_keeps_order, softmax, weights

from graphwright.ir.const import Array
from graphwright.passes.techniques.stablemax import stablemax


@given(s=ROWS)
def test_it_is_softmax_of_a_logarithm(s: Array) -> None:
    found = weights(stablemax, s)
    np.testing.assert_allclose(found, softmax(np.sign(s) * np.log1p(np.abs(s))), rtol=1e-9)
    assert (found.argmax(-1) == s.argmax(-1)).all()
    assert_keeps_order(s, found)


def test_nothing_overflows_and_hidden_keys_weigh_nothing() -> None:
    s = np.array([[[[1e30, -1e30, 0, -np.inf], [-1e30, -2e30, -np.inf, -np.inf]]]], np.float32)
    found = weights(stablemax, s)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-6)
    np.testing.assert_array_equal(found[s == -np.inf], 0)
