"""Which groups of rules run, by what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from graphwright.backends.onnx.header import FUNCTIONS_SINCE
from graphwright.ir.contracts import LOSSLESS
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.passes.pipelines import DEFAULT, LOWER
from graphwright.passes.rewrite import Group
from graphwright.passes.rule import rules
from graphwright.requests import nearest, read_request

Groups: TypeAlias = tuple[Group, ...]


def pipeline(target: str, apply: Sequence[str], skip: Sequence[str]) -> tuple[Groups, Groups]:
    """The groups of rules that run, in order, and those that lower what comes of them.

    Raises ModelError for a name that nothing has.
    """
    if target not in TARGETS:
        meant = nearest(target, TARGETS, f"there are {' and '.join(TARGETS)}")
        raise ModelError(f"there is no target '{target}'; {meant}")
    known = rules()
    apply, skip = ([names] if isinstance(names, str) else names for names in (apply, skip))
    requests = [read_request(text) for text in apply]
    for name in (*(request.name for request in requests), *skip):
        if name not in known:
            meant = nearest(name, known, "see `graphwright rules`")
            raise ModelError(f"there is no rule '{name}'; {meant}")
    for request in requests:
        if not request.is_plain:
            raise ModelError(f"the rule '{request.name}' takes no knobs, layers or heads")
    asked = tuple(known[request.name] for request in requests)
    asked_for = (Group("asked for", asked),) if asked else ()
    return (*without(skip, DEFAULT), *asked_for), without(skip, LOWER[target])


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
