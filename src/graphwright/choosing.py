"""Which groups of rules run, by what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from graphwright.applying import Step, steps
from graphwright.backends.onnx.header import FUNCTIONS_SINCE
from graphwright.ir.contracts import LOSSLESS
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.passes.pipelines import BEFORE_TECHNIQUES, LOWER, RAGGED, RAISE, TRIM
from graphwright.passes.rewrite import Group
from graphwright.passes.rule import rules
from graphwright.requests import nearest

Groups: TypeAlias = tuple[Group, ...]


@dataclass(frozen=True)
class Pipeline:
    """What runs, in order: what raises a model, what was asked for, what trims, what lowers.

    What comes out is for `target`, in `opset` where that is newer than the model's, with `calls` of
    functions for what that lacks.
    """

    first: Groups
    asked: tuple[Step, ...] = ()
    then: Groups = ()
    lowering: Groups = ()
    target: str = "onnx"
    opset: int | None = None
    calls: bool = True

    def less(self, rule: str) -> Pipeline:
        """The same without a rule."""
        first, then, lowering = (
            without([rule], groups) for groups in (self.first, self.then, self.lowering)
        )
        return replace(self, first=first, then=then, lowering=lowering)


def pipeline(
    target: str, apply: Sequence[str], skip: Sequence[str], ragged: bool = False
) -> Pipeline:
    """What runs, by what was asked for. Raises ModelError for a name that nothing has."""
    if target not in TARGETS:
        meant = nearest(target, TARGETS, f"there are {' and '.join(TARGETS)}")
        raise ModelError(f"there is no target '{target}'; {meant}")
    known = rules()
    apply, skip = ([names] if isinstance(names, str) else names for names in (apply, skip))
    for name in skip:
        if name not in known:
            meant = nearest(name, known, "see `graphwright rules`")
            raise ModelError(f"there is no rule '{name}'; {meant}")
    asked = steps(apply)
    first = BEFORE_TECHNIQUES if asked else RAISE
    trim = (*TRIM, RAGGED) if ragged else TRIM
    parts = (without(skip, groups) for groups in (first, trim, LOWER[target]))
    first, then, lowering = parts
    return Pipeline(first, asked, then, lowering, target)


def with_calls(groups: Sequence[Group], graph: Graph, target: str) -> Groups:
    """The groups without those that write operators out, which become calls of functions.

    Raises ModelError where the model or the target has no use for functions.
    """
    if target != "onnx":
        raise ModelError(
            f"functions are for the target onnx; the target {target} has operators of its own"
        )
    ir_version = graph.header.ir_version if graph.header else FUNCTIONS_SINCE
    if ir_version < FUNCTIONS_SINCE:
        raise ModelError(
            f"the model has IR version {ir_version}, and functions need {FUNCTIONS_SINCE}; "
            "write it with a newer --opset first, or leave --functions out"
        )
    return tuple(group for group in groups if group.name != "lower")


def without(skip: Sequence[str], groups: Sequence[Group]) -> Groups:
    """The groups without some rules."""
    for group in groups:
        assert all(isinstance(r.contract, LOSSLESS) for r in group.rules), "a default is lossless"
    return tuple(replace(g, rules=tuple(r for r in g.rules if r.name not in skip)) for g in groups)


TARGETS = tuple(LOWER)
