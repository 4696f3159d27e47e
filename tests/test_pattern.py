"""What patterns take and what they do not."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.ir.graph import Value
from graphwright.ir.parse import parse
from graphwright.passes.algebra import READERS
from graphwright.passes.application import any_node
from graphwright.passes.pattern import (
    Erf,
    Exp,
    Max,
    Pattern,
    ReduceMean,
    ReduceSum,
    Softmax,
    Tanh,
    Unsqueeze,
    count_uses,
    scalar,
    var,
)
from graphwright.passes.readings import products, sums
from graphwright.passes.rule import Exact, Match, rule

x, y, z, s = var("x"), var("y"), var("z"), scalar("s")
GIVEN = "x: f32[B, 64], y: f32[B, 64], z: f32[B, 64], v: f32[64], i: i64[B, 64]"


def root(body: str, given: str = GIVEN) -> Value:
    *lines, last = body.split("; ")
    text = "\n    ".join([f"def example({given}):", *lines, f"return {last}"])
    value = parse(text).outputs[0]
    assert value is not None
    return value


def matches(pattern: Pattern, body: str, given: str = GIVEN) -> list[Match]:
    value = root(body, given)
    return [Match(value, env) for env in pattern.match(value, {})]


def names(pattern: Pattern, body: str) -> dict[str, Any] | None:
    """What the first match holds by name: inputs as their names."""
    found = matches(pattern, body)
    if not found:
        return None
    named = {k: v for k, v in found[0].env.items() if isinstance(k, str)}
    return {k: v.name if isinstance(v, Value) else v for k, v in named.items()}


@pytest.mark.parametrize(
    "body",
    ["x * Erf(y)", "Erf(y) * x", "x / (1.0 / Erf(y))", "x / Reciprocal(Erf(y))", "-(-x) * Erf(y)"],
)
def test_a_product_is_in_any_order(body: str) -> None:
    assert names(x * Erf(y), body) == {"x": "x", "y": "y"}


@pytest.mark.parametrize(
    ("body", "number"),
    [
        ("x * Erf(x)", 1.0),
        ("2.0 * (x * Erf(x))", 2.0),
        ("(x / 4.0) * (Erf(x) * 2.0)", 0.5),
        ("(x * f32([8.0])) * -Erf(x)", -8.0),
        ("(0.0 - x) * Erf(x)", -1.0),
    ],
)
def test_constants_are_gathered(body: str, number: float) -> None:
    assert names(s * x * Erf(x), body) == {"s": number, "x": "x"}


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ("x * 0.70710677", True),
        ("x / 1.4142135", True),
        ("x / 1.41422", False),
        ("x * -0.70710677", False),
        ("x", False),
    ],
)
def test_a_constant_is_within_its_rounding(body: str, fits: bool) -> None:
    assert bool(matches(Erf(x / 2**0.5), f"Erf({body})")) is fits


def test_fewer_bits_round_farther() -> None:
    assert matches(Erf(x / 2**0.5), "Erf(x * 0.7071)", "x: f16[B]")
    assert not matches(Erf(x / 2**0.5), "Erf(x * 0.7071)", "x: f32[B]")


@pytest.mark.parametrize(
    "body",
    [
        "Erf(x) ** -0.5",
        "1.0 / Sqrt(Erf(x))",
        "Reciprocal(Sqrt(Erf(x)))",
        "Sqrt(1.0 / Erf(x))",
        "Reciprocal(Erf(x) ** 0.5)",
        "Sqrt(Reciprocal(Erf(x)))",
        "(1.0 / Erf(x)) ** 0.5",
    ],
)
def test_an_inverse_root_is_a_power(body: str) -> None:
    assert names(Erf(x) ** -0.5, body) == {"x": "x"}


def test_a_root_of_a_square_is_not_the_value() -> None:
    assert not matches(Erf(x) * Tanh(x), "Sqrt(Erf(x) * Erf(x)) * Tanh(x)")
    assert not matches(Erf(x) * Tanh(x), "Sqrt(Erf(x) ** 2.0) * Tanh(x)")


@pytest.mark.parametrize("body", ["x * x * x", "x * (x * x)", "x ** 3.0", "x ** 2.0 * x"])
def test_a_cube_is_written_in_many_ways(body: str) -> None:
    assert names(Erf(x**3), f"Erf({body})") == {"x": "x"}


@pytest.mark.parametrize(
    "body", ["x - y * Tanh(z)", "x + -y * Tanh(z)", "x + y * -Tanh(z)", "-(y * Tanh(z) - x)"]
)
def test_signs_stand_anywhere(body: str) -> None:
    assert names(x - y * Tanh(z), body) == {"x": "x", "y": "y", "z": "z"}


def test_a_scalar_takes_the_sign() -> None:
    assert names(x + s * Tanh(y), "x - 3.0 * Tanh(y)") == {"x": "x", "y": "y", "s": -3.0}
    assert names(x - s * Tanh(y), "x - 3.0 * Tanh(y)") == {"x": "x", "y": "y", "s": 3.0}


def test_a_sum_keeps_its_signs() -> None:
    assert not matches(x - Tanh(y), "x + Tanh(y)")
    assert not matches(1 - Tanh(y), "Tanh(y) - 1.0")
    assert matches(1 - Tanh(y), "-(Tanh(y) - 1.0)")


def test_a_name_is_one_value() -> None:
    assert matches(x * Erf(x), "x * Erf(x)")
    assert not matches(x * Erf(x), "y * Erf(x)")


def test_a_pattern_used_twice_is_one_value() -> None:
    e = Exp(x)
    pattern = e / ReduceSum(e, axes="axes", keepdims=1)
    count_uses(pattern)
    assert matches(pattern, "e = Exp(x); e / ReduceSum(e, axes=(1,), keepdims=1)")
    assert not matches(pattern, "Exp(x) / ReduceSum(Exp(x), axes=(1,), keepdims=1)")


def test_constants_of_equal_content_are_one_value() -> None:
    body = "Erf(v * f32([1, 2])) * Tanh(v * f32([1, {}]))"
    pattern = Erf(x * y) * Tanh(x * y)
    assert matches(pattern, body.format(2), "v: f32[2]")
    assert not matches(pattern, body.format(3), "v: f32[2]")


def test_either_takes_the_first_that_fits() -> None:
    pattern = Erf(x) | Tanh(y) | Tanh(z)
    assert names(pattern, "Tanh(x)") == {"y": "x"}
    assert matches(pattern, "Tanh(x)")[0].x is None
    assert len(matches(pattern, "Tanh(x)")) == 2


def test_operands_of_other_operators_that_commute_may_be_swapped() -> None:
    assert names(Max(x, Erf(y)), "Max(Erf(y), x)") == {"x": "x", "y": "y"}
    assert not matches(x @ Erf(y), "Erf(y) @ x", "x: f32[4, 4], y: f32[4, 4]")


def test_attributes_are_compared_bound_and_tested() -> None:
    body = "Softmax(x, axis=1)"
    assert matches(Softmax(x, axis=-1), body)
    assert not matches(Softmax(x, axis=-2), body)
    assert matches(Softmax(x, axis="axis"), body)[0].axis == -1
    assert matches(Softmax(x, axis=lambda axis: axis < 0), body)


def test_axes_are_counted_from_the_end() -> None:
    mean = ReduceMean(x, axes="axes", keepdims=1)
    for axes in ("(1, 2)", "(-1, -2)", "(2, -2)"):
        (found,) = matches(mean, f"ReduceMean(x, axes={axes}, keepdims=1)", "x: f32[B, 4, 4]")
        assert found.axes == (-2, -1)
    (found,) = matches(mean, "ReduceMean(x, keepdims=1)", "x: f32[B, 4]")
    assert found.axes == (-2, -1)
    (found,) = matches(Unsqueeze(x, axes="axes"), "Unsqueeze(x, axes=(0,))", "x: f32[B, 4]")
    assert found.axes == (-3,)


def test_an_attribute_bound_twice_is_the_same() -> None:
    pattern = ReduceMean(x, axes="axes", keepdims=1) * ReduceSum(x, axes="axes", keepdims=1)
    body = "ReduceMean(x, axes=({},), keepdims=1) * ReduceSum(x, axes=(1,), keepdims=1)"
    assert matches(pattern, body.format(-1))
    assert not matches(pattern, body.format(0))


def test_a_number_with_more_axes_than_its_partner_is_none() -> None:
    assert not matches(s * Erf(x), "f32([[2.0]]) * Erf(v)")
    assert matches(s * Erf(x), "f32([2.0]) * Erf(v)")


def test_integers_are_not_read_as_algebra() -> None:
    assert not list(matches(any_node("Abs", of=x / 2), "Abs(i / 2)"))


def test_any_node_gives_what_it_reads() -> None:
    pattern = any_node("Concat", of=x)
    (found,) = matches(pattern, "Concat(x, y, z, axis=0)")
    assert [v.name for v in found.leaves()] == ["y", "z", "x"]
    assert found.x.name == "x"


def test_leaves_and_nodes_are_what_was_met() -> None:
    (found, *_) = matches(x * Erf(y), "Tanh(x) * Erf(y)")
    assert {node.op for node in found.nodes()} == {"Mul", "Erf"}
    assert [v.producer.op if v.producer else v.name for v in found.leaves()] == ["y", "Tanh"]


def test_climbing_ends_in_what_may_fit() -> None:
    value = root("Tanh((0.5 * x * (1.0 + Erf(x)) + y) * z)")
    (anchor,) = [n for n in nodes_above(value) if n.op == "Erf"]
    pattern = 0.5 * x * (1 + Erf(x))
    assert pattern.anchors == {"Erf"}
    ends = [v.producer.op for v in pattern.climb(anchor, {}) if v.producer]
    assert ends == ["Erf", "Add", "Mul"]


def test_climbing_stops_at_what_many_read() -> None:
    readers = "; ".join(f"t{i} = e * {i + 2}.0" for i in range(READERS + 1))
    together = " + ".join(f"t{i}" for i in range(READERS + 1))
    value = root(f"e = Erf(x); {readers}; {together}")
    (anchor,) = [n for n in nodes_above(value) if n.op == "Erf"]
    assert (x * Erf(x)).climb(anchor, {}) == [anchor.outputs[0]]


def nodes_above(value: Value) -> list[Any]:
    assert value.producer is not None
    found = [value.producer]
    for node in found:
        found += [v.producer for v in node.inputs if v is not None and v.producer is not None]
    return list(dict.fromkeys(found))


def test_arithmetic_alone_is_no_pattern_of_a_rule() -> None:
    with pytest.raises(TypeError, match="names no operator"):

        @rule(x * y + z, Exact())
        def fuse_anything(m: Match, op: Any) -> Value:
            """x  ->  x"""
            return m.x


def test_a_misspelt_name_is_no_operator() -> None:
    import graphwright.passes.pattern as module

    with pytest.raises(AttributeError):
        _ = module.erf


FACTORS = ("Erf(x)", "Tanh(y)", "Exp(z)", "0.5", "x")


@st.composite
def groupings(draw: st.DrawFn, join: str) -> str:
    """The factors (or terms) in any order and grouping."""
    parts = list(draw(st.permutations(FACTORS)))
    while len(parts) > 1:
        at = draw(st.integers(0, len(parts) - 2))
        parts[at : at + 2] = [f"({parts[at]} {join} {parts[at + 1]})"]
    return parts[0]


@settings(max_examples=50, deadline=None)
@given(groupings("*"))
def test_a_product_matches_in_every_grouping(body: str) -> None:
    assert names(0.5 * x * Erf(x) * Tanh(y) * Exp(z), body) == {"x": "x", "y": "y", "z": "z"}
    assert not matches(0.25 * x * Erf(x) * Tanh(y) * Exp(z), body)


@settings(max_examples=50, deadline=None)
@given(groupings("+"))
def test_a_sum_matches_in_every_grouping(body: str) -> None:
    assert names(x + Erf(x) + Tanh(y) + Exp(z) + 0.5, body) == {"x": "x", "y": "y", "z": "z"}
    assert not matches(x + Erf(x) + Tanh(y) - Exp(z) + 0.5, body)


def product_of(numbers: list[float]) -> float:
    return reduce(lambda a, b: a * b, numbers, 1.0)


def test_every_reading_is_the_same_product() -> None:
    at = {"x": 3.0, "y": 5.0, "z": 0.5}
    value = root("-(x / (4.0 * y)) * Sqrt(4.0 / z) / 2.0")
    readings = list(products(value, 1.0, 3))
    assert len(readings) > 3
    for constant, parts in readings:
        if all(part.name in at for part, _ in parts):
            found = constant * product_of([at[part.name] ** e for part, e in parts])
            assert found == pytest.approx(-(3 / 20) * (4 / 0.5) ** 0.5 / 2)


def test_every_reading_is_the_same_sum() -> None:
    at = {"x": 3.0, "y": 5.0, "z": 0.5}
    for constant, parts in sums(root("x - (y - (1.0 - z)) + 4.0"), 1.0, 3):
        if all(part.name in at for part, _ in parts):
            assert constant + sum(at[part.name] * e for part, e in parts) == 3 - (5 - 0.5) + 4
