"""Which rewrite breaks a model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from graphwright.api import Progress, budget_for, load
from graphwright.choosing import pipeline
from graphwright.driver import fragment, run_groups
from graphwright.history import History
from graphwright.ir.clone import clone
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.passes.rewrite import Application, Group
from graphwright.report import plain, sources_of
from graphwright.runtime import Runtime
from graphwright.verification.data import Data
from graphwright.verification.fragments import check_fragments
from graphwright.verification.judge import Verdict
from graphwright.verification.verify import Verification
from graphwright.verification.verify import verify as verify_graphs

SCHEMA = 1


@dataclass(frozen=True)
class Guilty:
    """A rewrite that breaks a model: which one of how many, and where in the user's model.

    `why` says how the whole differs once it is made, and `alone` what is found of the part that it
    changes, which is empty where that part by itself keeps its contract.
    """

    rule: str
    contract: str
    where: tuple[str, ...]
    number: int
    why: str
    alone: str
    distance: float | None


@dataclass(frozen=True)
class Bisection:
    """What was found out: nothing wrong when `guilty` is None."""

    guilty: Guilty | None
    rewrites: int
    tried: int
    verified: Verification

    @property
    def ok(self) -> bool:
        """Whether all rewrites together leave the model the same function."""
        return self.guilty is None

    def as_json(self) -> dict[str, Any]:
        """The answer as plain data, in a form that only grows."""
        found: dict[str, Any] = plain({"schema": SCHEMA, "ok": self.ok, **asdict(self)})
        return found

    def __str__(self) -> str:
        count = f"{self.rewrites} rewrite{'s' if self.rewrites != 1 else ''}"
        if self.guilty is None:
            return f"nothing is wrong: after {count} it is the same function"
        guilty = self.guilty
        alone = guilty.alone or "its part alone keeps the contract: the error grows in what follows"
        return (
            f"{guilty.rule} ({guilty.contract}) breaks it at {', '.join(guilty.where)}\n"
            f"  the whole  {guilty.why}\n"
            f"  its part   {alone}\n"
            f"  it is rewrite {guilty.number} of {self.rewrites}, found in {self.tried} runs"
        )


def bisect(
    model: Graph | str | os.PathLike[str],
    *,
    target: str = "onnx",
    apply: Sequence[str] = (),
    skip: Sequence[str] = (),
    data: Data | None = None,
    isolated: bool = False,
    progress: Progress = lambda _: None,
) -> Bisection:
    """Make all rewrites unchecked, and name the one after which the model is another function.

    The options are those of `optimize`. Raises ModelError for bad models, names and data, and where
    the model cannot be run.
    """
    before = model if isinstance(model, Graph) else load(model, inline=True)
    chosen = pipeline(target, apply, skip)
    asked = [step for step in chosen.asked if isinstance(step, Group)]
    if len(asked) < len(chosen.asked):
        raise ModelError("a technique makes another function of a model; only rules are bisected")
    groups = (*chosen.first, *asked, *chosen.then, *chosen.lowering)
    graph = clone(before)
    with Runtime(isolated=isolated) as runtime:
        budget = budget_for(graph, runtime)
        log = run_groups(graph, groups, budget, None, progress)
        done = [application for application, _ in log.kept]

        def verified(at: Graph) -> Verification:
            return verify_graphs(before, at, runtime.evaluate, runtime.evaluate64, data)

        search = History(graph, done, verified, progress)
        whole = search.at(len(done))
        if whole.ok:
            return Bisection(None, len(done), search.tried, whole)
        if not whole.runs:
            raise ModelError(whole.why)
        guilty = search.guilty()
        alone = _alone(done[guilty], graph, runtime)
        found = _told(done[guilty], guilty, search.found[guilty + 1], alone)
        return Bisection(found, len(done), search.tried, whole)


def _alone(application: Application, whole: Graph, runtime: Runtime) -> Verdict:
    part = fragment(application, whole)
    (verdict,) = check_fragments([part], runtime.evaluate, runtime.evaluate64)
    return verdict


def _told(application: Application, at: int, whole: Verification, alone: Verdict) -> Guilty:
    apart = [o.verdict.distance.max_abs for o in whole.outputs if o.verdict.distance is not None]
    return Guilty(
        application.rule,
        str(application.contract),
        sources_of(application),
        at + 1,
        whole.why,
        alone.why,
        max(apart, default=None),
    )
