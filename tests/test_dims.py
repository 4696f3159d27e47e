"""Sizes behave as the integers that they stand for."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from graphwright.ir.dims import (
    Dim,
    Sym,
    atoms_of,
    joint,
    least,
    product,
    sym,
    written,
)
from graphwright.ir.quotients import exact_quotient
from graphwright.ir.substitution import evaluate, substitute

B, S, T = sym("B"), sym("S"), sym("T")
SIZES = st.fixed_dictionaries({name: st.integers(0, 9) for name in "BST"})
LEAVES = st.one_of(st.integers(-4, 7), st.sampled_from("BST"))
Recipe = Any  # a number, a name, or (operator, recipe, recipe)
Strategy = st.SearchStrategy[Recipe]


def _polynomial(inner: Strategy) -> Strategy:
    return st.tuples(st.sampled_from([operator.add, operator.sub, operator.mul]), inner, inner)


def _size(inner: Strategy) -> Strategy:
    cut = st.tuples(st.sampled_from([operator.floordiv, min]), inner, st.integers(1, 6))
    return st.one_of(_polynomial(inner), cut)


POLYNOMIALS = st.recursive(LEAVES, _polynomial, max_leaves=6)
RECIPES = st.recursive(LEAVES, _size, max_leaves=8)


def size(recipe: Recipe) -> Dim:
    """What a recipe gives of sizes."""
    if isinstance(recipe, int):
        return recipe
    if isinstance(recipe, str):
        return sym(recipe)
    function, left, right = recipe
    found: Dim = (least if function is min else function)(size(left), size(right))
    return found


def number(recipe: Recipe, sizes: dict[str, int]) -> int:
    """What the same recipe gives of integers."""
    if isinstance(recipe, int):
        return recipe
    if isinstance(recipe, str):
        return sizes[recipe]
    function, left, right = recipe
    return int(function(number(left, sizes), number(right, sizes)))


@given(RECIPES, SIZES)
def test_arithmetic_is_that_of_integers(recipe: Recipe, sizes: dict[str, int]) -> None:
    assert evaluate(size(recipe), sizes) == number(recipe, sizes)


@given(RECIPES, SIZES)
def test_what_is_written_is_the_formula(recipe: Recipe, sizes: dict[str, int]) -> None:
    assert eval(str(size(recipe)), dict(sizes)) == number(recipe, sizes)


@given(RECIPES, SIZES)
def test_nonnegative_sizes_are_never_below_zero(recipe: Recipe, sizes: dict[str, int]) -> None:
    dim = size(recipe)
    if isinstance(dim, Sym) and dim.nonnegative:
        assert evaluate(dim, sizes) >= 0


@given(RECIPES, RECIPES, SIZES)
def test_substituting_and_then_evaluating_is_evaluating(
    recipe: Recipe, other: Recipe, sizes: dict[str, int]
) -> None:
    replaced = substitute(size(recipe), {"S": size(other)})
    assert evaluate(replaced, sizes) == number(recipe, {**sizes, "S": number(other, sizes)})


@given(POLYNOMIALS, POLYNOMIALS, POLYNOMIALS)
def test_equal_polynomials_are_one(a: Recipe, b: Recipe, c: Recipe) -> None:
    x, y, z = size(a), size(b), size(c)
    assert x + y == y + x
    assert x * y == y * x
    assert x * (y + z) == x * y + x * z
    assert (x + y) + z == x + (y + z)
    assert x - x == 0
    assert -1 * (-x) == x
    assert hash(x * y) == hash(y * x)


@given(POLYNOMIALS, POLYNOMIALS)
def test_a_product_divides_by_its_factors(a: Recipe, b: Recipe) -> None:
    x, y = size(a), size(b)
    assume(y != 0)
    assert exact_quotient(x * y, y) == x


@given(RECIPES, RECIPES, SIZES)
def test_an_exact_quotient_is_exact(a: Recipe, b: Recipe, sizes: dict[str, int]) -> None:
    quotient = exact_quotient(size(a), size(b))
    if quotient is not None:
        assert evaluate(quotient, sizes) * number(b, sizes) == number(a, sizes)


@given(RECIPES, RECIPES, SIZES)
def test_where_sizes_meet_is_what_numpy_broadcasts_to(
    a: Recipe, b: Recipe, sizes: dict[str, int]
) -> None:
    x, y = number(a, sizes), number(b, sizes)
    assume(min(x, y) >= 0 and (x == y or 1 in (x, y)))
    (met,) = np.broadcast_shapes((x,), (y,))
    assert evaluate(joint(size(a), size(b)), sizes) == met


@given(RECIPES)
def test_the_names_in_a_size_are_those_it_is_made_of(recipe: Recipe) -> None:
    assert atoms_of(size(recipe)) <= set("BST")


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (least(S, 64), "min(S, 64)"),
        (2 * joint(S, T), "2*joint(S, T)"),
        (B * S + 1, "B*S+1"),
        (S - 1, "S-1"),
        (1 - S, "-S+1"),
        ((S + 3) // 4, "(S+3)//4"),
        (2 * (S // 4) - 1, "2*(S//4)-1"),
        ((2 * S + T + 3) // 2, "S+(T+1)//2+1"),
        (S * S, "S*S"),
        (sym("past + 1") * 2, "2*past + 1"),
    ],
)
def test_how_sizes_are_written(dim: Dim, text: str) -> None:
    assert str(dim) == text


def test_names_can_be_written_otherwise() -> None:
    assert written(B * (S // 2), str.lower) == "b*(s//2)"
    assert written(3, str.lower) == "3"


def test_sizes_meet_that_are_computed_differently() -> None:
    assert (2 * S + 4) // 2 == S + 2
    assert (S - 1) // 2 + 1 == (S + 1) // 2  # a convolution's, written in two ways
    assert least(least(S, 8), 9) == least(S, 8)
    assert joint(S, least(S, 64)) == S
    assert joint(S, 7) == 7
    assert joint(joint(S, T), S) == joint(T, S)
    assert product([B, S, 4]) // 4 == B * S
    assert product([]) == 1


def test_what_cannot_be_divided() -> None:
    assert exact_quotient(S + 1, 2) is None
    assert exact_quotient(S, T) is None
    assert exact_quotient(B * (S + T) * 8, (S + T) * 3) is None
    assert exact_quotient(S, 0) is None
    assert exact_quotient(0, 0) is None
    with pytest.raises(ValueError, match="positive"):
        S // 0


def test_a_size_without_a_number_is_missing() -> None:
    with pytest.raises(KeyError):
        evaluate(S + T, {"S": 1})


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5))
def test_joint_and_least_are_what_running_gives(s: int, t: int, bound: int) -> None:
    size = least(sym("S") + 1, bound)
    assert evaluate(size, {"S": s}) == min(s + 1, bound)
    for a, b in ((s, 1), (1, t), (s, s)):
        both = joint(sym("A"), sym("B"))
        assert evaluate(both, {"A": a, "B": b}) == max(a, b)


def test_what_meets_its_own_minimum_is_itself() -> None:
    s = sym("S")
    assert joint(s, least(s, 64)) == s
    assert joint(joint(s, sym("T")), s) == joint(s, sym("T"))
    assert least(least(s, 64), 32) == least(s, 32)
