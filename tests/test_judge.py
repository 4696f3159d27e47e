import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graphwright.ir.contracts import Approximate, Exact, Tolerance
from graphwright.verification.judge import holds, surely_holds, worst

NUMBERS = st.floats(-1e6, 1e6, width=32)
ARRAYS = hnp.arrays(np.float32, 5, elements=NUMBERS)
LOWEST = float(np.finfo(np.float32).min)


def f32(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def f64(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float64)


@given(hnp.arrays(np.float32, 5))
def test_every_contract_holds_of_equal_results(x: np.ndarray) -> None:
    assert holds(Exact(), x, x.copy()).ok
    assert holds(Tolerance(), x, x.copy()).ok
    assert holds(Tolerance(), x, x.copy(), x.astype(np.float64)).ok
    if np.isfinite(x).all():
        assert holds(Approximate("max_abs", 0.0), x, x.copy()).ok


def test_exact_is_about_bits() -> None:
    assert not holds(Exact(), f32(0.0), f32(-0.0)).ok
    assert holds(Exact(), f32(np.nan), -f32(np.nan)).ok
    assert not holds(Exact(), f32(np.nan, 1), f32(1, np.nan)).ok
    verdict = holds(Exact(), f32(1, 2, 3), f32(1, 2, np.nextafter(f32(3), 4)[0]))
    assert verdict.why == "1 of 3 elements are not the same bits"
    assert holds(Exact(), np.array([True]), np.array([True])).ok
    assert not holds(Exact(), np.array(["a"], object), np.array(["b"], object)).ok


@pytest.mark.parametrize("contract", [Exact(), Tolerance(), Approximate("max_abs", 9.0)])
def test_type_and_shape_are_kept_under_every_contract(contract: Exact) -> None:
    assert holds(contract, f32(1), f64(1)).why == "the element type was f32 and is f64"
    assert holds(contract, f32(1), f32([1])).why == "the shape was [1] and is [1, 1]"


@given(hnp.arrays(np.float64, (2, 5), elements=st.floats(-1, 1)), st.floats(1, 10))
def test_a_tolerance_is_times_the_originals_own_error(drawn: np.ndarray, times: float) -> None:
    truth, error = drawn
    own = np.abs(error).max()
    assume(own > 1e-3)
    for factor, ok in [(0.99, True), (1.01, False)]:
        after = truth + factor * times * own
        assert holds(Tolerance(times), truth + error, after, truth).ok == ok


@given(ARRAYS)
def test_a_tolerance_is_relative_to_the_largest_value(x: np.ndarray) -> None:
    top = float(np.abs(x).max())
    assume(top > 1e-3)
    exact = x.astype(np.float64)
    assert holds(Tolerance(), x, (exact + 0.9e-5 * top).astype(np.float32), exact).ok
    verdict = holds(Tolerance(), x, (exact + 1.2e-5 * top).astype(np.float32), exact)
    assert not verdict.ok
    assert "from the float64 answer" in verdict.why
    assert verdict.bound == pytest.approx(1e-5 * top)


def test_without_truth_the_original_stands_for_it_and_the_verdict_says_so() -> None:
    x = f32(1, 2, 100)
    assert holds(Tolerance(), x, x + np.float32(0.0009)).ok
    verdict = holds(Tolerance(), x, x + np.float32(0.0019))
    assert not verdict.ok
    assert verdict.against == "the original, for want of a float64 answer"


def test_a_tolerance_lets_overflow_become_a_number_and_never_the_reverse() -> None:
    truth, numbers = f64(1e3, 1e39, 2), f32(1000, np.inf, 2)
    assert holds(Tolerance(), f32(np.nan, np.inf, 2), numbers, truth).ok
    assert not holds(Tolerance(), numbers, f32(np.nan, np.inf, 2), truth).ok
    assert not holds(Tolerance(), f32(np.nan, np.inf, 2), numbers).ok  # nobody knows the number
    assert not holds(Tolerance(), f32(np.nan, 5, 2), f32(999, 5, 2), f64(1000, 5, 2)).ok
    assert not holds(Tolerance(), f32(np.nan, 2), f32(0, 2), f64(np.nan, 2)).ok
    assert holds(Tolerance(), f32(np.nan, 2), f32(np.inf, 2), f64(np.inf, 2)).ok
    assert holds(Tolerance(), f32(np.inf, np.nan), f32(np.inf, np.nan), None).ok


def test_where_the_truth_is_no_number_the_original_is_what_counts() -> None:
    assert holds(Tolerance(), f32(3, 2), f32(3, 2), f64(np.nan, 2)).ok
    assert not holds(Tolerance(), f32(3, 2), f32(4, 2), f64(np.nan, 2)).ok


def test_what_masks_are_filled_with_hides_no_error() -> None:
    before = f32(LOWEST, LOWEST, 1.0, 2.0)
    assert holds(Tolerance(), before, before.copy(), before.astype(np.float64)).ok
    wrong = f32(LOWEST, LOWEST, 1.0, 2.1)
    assert not holds(Tolerance(), before, wrong, before.astype(np.float64)).ok
    assert not holds(Tolerance(), before, f32(LOWEST, -1, 1, 2), before.astype(np.float64)).ok


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_floats_of_16_bits_may_be_rounded_once(dtype: type) -> None:
    truth = f64(1.0, 0.3)
    before = truth.astype(dtype)
    step = np.array([float(np.finfo(np.float16).eps) if dtype is np.float16 else 2.0**-7])
    rounded = (truth + step * [0.9, 0]).astype(dtype)
    assert holds(Tolerance(), before, rounded, truth).ok
    assert not holds(Tolerance(), before, (truth + 9 * step).astype(dtype), truth).ok
    assert holds(Tolerance(), before, rounded).ok
    assert not holds(Tolerance(), before, (truth + 9 * step).astype(dtype)).ok


def test_integers_and_truth_values_are_what_the_original_or_the_truth_says() -> None:
    before, truth = np.array([1, 2, 3]), np.array([1, 2, 4])
    assert holds(Tolerance(), before, np.array([1, 2, 4]), truth).ok
    assert not holds(Tolerance(), before, np.array([1, 2, 4])).ok
    assert not holds(Tolerance(), before, np.array([1, 2, 5]), truth).ok


@pytest.mark.parametrize(
    ("metric", "bound", "ok"),
    [
        ("max_abs", 0.5, True),
        ("max_abs", 0.4, False),
        ("relative", 0.13, True),
        ("relative_l2", 0.09, False),
        ("cosine", 0.99, True),
        ("cosine", 0.9999, False),
        ("sqnr_db", 19.9, True),
        ("sqnr_db", 20.1, False),
    ],
)
def test_an_approximation_is_held_to_its_metric(metric: str, bound: float, ok: bool) -> None:
    verdict = holds(Approximate(metric, bound), f32(3, 4, 0), f32(3, 4, 0.5))
    assert verdict.ok == ok
    assert ok or verdict.why.startswith(metric)


def test_an_approximation_keeps_nan_where_it_was() -> None:
    assert not holds(Approximate("max_abs", 9.0), f32(1), f32(np.nan)).ok
    assert holds(Approximate("max_abs", 9.0), f32(np.nan), f32(1)).ok  # nothing is near to NaN
    assert "is for logits" in holds(Approximate("kl", 1.0), f32(1), f32(1.5)).why
    with pytest.raises(ValueError, match="no measure"):
        holds(Approximate("nearness", 1.0), f32(1), f32(1))


def test_sequences_are_judged_element_by_element() -> None:
    x = [f32(1, 2), f32(3)]
    assert holds(Exact(), x, [f32(1, 2), f32(3)]).ok
    assert not holds(Exact(), x, [f32(1, 2), f32(4)]).ok
    assert not holds(Exact(), x, x[:1]).ok
    assert holds(Exact(), [None], [None]).ok
    assert not holds(Exact(), None, f32(1)).ok


def test_nothing_at_all_is_the_same_as_nothing() -> None:
    assert holds(Tolerance(), np.zeros((0, 3)), np.zeros((0, 3))).ok
    assert holds(Tolerance(), f32(np.nan, np.inf), f32(np.nan, np.inf), f64(np.nan, np.inf)).ok


@given(ARRAYS, ARRAYS, hnp.arrays(np.float64, 5, elements=st.floats(-1e6, 1e6)), st.floats(0, 1e-4))
def test_what_surely_holds_holds_whatever_the_truth_is(
    before: np.ndarray, step: np.ndarray, off: np.ndarray, scale: float
) -> None:
    """Also when the truth is far from both."""
    after = (before + scale * step).astype(np.float32)
    if surely_holds(Tolerance(), before, after) is not None:
        slack = Tolerance(relative=1.01e-5)  # the two bounds are taken from slightly other maxima
        for size in (0, 1e-7, 1e-5, 1):
            assert holds(slack, before, after, before + size * off).ok


def test_the_worst_verdict_is_one_that_is_not_ok() -> None:
    good = holds(Tolerance(), f32(1), f32(1))
    bad = holds(Tolerance(), f32(1), f32(2))
    assert worst([good, bad, good]) is bad
    assert worst([]).ok
    assert bad.margin == math.inf
