"""Models whose functions are put in place and whose fused operators are written out."""

from __future__ import annotations

import os
from collections.abc import Iterator

from graphwright.api import Progress, Result, budget_for, load, rewritten
from graphwright.choosing import Pipeline
from graphwright.driver import run_groups
from graphwright.ir.clone import clone
from graphwright.ir.graph import Graph, Node
from graphwright.passes.pipelines import RAISE_FUSED, UNFUSE
from graphwright.passes.rule import Budget, NoMatch, Rule
from graphwright.runtime import Runtime
from graphwright.verification.data import Data
from graphwright.verification.fragments import check_fragments


def unfuse(
    model: Graph | str | os.PathLike[str],
    *,
    data: Data | None = None,
    verify: bool = True,
    isolated: bool = False,
    progress: Progress = lambda _: None,
) -> Result:
    """A graph whose functions are in place and whose fused operators are written out.

    Checked as `optimize` does, and the one given is left as it is; what stays fused, and why, is
    in the report's notes. Raises ModelError for bad models and data.
    """
    before = model if isinstance(model, Graph) else load(model, inline=True)
    result = rewritten(before, Pipeline(UNFUSE, calls=False), data, verify, isolated, progress)
    with Runtime(isolated=isolated) as runtime:
        budget = budget_for(result.graph, runtime)
        result.report.notes += _left_alone(result.graph, budget)
    return result


def raised(graph: Graph) -> Graph:
    """The graph itself, or a copy in which operators that others have fused are those of the IR."""
    rules = [rule for rule in RAISE_FUSED.rules if isinstance(rule, Rule)]
    fused = {op for rule in rules for op in rule.pattern.anchors}
    if not any(node.op in fused for _, node in graph.walk()):
        return graph
    new = clone(graph)
    with Runtime(isolated=False) as runtime:
        run_groups(
            new,
            (RAISE_FUSED,),
            budget_for(new, runtime),
            lambda parts: check_fragments(parts, runtime.evaluate, runtime.evaluate64),
        )
    return new


def _left_alone(graph: Graph, budget: Budget) -> Iterator[str]:
    """What stays fused, and why, as sentences; what was left out by its check is told elsewhere."""
    chosen = [rule for rule in RAISE_FUSED.rules if isinstance(rule, Rule)]
    for _, node in graph.walk():
        for rule in chosen:
            why = _refusal(rule, node, budget) if node.op in rule.pattern.anchors else ""
            if why:
                where = ", ".join(node.origin.sources) or node.name
                op = node.op.rpartition("::")[2].partition("@")[0]
                yield f"the {op} '{where}' stays as it is: {why}"


def _refusal(rule: Rule, node: Node, budget: Budget) -> str:
    for value in node.outputs:
        if value.uses:
            try:
                rule.at(value, budget)[2].discard()
            except NoMatch as why:
                return str(why)
    return ""
