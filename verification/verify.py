"""Whether two whole models are the same function, on made inputs or on the user's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphwright.ir.contracts import Contract, Tolerance
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.verification.data import Data, read_data
from graphwright.verification.feeds import Feed, make_feeds
from graphwright.verification.judge import Verdict
from graphwright.verification.runs import Evaluate, Outputs, Truth, judged, run_each
from graphwright.verification.sizes import schemes

TOLERANCE = Tolerance()


@dataclass(frozen=True)
class OutputVerdict:
    """What was found of one output: the worst verdict, and the inputs that caused it."""

    name: str
    verdict: Verdict
    inputs: str


@dataclass(frozen=True)
class Verification:
    """Whether two models are the same function, as far as was tried; when not, `why` is a sentence.

    `runs` counts the inputs that both ran on, `skipped` those that the original itself fails on,
    and `inputs` says how they were made. `truth` says why no float64 answer was there, or is empty.
    """

    ok: bool
    why: str
    outputs: tuple[OutputVerdict, ...]
    runs: int
    skipped: int
    inputs: str
    skipped_why: str = ""
    truth: str = ""


def verify(
    before: Graph,
    after: Graph,
    evaluate: Evaluate,
    evaluate64: Evaluate,
    data: Data | None = None,
    contract: Contract = TOLERANCE,
    seed: int = 0,
) -> Verification:
    """Run both models on the same inputs and hold their outputs to `contract`.

    Without `data` inputs are made. Inputs on which the original itself fails are left out and
    counted; when none is left the models are not verified. Raises ModelError for data that does
    not fit the model.
    """
    problem = signature_problem(before, after)
    if problem:
        return Verification(False, problem, (), 0, 0, "")
    inputs = _given(before, evaluate, data) if data is not None else _made(before, evaluate, seed)
    if not inputs.ran:
        why = f"nothing was compared, since the original runs on no inputs: {inputs.reason}"
        return Verification(False, why, (), 0, inputs.skipped, inputs.about, inputs.reason)
    feeds = [feed for feed, _ in inputs.ran]
    became = run_each(evaluate, after, feeds)
    failed = next((i for i, outputs in enumerate(became) if isinstance(outputs, ModelError)), None)
    if failed is not None:
        why = f"{became[failed]!s} (the original runs; the inputs: {feeds[failed].about})"
        counts = (len(feeds), inputs.skipped, inputs.about, inputs.reason)
        return Verification(False, why, (), *counts)
    truth = Truth(evaluate64, before)
    pairs = [(f, was, now) for (f, was), now in zip(inputs.ran, became, strict=True)]
    found = _worst(before, [(f, a, b) for f, a, b in pairs if isinstance(b, list)], contract, truth)
    bad = [f"'{o.name}': {o.verdict.why} ({o.inputs})" for o in found if not o.verdict.ok]
    counts = (len(feeds), inputs.skipped, inputs.about, inputs.reason)
    return Verification(not bad, "; ".join(bad), found, *counts, truth.why_not)


@dataclass(frozen=True)
class Inputs:
    """Inputs that the original runs on, with what it gives; and what is known of the others."""

    ran: tuple[tuple[Feed, Outputs], ...]
    skipped: int
    about: str
    reason: str


def signature_problem(before: Graph, after: Graph) -> str:
    """Why two models cannot be run alike, as a sentence; empty when they can."""
    wanted = {v.name for v in before.inputs if v not in before.defaults}
    taken = {v.name for v in after.inputs}
    needed = {v.name for v in after.inputs if v not in after.defaults}
    if wanted - taken:
        return f"the new model does not take the inputs {sorted(wanted - taken)}"
    if needed - {v.name for v in before.inputs}:
        return f"the new model wants other inputs: {sorted(needed - wanted)}"
    names = [graph.result.attrs["names"] for graph in (before, after)]
    if names[0] != names[1]:
        return f"the outputs were {names[0]!r} and are {names[1]!r}"
    return ""


def runnable(before: Graph, evaluate: Evaluate, seed: int = 0) -> list[Feed]:
    """Made inputs that `before` runs on; none where it runs on none of them."""
    return [feed for feed, _ in _made(before, evaluate, seed).ran]


def _given(before: Graph, evaluate: Evaluate, data: Data) -> Inputs:
    feeds = read_data(data, before)
    return _sorted(feeds, run_each(evaluate, before, feeds), "the data given")


def _made(before: Graph, evaluate: Evaluate, seed: int) -> Inputs:
    """The first scheme of sizes that all inputs run with, or else the one that most do."""
    best: Inputs | None = None
    for scheme in schemes(before, seed):
        about = f"made from seed {seed}, sizes {scheme.about}" if scheme.choices[0] else ""
        try:
            feeds = make_feeds(before, seed, scheme=scheme)
        except ModelError as error:
            found = Inputs((), 0, about, str(error))
        else:
            found = _sorted(
                feeds, run_each(evaluate, before, feeds), about or f"made from seed {seed}"
            )
        if best is None or len(found.ran) > len(best.ran):
            best = found
        if best.ran and not best.skipped:
            break
    assert best is not None, "there is always one scheme"
    return best


def _sorted(feeds: Sequence[Feed], gave: Sequence[Outputs | ModelError], about: str) -> Inputs:
    ran = tuple((f, o) for f, o in zip(feeds, gave, strict=True) if not isinstance(o, ModelError))
    reasons = [str(o) for o in gave if isinstance(o, ModelError)]
    return Inputs(ran, len(reasons), about, reasons[0] if reasons else "")


def _worst(
    before: Graph,
    runs: Sequence[tuple[Feed, Outputs, Outputs]],
    contract: Contract,
    truth: Truth,
) -> tuple[OutputVerdict, ...]:
    """Of each output the verdict that matters most."""
    names = before.result.attrs["names"]
    assert isinstance(names, tuple)
    worst: list[OutputVerdict | None] = [None] * len(names)
    for feed, was, now in runs:
        for i, verdict in enumerate(judged(contract, was, now, truth, feed)):
            known = worst[i]
            if known is None or verdict.margin > known.verdict.margin:
                worst[i] = OutputVerdict(str(names[i]), verdict, feed.about)
    return tuple(each for each in worst if each is not None)
