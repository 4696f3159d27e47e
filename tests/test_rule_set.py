"""What holds for the rules together: each is where it belongs, and none is in another's way."""

from __future__ import annotations

import re
from typing import TypeAlias

import pytest

from graphwright.driver import input_sizes
from graphwright.ir.contracts import LOSSLESS, Exact
from graphwright.ir.graph import Graph
from graphwright.ir.parse import parse
from graphwright.ir.text import show
from graphwright.passes.pipelines import BARE, DEFAULT, LINEAR, LOWER, RAGGED, RAISE_FUSED, TIDY
from graphwright.passes.rewrite import Group, rewrite
from graphwright.passes.rule import Budget, Example, Rule, Sweep, rules
from graphwright.runtime import Runtime

Any_: TypeAlias = "Rule | Sweep"
VERBS = ("fold", "fuse", "drop", "merge", "move", "split", "raise", "lower", "prune", "quantize")
KNOWN = rules()
SHARED = (TIDY, RAISE_FUSED)
LOWERING = {target: tuple(g for g in LOWER[target] if g not in SHARED) for target in LOWER}
ALL = (
    *DEFAULT,
    BARE,
    LINEAR,
    RAGGED,
    RAISE_FUSED,
    *(group for groups in LOWERING.values() for group in groups),
)
GROUPS = {rule.name: group for group in ALL for rule in group.rules}
FOR_LARGE = {"fold-masks"}  # by default what is as small as an example was folded before
FIRING = [(r, e) for r in KNOWN.values() for e in r.examples if e.after]


def name_of(value: object) -> str:
    return value.name if isinstance(value, Rule | Sweep) else ""


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime(isolated=False)


def run(graph: Graph, groups: tuple[Group, ...], runtime: Runtime, opset: int) -> set[str]:
    budget = Budget(runtime.compute, sizes=input_sizes(graph), opset=opset)
    return {done.rule for group in groups for done in rewrite(graph, group, budget)}


def test_there_are_rules() -> None:
    assert len(KNOWN) > 20


@pytest.mark.parametrize("target", LOWER)
def test_no_rule_is_in_two_places(target: str) -> None:
    groups = (*DEFAULT, BARE, LINEAR, RAISE_FUSED, *LOWERING[target])
    names = [rule.name for group in groups for rule in group.rules]
    assert len(set(names)) == len(names)
    assert len({group.name for group in (*groups, TIDY)}) == len(groups) + 1


def test_what_tidies_up_has_run_before() -> None:
    assert set(TIDY.rules) <= {rule for group in DEFAULT for rule in group.rules}


@pytest.mark.parametrize("rule", KNOWN.values(), ids=name_of)
def test_a_rule_runs_by_default_or_only_when_asked_for(rule: Any_) -> None:
    lossless = isinstance(rule.contract, LOSSLESS)
    assert rule.name in GROUPS or not lossless, f"no pipeline has {rule.name}"
    assert rule.name not in GROUPS or lossless, f"a default run is lossless, {rule.name} is not"


@pytest.mark.parametrize("rule", KNOWN.values(), ids=name_of)
def test_a_name_is_a_verb_and_an_object(rule: Any_) -> None:
    verb, _, subject = rule.name.partition("-")
    assert verb in VERBS, f"{rule.name}: the verb is to be one of {', '.join(VERBS)}"
    assert re.fullmatch(r"[a-z][a-z0-9-]*", subject)


@pytest.mark.parametrize("rule", KNOWN.values(), ids=name_of)
def test_a_docstring_begins_with_an_equation(rule: Any_) -> None:
    first = rule.doc.strip().partition("\n")[0]
    before, arrow, after = first.partition("  ->  ")
    assert all((before, arrow, after)), f"{rule.name}: '{first}' is not 'before  ->  after'"


@pytest.mark.parametrize("rule", KNOWN.values(), ids=name_of)
def test_a_rule_has_an_example_that_it_rewrites(rule: Any_) -> None:
    assert any(example.after for example in rule.examples)
    assert all(bool(example.after) != bool(example.because) for example in rule.examples)


@pytest.mark.parametrize("rule", KNOWN.values(), ids=name_of)
def test_a_rule_that_rounds_has_an_example_that_it_refuses(rule: Any_) -> None:
    assert isinstance(rule.contract, Exact) or any(e.because for e in rule.examples)


@pytest.mark.parametrize(("rule", "example"), FIRING, ids=name_of)
def test_what_comes_out_is_left_alone(rule: Any_, example: Example, runtime: Runtime) -> None:
    """Else a group would not come to an end, or would undo what a rule did."""
    graph = parse(example.text(example.after))
    before = show(graph)
    group = GROUPS.get(rule.name, Group("asked for", (rule,)))
    done = run(graph, (group,), runtime, example.opset)
    assert not done, f"{sorted(done)} make of\n{before}\nthis:\n{show(graph)}"


@pytest.mark.parametrize("rule", KNOWN.values(), ids=name_of)
def test_a_rule_fires_within_the_whole(rule: Any_, runtime: Runtime) -> None:
    """At least one of its examples still needs it when all the others run."""
    ours = GROUPS.get(rule.name, Group("asked for", (rule,)))
    before = () if rule.name in FOR_LARGE else DEFAULT
    groups = DEFAULT if ours in DEFAULT else (*before, ours)
    fired = set()
    for example in rule.examples:
        if example.after:
            graph = parse(example.text(example.before))
            fired |= run(graph, groups, runtime, example.opset)
    assert rule.name in fired, f"{rule.name} never comes to it: {sorted(fired)} do"
