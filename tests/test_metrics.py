import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graphwright.verification.metrics import Distance, measure

RNG = np.random.default_rng(0)
FLOATS = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.float16]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9),
)


@given(FLOATS)
def test_an_array_is_at_no_distance_from_itself(x: np.ndarray) -> None:
    found = measure(x, x.copy())
    assert (found.max_abs, found.relative, found.relative_l2, found.nan_mismatch) == (0, 0, 0, 0)
    assert (found.cosine, found.sqnr_db) == (1, math.inf)
    assert found.kl in (None, 0)
    assert found.top1 in (None, 1)


@given(hnp.arrays(np.float64, 7, elements=st.floats(-1e300, 1e300)), st.integers(0, 6))
def test_the_farthest_place_is_found(x: np.ndarray, at: int) -> None:
    y = x.copy()
    y[at] = -x[at] / 2 + 1
    found = measure(x, y)
    assert found.max_abs == abs(x[at] - y[at])
    assert found.where == ((at,) if found.max_abs else ())
    assert found.relative_l2 >= 0
    assert -1.0001 <= found.cosine <= 1.0001


def test_measures_of_a_known_pair() -> None:
    found = measure(np.array([3.0, 4.0, 0.0]), np.array([3.0, 4.0, 0.5]))
    assert found.max_abs == 0.5
    assert found.relative == 0.125
    assert found.relative_l2 == pytest.approx(0.1)
    assert found.sqnr_db == pytest.approx(20)
    assert found.cosine == pytest.approx(25 / (5 * math.sqrt(25.25)))
    assert found.where == (2,)
    assert found.kl is None


def test_nan_and_infinity_in_the_same_places_are_equal() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 1.0])
    assert measure(x, x + 0.0) == Distance(0.0, 0.0, 0.0, 1.0, math.inf)
    assert measure(x, np.array([np.nan, -np.inf, np.inf, 2.0])).nan_mismatch == 2
    found = measure(x, np.array([0.0, np.inf, np.nan, 1.5]))
    assert (found.nan_mismatch, found.max_abs, found.where) == (2, 0.5, (3,))


def test_what_is_no_float_is_compared_too() -> None:
    assert measure(np.array([True, False]), np.array([True, True])).max_abs == 1
    assert measure(np.array([2**62], np.int64), np.array([2**62 + 1], np.int64)).max_abs == 1
    assert measure(np.array([-(2**63)]), np.array([2**63 - 1])).max_abs == pytest.approx(2.0**64)
    assert measure(np.array(["a", "b"], object), np.array(["a", "c"], object)).max_abs == 1
    assert measure(np.array([1 + 2j]), np.array([1 + 2j])).max_abs == 0
    assert measure(np.array([1 + 2j]), np.array([1 + 4j])).max_abs == 2


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_narrow_floats_are_measured_in_wide_ones(dtype: type) -> None:
    x = np.full(9, 60000, np.float32).astype(dtype)
    found = measure(x, -x)
    assert found.max_abs == 2 * float(x[0])
    assert found.relative == 2


def test_arrays_that_cannot_be_compared_say_why() -> None:
    x = np.zeros((2, 3), np.float32)
    assert measure(x, x[0]).problem == "the shape was [2, 3] and is [3]"
    assert measure(x, x.astype(np.float16)).problem == "the element type was f32 and is f16"
    assert measure(x, x[0]).max_abs == math.inf


def test_rows_of_classes_are_compared_as_such() -> None:
    x = RNG.normal(size=(2, 3, 10))
    shifted = measure(x, x + 100)  # softmax does not see it
    assert shifted.top1 == 1
    assert shifted.kl == pytest.approx(0, abs=1e-12)
    swapped = measure(x, x[..., ::-1])
    assert swapped.top1 < 1
    assert swapped.kl > 0.1
    assert measure(x[..., :7], x[..., :7] + 1).kl is None


def test_rows_that_are_probabilities_are_taken_as_such() -> None:
    p = np.array([[0.5, 0.5, 0, 0, 0, 0, 0, 0.0]])
    q = np.array([[0.25, 0.75, 0, 0, 0, 0, 0, 0.0]])
    want = 0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75)
    assert measure(p, q).kl == pytest.approx(want)
    assert measure(p, np.roll(p, 1)).kl == math.inf  # what was possible no longer is


def test_rows_with_nan_are_left_out_of_the_rows_that_are_compared() -> None:
    x = RNG.normal(size=(4, 8))
    y = x.copy()
    x[0, 0] = y[0, 0] = np.nan
    y[1] = -y[1]
    assert measure(x, y).top1 == pytest.approx(2 / 3)
    assert measure(x[:1], y[:1] + 1).top1 is None
