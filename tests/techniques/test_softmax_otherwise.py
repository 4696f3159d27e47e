"""Softmax in two passes and with a unified maximum: the same function, wherever rows lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.techniques.rows import softmax, weights

from graphwright.ir.const import Array
from graphwright.passes.techniques.two_pass_softmax import two_pass_softmax
from graphwright.passes.techniques.unified_max_softmax import unified_max_softmax

ROWS = st.builds(
    lambda seed, keys, spread, shift: (
        shift + np.random.default_rng(seed).uniform(-spread, spread, (1, 2, 8, keys))
    ).astype(np.float32),
    st.integers(0, 10_000),
    st.integers(1, 40),
    st.sampled_from([0.1, 3.0, 100.0, 1000.0, 5000.0]),
    st.sampled_from([0.0, -50.0, 80.0, 2000.0, -4000.0, 1e6, -3e38]),
)


@given(s=ROWS)
def test_two_passes_give_softmax(s: Array) -> None:
    np.testing.assert_allclose(weights(two_pass_softmax, s), softmax(s), rtol=2e-6, atol=1e-37)


@given(s=ROWS, phi=st.sampled_from([0.0, -50.0, 80.0, 2000.0]))
def test_any_number_taken_off_gives_softmax(s: Array, phi: float) -> None:
    found = weights(unified_max_softmax, s, phi=phi)
    np.testing.assert_allclose(found, softmax(s), rtol=2e-4, atol=1e-20)


@pytest.mark.parametrize("technique", [two_pass_softmax, unified_max_softmax])
def test_hidden_keys_weigh_nothing_and_rows_without_keys_are_nan(technique: object) -> None:
    s = np.array([[[[1.0, -np.inf, 2.0], [-np.inf] * 3, [-1e4, -2e4, -np.inf]]]], np.float32)
    found = weights(technique, s)  # type: ignore[arg-type]  # both are techniques
    np.testing.assert_allclose(found[0, 0, 0], softmax(s[0, 0, 0]), rtol=1e-6)
    assert np.isnan(found[0, 0, 1]).all()
    np.testing.assert_array_equal(found[0, 0, 2], [1, 0, 0])


def pair(x: float) -> tuple[float, float]:
    """The exponential of x as m 2^n."""
    n = np.round(x * np.log2(np.e))
    return float(np.exp(x - n * np.log(2))), float(n)


def merged(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """The sum of two pairs."""
    e = max(a[1], b[1])
    return a[0] * 2.0 ** (a[1] - e) + b[0] * 2.0 ** (b[1] - e), e


@given(seed=st.integers(0, 1000), cut=st.integers(1, 9))
def test_sums_of_pairs_may_be_merged_anywhere(seed: int, cut: int) -> None:
    pairs = [pair(x) for x in np.random.default_rng(seed).uniform(-1000, 1000, 10)]

    def total(some: list[tuple[float, float]]) -> tuple[float, float]:
        found = some[0]
        for each in some[1:]:
            found = merged(found, each)
        return found

    whole, parts = total(pairs), merged(total(pairs[cut:]), total(pairs[:cut]))
    assert whole[1] == parts[1]
    np.testing.assert_allclose(whole[0], parts[0], rtol=1e-12)
