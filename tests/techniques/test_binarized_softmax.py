"""Weights of one bit: the threshold without exponentials, its limits, and the best scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.techniques.rows import ROWS, softmax, weights

from graphwright.ir.const import Array
from graphwright.ir.errors import ModelError
from graphwright.ir.normalizers import body
from graphwright.ir.types import TensorType
from graphwright.passes.techniques.binarized_softmax import binarized_softmax

SHARE = st.sampled_from([0.01, 0.25, 0.9])


@given(s=ROWS, share=SHARE)
def test_the_threshold_on_scores_is_that_on_weights(s: Array, share: float) -> None:
    w = softmax(s)
    found = weights(binarized_softmax, s, share=share, omega="none")
    wanted = w >= share * w.max(-1, keepdims=True)
    apart = np.abs(w - share * w.max(-1, keepdims=True)) > 1e-12
    np.testing.assert_array_equal((found == 1)[apart], wanted[apart])
    assert set(np.unique(found)) <= {0.0, 1.0}


@given(s=ROWS)
def test_lambda_near_1_leaves_the_greatest_alone_and_keeps_ties(s: Array) -> None:
    s = np.concatenate([s, s.max(-1, keepdims=True)], -1)  # the greatest twice
    found = weights(binarized_softmax, s, share=1.0)
    np.testing.assert_array_equal(found > 0, s == s.max(-1, keepdims=True))
    np.testing.assert_allclose(found.sum(-1), 1.0)


def test_lambda_near_0_keeps_all() -> None:
    s = np.random.default_rng(0).normal(0, 1, (1, 2, 8, 12))
    assert (weights(binarized_softmax, s, share=0.0001, omega="none") == 1).all()
    np.testing.assert_allclose(weights(binarized_softmax, s, share=0.0001), 1 / 12)


@given(s=ROWS, share=SHARE)
def test_the_mean_is_the_best_scale_of_what_is_kept(s: Array, share: float) -> None:
    w = softmax(s)
    kept = weights(binarized_softmax, s, share=share, omega="none")
    found = weights(binarized_softmax, s, share=share, omega="mean")
    best = ((found - w) ** 2).sum(-1)
    for factor in (0.9, 0.99, 1.01, 1.1):
        assert (best <= ((found * factor - w) ** 2).sum(-1) + 1e-15).all()
    np.testing.assert_allclose((found * kept).sum(-1), (w * kept).sum(-1))


def test_without_means_there_is_no_exponential() -> None:
    assert binarized_softmax.formula is not None
    for omega in ("none", "count"):
        made = body(binarized_softmax.formula(omega=omega), TensorType("f32", (1, 2, 3, 5)))
        assert not {"Exp", "Softmax", "Log", "Pow"} & {node.op for node in made.nodes()}


def test_knobs_out_of_range_are_said() -> None:
    with pytest.raises(ModelError, match="omega is none, count or mean, not half"):
        binarized_softmax.contract(omega="half")
    with pytest.raises(ModelError, match=r"share is from 0\.0001 to 1, not 0"):
        binarized_softmax.contract(share=0)
