"""Normalizers: the formula language, what is known of a body, and where one may not stand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphwright.ir.normalizers import body, compute
from graphwright.ir.parse import parse
from graphwright.ir.rows import Traits, faults, traits
from graphwright.ir.text import same, show
from graphwright.ir.types import TensorType

SCORES = TensorType("f32", (2, 4, 3, 5))
SOFTMAX = "e = Exp(s - ReduceMax(s))\ne / ReduceSum(e)"
KNOWN = {
    "Softmax(s)": Traits(1, True, True, False, "NaN"),
    SOFTMAX: Traits(1, True, True, False, "NaN"),
    "Sigmoid(s)": Traits(1, False, False, True, "zero"),
    "Sigmoid(s - Log(count))": Traits(2, False, False, True, "NaN"),
    "Softplus(s) / ReduceSum(Softplus(s))": Traits(2, False, False, True, "NaN"),
    "e = Softplus(s)\ne / ReduceSum(e)": Traits(1, False, True, True, "NaN"),
    "Min(Max(1.03 * Softmax(s) - 0.03, 0.0), 1.0)": Traits(2, False, False, False, "NaN"),
    "Where(s >= ReduceMax(s) - 1.5, 1.0, 0.0)": Traits(2, False, False, False, "other"),
    "e = Where(valid, Relu(s + 2.0), 0.0)\ne / (ReduceSum(e) + 1.0)": Traits(
        2, False, False, True, "zero"
    ),
    "a = Relu(Softmax(s) * count - 1.0)\na / ReduceSum(a)": Traits(2, False, True, False, "NaN"),
    "Where(ReduceMax(s) > 1.0, Softmax(s), Softmax(2.0 * s))": Traits(2, False, True, True, "NaN"),
    "Where(s > 1.0, Softmax(s), Softmax(2.0 * s))": Traits(2, False, False, True, "NaN"),
    "Softmax(0.5 * s)": Traits(1, True, True, False, "NaN"),
    "Softmax(s * s)": Traits(1, True, True, True, "NaN"),
    "Softmax(Where(s >= ReduceMax(s) - 2.0, s, -inf))": Traits(2, False, True, False, "NaN"),
    "Softmax(Where(s >= 1.0, s, -inf))": Traits(1, True, True, True, "NaN"),
    "x = s / 4.0\nRelu(x - ReduceMax(x) + 1.0)": Traits(2, False, False, False, "NaN"),
    "x = -2.0 * s\nExp(ReduceMin(x) - x)": Traits(2, False, False, False, "NaN"),
    "x = 2.0 * s\nExp(x - ReduceMax(s))": Traits(2, False, False, True, "NaN"),
}


@pytest.mark.parametrize("formula", KNOWN)
def test_what_is_known_of_a_body(formula: str) -> None:
    made = body(formula, SCORES)
    assert not list(faults(made))
    assert traits(made) == KNOWN[formula]


@pytest.mark.parametrize("formula", KNOWN)
@given(seed=st.integers(0, 1000), shift=st.floats(-8, 8), large=st.sampled_from([1.0, 100.0]))
def test_what_is_known_is_true(formula: str, seed: int, shift: float, large: float) -> None:
    scores = TensorType("f64", SCORES.shape)
    made = body(formula, scores)
    known = traits(made)
    s = np.random.default_rng(seed).normal(0, large, (2, 4, 3, 5))
    s[0, :, :, 3:] = -np.inf
    weights = compute(made, s)
    assert weights.shape == s.shape
    if known.sums_to_one:
        ours = np.isfinite(weights).all(-1)
        np.testing.assert_allclose(weights.sum(-1)[ours], 1.0, rtol=1e-12)
    if not known.sees_shift:
        np.testing.assert_allclose(compute(made, s + shift), weights, rtol=1e-9, atol=1e-12)


def test_softmax_is_softmax() -> None:
    s = np.random.default_rng(0).normal(0, 3, (2, 4, 3, 5)).astype(np.float32)
    one, other = (compute(body(formula, SCORES), s) for formula in ("Softmax(s)", SOFTMAX))
    np.testing.assert_array_equal(one, other)


def test_a_body_is_read_as_it_is_written() -> None:
    text = show(body("Where(valid, s / count, 0.0)", SCORES))
    assert same(parse(text), body("Where(valid, s / count, 0.0)", SCORES))


@pytest.mark.parametrize(
    ("formula", "why"),
    [
        ("", "ends with an expression"),
        ("x = s", "ends with an expression"),
        ("s < 1.0 < 2.0", "no comparison"),
        ("Softmaxx", "nothing is called"),
        ("s +", "invalid syntax"),
    ],
)
def test_what_is_no_formula(formula: str, why: str) -> None:
    with pytest.raises((SyntaxError, TypeError), match=why):
        body(formula, SCORES)


@pytest.mark.parametrize(
    ("formula", "why"),
    [
        ("s - ReduceMax(s, axes=(-2,), keepdims=1)", "along another axis"),
        ("s @ Transpose(s, perm=(0, 1, 3, 2)) @ s", "neither works element by element"),
        ("s + f32([1, 2, 3, 4, 5])", "differs along the row"),
        ("s + f32([[1], [2], [3]])", "differs along the row"),
    ],
)
def test_what_is_no_body(formula: str, why: str) -> None:
    assert any(why in fault for fault in faults(body(formula, SCORES)))
