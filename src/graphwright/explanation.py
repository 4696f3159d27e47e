"""What a rule does, and why rules left places of a model alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from inspect import cleandoc
from textwrap import indent

from graphwright.driver import input_sizes, run_groups
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node, Value
from graphwright.passes.pipelines import DEFAULT, LOWER
from graphwright.passes.rule import Budget, Example, NoMatch, Rule, Sweep, rules
from graphwright.requests import nearest
from graphwright.runtime import Runtime

FITS = "it fits"


@dataclass(frozen=True)
class NearMiss:
    """A place that a rule looked at and left alone, and why; `FITS` where it would do it."""

    rule: str
    op: str
    where: tuple[str, ...]
    why: str


def rule_named(name: str) -> Rule | Sweep:
    """The rule of that name. Raises ModelError with the nearest name where there is none."""
    known = rules()
    if name not in known:
        meant = nearest(name, known, "see `graphwright rules`")
        raise ModelError(f"there is no rule '{name}'; {meant}")
    return known[name]


def group_of(name: str) -> str:
    """The group of the default run that a rule is in; empty when it runs only where asked for."""
    return next((g.name for g in DEFAULT if any(r.name == name for r in g.rules)), "")


def first_line(rule: Rule | Sweep) -> str:
    """The first line of a rule's docstring: its formula."""
    return rule.doc.strip().partition("\n")[0]


def told(rule: Rule | Sweep) -> Iterator[str]:
    """A rule in full, line by line: contract, formula, sources, examples and refusals."""
    group = group_of(rule.name)
    when = f"runs by default, in the group '{group}'" if group else _when_asked(rule.name)
    yield f"{rule.name}: {rule.contract}; {when}"
    yield ""
    yield cleandoc(rule.doc)
    for title, kept in (("rewrites", False), ("leaves alone", True)):
        examples = [e for e in rule.examples if bool(e.because) is kept]
        if examples:
            yield from ("", title)
        for example in examples:
            yield from _example(example)


def _when_asked(name: str) -> str:
    """For which targets a rule runs, or else how to ask for it."""
    found = {
        target: f"from opset {g.since} on" if g.since else ""
        for target, groups in LOWER.items()
        for g in groups
        if any(r.name == name for r in g.rules)
    }
    said = [f"--target {target} {since}".rstrip() for target, since in found.items()]
    return f"runs with {' and '.join(said)}" if said else f"--apply {name}"


def _example(example: Example) -> Iterator[str]:
    yield f"  {example.given}"
    yield indent(example.before.strip(), "      ")
    if example.because:
        yield f"    because: {example.because}"
    else:
        yield "    becomes"
        yield indent(example.after.strip(), "      ")


def near_misses(graph: Graph, name: str | None = None) -> list[NearMiss]:
    """What rules refuse in `graph` once the default ones are done; `graph` is rewritten.

    Where `name` names one, places that look like it at all are there too.
    """
    wanted = list(rules().values()) if name is None else [rule_named(name)]
    with Runtime(isolated=True) as runtime:
        budget = Budget(lambda node: runtime.compute(node, graph), sizes=input_sizes(graph))
        run_groups(graph, DEFAULT, budget, None)
        chosen = [rule for rule in wanted if isinstance(rule, Rule)]
        return [m for rule in chosen for m in _refusals(graph, rule, budget, name is not None)]


def _refusals(graph: Graph, rule: Rule, budget: Budget, all_: bool) -> Iterator[NearMiss]:
    tried: set[Value] = set()
    anchors = rule.pattern.anchors
    for _, node in graph.walk():
        if "*" not in anchors and node.op not in anchors:
            continue
        roots = [v for v in rule.pattern.climb(node, {}) if v.uses and v not in tried]
        tried.update(roots)
        found = [(v, why) for v in roots if (why := _why(rule, v, budget))]
        yield from (_miss(rule, v.producer, why) for v, why in found)
        if all_ and not found and "*" not in anchors:
            yield _miss(rule, node, "the pattern does not fit around it")


def _why(rule: Rule, root: Value, budget: Budget) -> str:
    """Why the rule refuses `root`; empty where its pattern does not fit at all."""
    if next(iter(rule.pattern.match(root, {})), None) is None:
        return ""
    try:
        _, _, builder = rule.at(root, budget)
    except NoMatch as refusal:
        return str(refusal)
    builder.discard()
    return FITS


def _miss(rule: Rule, node: Node | None, why: str) -> NearMiss:
    if node is None:
        return NearMiss(rule.name, "", (), why)
    return NearMiss(rule.name, node.op, node.origin.sources, why)


def grouped(misses: Iterable[NearMiss]) -> dict[str, dict[str, list[NearMiss]]]:
    """Near misses by rule and reason."""
    found: dict[str, dict[str, list[NearMiss]]] = {}
    for miss in misses:
        found.setdefault(miss.rule, {}).setdefault(miss.why, []).append(miss)
    return found
