"""The checks of rules catch rules that are wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphwright.ir.contracts import Contract
from graphwright.ir.graph import Value
from graphwright.ir.parse import parse
from graphwright.ir.problems import problems
from graphwright.ir.text import show
from graphwright.mutations import mutants, swapped
from graphwright.passes.application import any_node
from graphwright.passes.pattern import (
    Erf,
    Exp,
    Neg,
    Pattern,
    ReduceMax,
    ReduceSum,
    Tanh,
    Transpose,
    scalar,
    var,
)
from graphwright.passes.rule import Builder, Exact, Example, Match, Rule, Tolerance, rules
from graphwright.testing import cases, check_rule

x, y, s = var("x"), var("y"), scalar("s")
GELU = Example("x: f32[4]", "0.5 * x * (1.0 + Erf(x / 1.4142135))", 'Gelu(x, approximate="none")')


def wrong(
    pattern: Pattern,
    build: Callable[[Match, Builder], Value],
    *examples: Example,
    contract: Contract | None = None,
    may_share: bool = False,
) -> Rule:
    kept = Tolerance() if contract is None else contract
    return Rule("fuse-wrong", "a  ->  b", pattern, kept, build, examples, may_share)


def gelu(m: Match, op: Builder) -> Value:
    return op.Gelu(m.x, approximate="none")


def softmax(m: Match, op: Builder) -> Value:
    return op.Softmax(m.x, axis=-1)


WRONG: dict[str, tuple[Rule, str]] = {
    "a number that is not looked at": (
        wrong(s * x * (1 + Erf(x / 2**0.5)), gelu, GELU),
        "a number 1 % larger",
    ),
    "a number inside that is not looked at": (
        wrong(0.5 * x * (1 + Erf(s * x)), gelu, GELU),
        "a number 1 % larger",
    ),
    "a value that is another one": (
        wrong(
            0.5 * y * (1 + Erf(x / 2**0.5)),
            gelu,
            Example("x: f32[4], y: f32[4]", GELU.before, GELU.after),
        ),
        "y for another value",
    ),
    "an order of axes that is not looked at": (
        wrong(
            Transpose(Transpose(x)),
            lambda m, op: m.x,
            Example(
                "x: f32[4, 4]",
                "Tanh(Transpose(Transpose(x, perm=(1, 0)), perm=(1, 0)))",
                "Tanh(x)",
            ),
            may_share=True,
        ),
        "perm=(0, 1)",
    ),
    "axes that are not compared": (
        wrong(
            Exp(x - ReduceMax(x)) / ReduceSum(Exp(x - ReduceMax(x))),
            softmax,
            Example(
                "x: f32[4, 4]",
                "e = Exp(x - ReduceMax(x, axes=(1,), keepdims=1))\n"
                "e / ReduceSum(e, axes=(1,), keepdims=1)",
                "Softmax(x, axis=-1)",
            ),
        ),
        "with axes=",
    ),
    "work that is done twice": (
        wrong(
            Erf(-x),
            lambda m, op: op.Neg(op.Erf(m.x)),
            Example("x: f32[4]", "Tanh(Erf(-x))", "Tanh(-Erf(x))"),
            may_share=True,
        ),
        "does work twice",
    ),
    "operands in one order only": (
        wrong(
            any_node("Mul", of=Neg(x)),
            lambda m, op: op.Neg(op.Mul(m.x, m.node.inputs[1])),
            Example("x: f32[4], y: f32[4]", "-x * y", "-(x * y)"),
        ),
        "misses",
    ),
    "another function": (
        wrong(Tanh(x), lambda m, op: op.Erf(m.x), Example("x: f32[4]", "Tanh(x)", "Erf(x)")),
        "as the example stands",
    ),
    "a rounding that is said to be none": (
        wrong(
            s * x * (1 + Erf(x / 2**0.5)),
            lambda m, op: op.Mul(op.Gelu(m.x, approximate="none"), 2.0 * m.s),
            Example(
                "x: f32[4]",
                "1.1 * x * (1.0 + Erf(x / 1.4142135))",
                'Gelu(x, approximate="none") * 2.2',
            ),
            contract=Exact(),
        ),
        "not the same bits",
    ),
    "an outcome that is another": (
        wrong(Tanh(x), lambda m, op: op.Tanh(m.x), Example("x: f32[4]", "Tanh(x)", "Erf(x)")),
        "finds no end",
    ),
    "an outcome that is written otherwise": (
        wrong(
            Tanh(Tanh(x)),
            lambda m, op: op.Erf(m.x),
            Example("x: f32[4]", "Tanh(Tanh(x))", "Sigmoid(x)"),
        ),
        "and not",
    ),
    "a refusal for another reason": (
        wrong(0.5 * x * (1 + Erf(x)), gelu, Example("x: f32[4]", "Tanh(x)", because="the axes")),
        "not because 'the axes'",
    ),
    "a refusal that is none": (
        wrong(Tanh(x), lambda m, op: op.Erf(m.x), Example("x: f32[4]", "Tanh(x)", because="no")),
        "makes of",
    ),
    "no example": (wrong(Tanh(x), lambda m, op: op.Erf(m.x)), "has no example"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_rule_is_caught(what: str) -> None:
    rule, message = WRONG[what]
    with pytest.raises((AssertionError, RuntimeError)) as caught:
        check_rule(rule)
    assert message in str(caught.value)


def test_a_right_rule_passes() -> None:
    check_rule(wrong(0.5 * x * (1 + Erf(x / 2**0.5)), gelu, GELU))


def test_there_are_cases_of_every_rule() -> None:
    found = [case.name for case in cases()]
    assert len(set(found)) == len(found)
    assert all(any(name.startswith(f"{rule}-0-") for name in found) for rule in rules())


def test_mutants_are_sound_and_different() -> None:
    for rule in rules().values():
        for example in rule.examples:
            graph = parse(example.text(example.before))
            text = show(graph)
            for each in (*mutants(graph), *swapped(graph)):
                assert not list(problems(each.graph)), each.what
                assert show(each.graph) != text, each.what
            assert show(graph) == text


def test_a_mutant_says_what_is_changed() -> None:
    graph = parse("def f(x: f32[4, 4], y: f32[4, 4]):\n    return Softmax(x / 2.0, axis=-1) - y")
    found = {each.what for each in mutants(graph)}
    assert found == {
        "Softmax with axis=0 for -1",
        "Softmax of x for another value",
        "Softmax of y for another value",
        "Div with its operands swapped",
        "Div of y for another value",
        "Div of a number 1 % larger than [2.]",
        "Div of the negative number than [2.]",
        "Sub with its operands swapped",
        "Sub of x for another value",
        "Sub of y for another value",
        "gives what Div gives too",
        "gives what Softmax gives too",
    }
