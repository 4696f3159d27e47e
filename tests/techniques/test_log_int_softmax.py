"""Softmax in integers: nothing overflows, and how near its powers of 2 are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.techniques.rows import ROWS, assert_keeps_order, softmax, weights

from graphwright.ir import normalizers
from graphwright.ir.const import Array
from graphwright.ir.graph import Value
from graphwright.ir.normalizers import body
from graphwright.ir.types import TensorType
from graphwright.passes.techniques.log_int_softmax import log_int_softmax

KEYS = 65535  # as many as are promised


def largest_integer(s: Array, monkeypatch: pytest.MonkeyPatch) -> int:
    """The largest integer that is met on the way, with integers that do not overflow."""
    met: list[int] = []
    meaning = normalizers._meaning

    def noted(node: Any) -> Any:
        def compute(*arrays: Array) -> Array:
            wide = [a.astype(np.int64) if a.dtype == np.int32 else a for a in arrays]
            found = np.asarray(meaning(node)(*wide))
            found = found.astype(np.int64) if found.dtype.kind == "i" else found
            met.extend([int(np.abs(found).max())] if found.dtype.kind == "i" else [])
            return found

        return compute

    monkeypatch.setattr(normalizers, "_meaning", noted)
    weights(log_int_softmax, s, bits=4)
    return max(met)


@pytest.mark.parametrize("rows", ["even", "peaked", "one apart", "far below"])
def test_no_integer_overflows_at_the_length_promised(
    rows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = np.zeros((1, 1, 1, KEYS), np.float32)
    s[..., 1:] -= {"even": 0.0, "peaked": 16.0, "one apart": 1.0, "far below": 1e30}[rows]
    largest = largest_integer(s, monkeypatch)
    assert largest < 2**31
    assert largest >= 3 * 2**29 or rows == "even"  # the bound is met, so it is no loose one


@given(s=ROWS, bits=st.integers(2, 4))
def test_weights_are_powers_of_2_in_order(s: Array, bits: int) -> None:
    found = weights(log_int_softmax, s.astype(np.float32), bits=bits)
    kept = found[found > 0]
    np.testing.assert_array_equal(np.log2(kept), np.round(np.log2(kept)))
    assert kept.min(initial=1.0) >= 2.0 ** -(2**bits - 1)
    assert_keeps_order(s, found)


@given(s=ROWS)
def test_weights_are_near_to_softmax(s: Array) -> None:
    w, found = softmax(s.astype(np.float32)), weights(log_int_softmax, s.astype(np.float32))
    large = w > 2**-10
    ratio = found[large] / w[large]
    assert ratio.min(initial=1.0) > 1 / 1.7
    assert ratio.max(initial=1.0) < 1.7


@given(s=ROWS)
def test_how_far_a_row_drifts_from_1(s: Array) -> None:
    s = s.astype(np.float32)
    w, found = softmax(s), weights(log_int_softmax, s)
    assert (found.sum(-1) <= 1.7).all()
    assert (found.sum(-1) >= np.where(w > 2**-10, w, 0).sum(-1) / 1.7 - 1e-9).all()


def test_all_of_it_but_the_ends_is_integers() -> None:
    assert log_int_softmax.formula is not None
    nodes = body(log_int_softmax.formula(), TensorType("f32", (1, 2, 3, 5))).nodes()
    floats = [n.op for n in nodes if _is_float(n.outputs[0])]
    assert not {"Exp", "Log", "Softmax", "Div", "ReduceSum"} & set(floats)


def _is_float(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype == "f32"


def test_what_is_no_number_does_no_harm() -> None:
    s = np.array([[[[np.nan, 0, 1], [np.inf, 0, -np.inf], [-np.inf] * 3]]], np.float32)
    found = weights(log_int_softmax, s)
    assert np.isfinite(found).all()
