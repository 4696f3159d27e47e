"""What was asked for by `--apply`: rules and techniques by name, and normalizers of one's own."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isnan
from pathlib import Path
from typing import Any, TypeAlias

from graphwright.calibration import Calibration
from graphwright.driver import Check, Log, run_groups
from graphwright.ir.contracts import LOSSLESS, Approximate, Contract, Tolerance
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node
from graphwright.passes.fitting import DATA
from graphwright.passes.knobs import listed
from graphwright.passes.layers import hand_on, layers_of
from graphwright.passes.rewrite import Group
from graphwright.passes.rule import Budget, rules
from graphwright.passes.technique import (
    Observe,
    Places,
    Technique,
    Work,
    defined_in,
    techniques,
)
from graphwright.requests import Knob, Request, nearest, read_request
from graphwright.surveying import attentions


@dataclass(frozen=True)
class Asked:
    """A technique that was asked for, with its knobs and where it is to be applied."""

    technique: Technique
    knobs: Mapping[str, Knob]
    places: Places

    def work(self, budget: Budget, observe: Observe, numbers: Mapping[Node, int]) -> Work:
        """What the technique may ask of a model, and where it notes what it left alone."""
        return Work(self.technique.name, budget, self.places, observe, numbers=numbers)

    def group(self, work: Work) -> Group:
        """What runs it, once."""
        sweep = self.technique.bound(work, self.knobs)
        return Group(self.technique.name, (sweep,), once=True)


Step: TypeAlias = "Group | Asked"


@dataclass(frozen=True)
class Chosen:
    """What data chose at one place: the layer, if it is part of one, and numbers by their names.

    A number is for all of the place, or there is one for each head.
    """

    layer: int | None
    where: tuple[str, ...]
    numbers: Mapping[str, tuple[float, ...]]


@dataclass
class Applied:
    """What one technique did to a model: how often, and where it did not apply and why."""

    technique: str
    contract: str
    bound: str
    lossless: bool
    knobs: dict[str, Knob]
    count: int = 0
    left: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    chosen: list[Chosen] = field(default_factory=list)


def apply_all(
    asked: Sequence[Step],
    calibration: Calibration,
    budget: Budget,
    check: Check | None,
    log: Log,
) -> tuple[list[Applied], list[str]]:
    """Apply what was asked for, in order: what each technique did, and what none could see."""
    graph = calibration.graph
    numbers = {node: i for part in graph.parts() for node, i in layers_of(part).items()}
    done = [_apply(step, calibration, budget, check, log, numbers) for step in asked]
    applied = [each for each in done if each is not None]
    return applied, _out_of_reach(graph, budget, applied)


def _apply(
    step: Step,
    calibration: Calibration,
    budget: Budget,
    check: Check | None,
    log: Log,
    numbers: dict[Node, int],
) -> Applied | None:
    """Apply a rule or technique to the graph of `calibration`; what the technique did.

    `numbers` are the layers of its nodes, and in the end of those that were made too.
    """
    graph, progress = calibration.graph, calibration.progress
    if isinstance(step, Group):
        _run(graph, step, budget, check, log, numbers, progress)
        return None
    _check_layers(step, numbers)
    work = step.work(budget, calibration.observe, numbers)
    done = _run(graph, step.group(work), budget, check, log, numbers, progress)
    made = {node for application, _ in done.kept for node in application.made}
    # It runs again where some of it was left out, and then meets what it made itself.
    left = [(n.origin.sources, why) for n, why in dict.fromkeys(work.left) if n not in made]
    refused = {n for n, _ in work.left}
    chosen = [
        Chosen(numbers.get(n), n.origin.sources, said)
        for n, said in work.chosen.items()
        if n not in refused
    ]
    contract = step.technique.contract(**step.knobs)
    lossless, bound = isinstance(contract, LOSSLESS), getattr(contract, "bound", "")
    return Applied(
        step.technique.name,
        str(contract),
        bound if isinstance(bound, str) else "",
        lossless,
        dict(step.knobs),
        len(done.kept),
        left,
        chosen,
    )


def _out_of_reach(graph: Graph, budget: Budget, applied: Sequence[Applied]) -> list[str]:
    """Which attentions no technique can see, where one found nothing, and why."""
    if all(each.count or each.left for each in applied):
        return []
    reasons: dict[str, list[str]] = {}
    for row in attentions(graph, budget).found:
        if row.left is not None:
            reasons.setdefault(row.left, []).append(row.path)
    return [
        f"no technique sees the attention at {', '.join(where)}, which stays as it was: {why}"
        for why, where in reasons.items()
    ]


def _check_layers(step: Asked, numbers: Mapping[Node, int]) -> None:
    """Raise ModelError where a layer was asked for that the model lacks."""
    count = len({i for node, i in numbers.items() if node.op == "Attention"})
    absent = [i for i in step.places.layers or () if i >= count]
    if absent:
        has = f"{count} attention{'s' * (count > 1)}, numbered from 0" if count else "no attention"
        where = f"layer{'s' * (len(absent) > 1)} {listed(absent)}"
        raise ModelError(f"{step.technique.name} was asked for in {where}, and the model has {has}")


def _run(
    graph: Graph,
    group: Group,
    budget: Budget,
    check: Check | None,
    log: Log,
    numbers: dict[Node, int],
    progress: Callable[[str], None],
) -> Log:
    """Run a group, its new nodes numbered as those they replace; what was done."""
    done = run_groups(graph, [group], budget, check, progress)
    for application, _ in done.kept:
        hand_on(numbers, application.matched, application.made)
    log += done
    return done


def promised(log: Log) -> Contract:
    """What is promised of a model after such rewrites."""
    contracts = [application.contract for application, _ in log.kept]
    if all(isinstance(contract, LOSSLESS) for contract in contracts):
        return Tolerance()
    return Approximate("relative_l2", inf)


def steps(texts: Sequence[str]) -> tuple[Step, ...]:
    """What was asked for, in the order given. Raises ModelError for what is not known."""
    return tuple(_step(text) for text in texts)


def _step(text: str) -> Step:
    file = re.match(r".*?\.py(?=[:@]|$)", text)  # its path may have a : or an @ too
    if file is not None:
        head = file[0]
        found = from_file(Path(head))
        request = read_request(found.name + text[len(head) :])
        return _asked(found, request)
    request = read_request(text)
    known = techniques()
    if request.name in known:
        return _asked(known[request.name], request)
    rule = rules().get(request.name)
    if rule is None:
        names = [*known, *rules()]
        meant = nearest(request.name, names, "see `graphwright techniques` and `graphwright rules`")
        raise ModelError(f"there is no technique and no rule '{request.name}'; {meant}")
    if not request.is_plain:
        raise ModelError(f"the rule '{request.name}' takes no knobs, layers or heads")
    return Group("asked for", (rule,))


def named(name: str) -> Technique:
    """The technique of that name, or in that file. Raises ModelError where there is none."""
    if name.endswith(".py"):
        return from_file(Path(name))
    known = techniques()
    if name not in known:
        meant = nearest(name, known, "see `graphwright techniques`")
        raise ModelError(f"there is no technique '{name}'; {meant}")
    return known[name]


def _asked(technique: Technique, request: Request) -> Asked:
    knobs = {name: _knob(technique, name, value) for name, value in request.knobs.items()}
    asked = Asked(technique, knobs, Places(request.layers, request.heads))
    technique.contract(**knobs)  # a knob out of its range is said before all work
    return asked


def _knob(technique: Technique, name: str, value: Knob) -> Knob:
    known = technique.knobs.get(name)
    if known is None:
        otherwise = f"it has {', '.join(technique.knobs) or 'none'}"
        meant = nearest(name, technique.knobs, otherwise)
        raise ModelError(f"{technique.name} has no knob '{name}'; {meant}")
    kind: Callable[[Any], Knob] = known.annotation
    if kind is str or (value == DATA and name == technique.fits):
        return str(value)
    if isinstance(value, str) or (kind is int and not isinstance(value, int)):
        what = "a whole number" if kind is int else "a number"
        large = " and less than 2^63" if value in (inf, -inf) else ""
        raise ModelError(f"{technique.name}: {name} is {what}{large}, not '{value}'")
    if isinstance(value, float) and isnan(value):
        raise ModelError(f"{technique.name}: {name} is a number, not NaN")
    return kind(value)


def from_file(path: Path) -> Technique:
    """The technique that a file defines. Raises ModelError where it defines none, or fails."""
    name = f"graphwright_applied_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ModelError(f"{path}: there is no such file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        where = f", line {error.lineno}" if error.lineno else ""
        raise ModelError(f"{path}{where}: SyntaxError: {error.msg}") from None
    except (Exception, SystemExit) as error:  # whatever a file of the user's may raise
        raise ModelError(f"{path}: {type(error).__name__}: {error}") from None
    found = defined_in(module)
    if len(found) != 1:
        what = "no normalizer and no technique" if not found else "more than one technique"
        raise ModelError(f"{path} defines {what}")
    return found[0]
