import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphwright.ir.operators.erf import erf


@given(st.floats(allow_nan=False))
def test_erf_is_the_error_function(x: float) -> None:
    assert erf(np.array([x]))[0] == pytest.approx(math.erf(x), abs=1e-15, rel=1e-15)


def test_erf_is_right_where_its_parts_meet() -> None:
    at = np.concatenate([np.linspace(-7, 7, 20001), [0.46875, np.nextafter(0.46875, 1), 4, 6]])
    assert np.abs(erf(at) - np.vectorize(math.erf)(at)).max() < 1e-15


def test_erf_of_what_is_no_number() -> None:
    assert np.isnan(erf(np.array([np.nan]))).all()
    assert erf(np.array([-np.inf, np.inf])).tolist() == [-1.0, 1.0]
    assert np.signbit(erf(np.array([-0.0]))).all()
    assert erf(np.zeros((0, 3), np.float32)).shape == (0, 3)
