"""Rewrites checked one by one: what each replaces runs beside what it puts there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from graphwright.ir.contracts import Approximate, Bounded, Contract, Exact, Tolerance
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph
from graphwright.verification.arrays import Slot, largest, slots_of
from graphwright.verification.batches import Merged, batched, merged, parts, weight
from graphwright.verification.content import content_key, same_content
from graphwright.verification.feeds import Feed, Variant, feeds_of, paddings
from graphwright.verification.judge import Verdict, worst
from graphwright.verification.runs import Evaluate, Outputs, Truth, judged, run_each
from graphwright.verification.sizes import schemes

NUMBERS = ("", "positive", "large", "zero", "infinite")
SIZES = 2  # choices of sizes that each fragment is run with
SCHEMES = 8  # schemes of sizes that are tried
ELEMENTS = 1 << 22  # in an input whose size is free


@dataclass(frozen=True)
class Fragment:
    """A part of a model and what is to stand in its place: two graphs of the same inputs."""

    before: Graph
    after: Graph
    contract: Contract


def check_fragments(
    fragments: Sequence[Fragment], evaluate: Evaluate, evaluate64: Evaluate, seed: int = 0
) -> list[Verdict]:
    """Whether each fragment keeps its contract, on inputs made for it.

    Fragments of equal content share one check; the others run side by side. One that cannot be run
    is not ok, and its verdict begins with "could not be checked".
    """
    keys = [f"{content_key(f.before, f.after)} {f.contract!r}" for f in fragments]
    check = _Check(evaluate, evaluate64, seed)
    check.run(dict(zip(keys, fragments, strict=True)))
    return [check.verdicts[key] for key in keys]


class _Exhausted(ModelError):
    """Raised when there are no sizes to try: no reason of its own where there is another."""


@dataclass
class _Check:
    """One call of `check_fragments`: the verdicts so far, by the keys of fragments."""

    evaluate: Evaluate
    evaluate64: Evaluate
    seed: int
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    def run(self, fragments: dict[str, Fragment]) -> None:
        pending = {k: f for k, f in fragments.items() if not self._settled(k, f)}
        for turn in range(SCHEMES):
            for group in _grouped(pending):
                sized = [(k, weight(f.before) + weight(f.after)) for k, f in group.items()]
                for batch in batched(sized):
                    self._batch({k: group[k] for k in batch}, turn)
            pending = {k: f for k, f in pending.items() if not self._is_final(k)}

    def _is_final(self, key: str) -> bool:
        return key in self.verdicts and not self.verdicts[key].why.startswith("could not")

    def _settled(self, key: str, fragment: Fragment) -> bool:
        """Whether the verdict is clear without running anything."""
        if same_content(fragment.before, fragment.after):
            self.verdicts[key] = Verdict(True, against="the same graph")
        elif len(fragment.before.inputs) != len(fragment.after.inputs):
            self.verdicts[key] = Verdict(False, "the new part does not take the same inputs")
        elif len(fragment.before.outputs) != len(fragment.after.outputs):
            self.verdicts[key] = Verdict(False, "the new part does not give the same outputs")
        else:
            try:
                slots_of(merged([fragment.before]).graph)
            except ModelError as error:
                self._unchecked(key, error)
        return key in self.verdicts

    def _unchecked(self, key: str, why: object) -> None:
        self.verdicts[key] = Verdict(False, f"could not be checked: {why}")

    def _batch(self, fragments: dict[str, Fragment], turn: int) -> None:
        """Judge all of `fragments`, run together; those that cannot be run are found by halves."""
        try:
            self._together(fragments, turn)
        except ModelError as error:
            keys = list(fragments)
            if len(keys) == 1:
                if keys[0] not in self.verdicts or not isinstance(error, _Exhausted):
                    self._unchecked(keys[0], error)
                return
            for half in (keys[: len(keys) // 2], keys[len(keys) // 2 :]):
                self._batch({key: fragments[key] for key in half}, turn)

    def _together(self, fragments: dict[str, Fragment], turn: int) -> None:
        old = merged([f.before for f in fragments.values()])
        new = merged([f.after for f in fragments.values()])
        alone = len(fragments) == 1
        runs = self._runs(old.graph, turn, alone)
        try:
            now = self.evaluate(new.graph, [run.feed for run in runs])
        except ModelError as error:
            if not alone:
                raise
            self.verdicts.update((k, _refused(error)) for k in fragments)
            return
        each = _separated(old, runs, now)
        for (key, fragment), own in zip(fragments.items(), each, strict=True):
            self._judge(key, fragment, own)

    def _runs(self, graph: Graph, turn: int, alone: bool) -> list[Run]:
        """Inputs for the old parts, and what they give. Raises ModelError where nothing runs."""
        found = schemes(graph, self.seed)
        if turn >= len(found):
            raise _Exhausted("it runs on none of the inputs made for it")
        slots = slots_of(graph)
        made: list[tuple[str, Feed]] = []
        for i, sizes in enumerate(found[turn].choices[:SIZES]):
            if largest(slots, sizes) > ELEMENTS:
                raise _Exhausted("its inputs would be too large")
            variants = _variants(slots, first=not i)
            feeds = feeds_of(slots, sizes, variants, (self.seed, i))
            made += zip([numbers for numbers, _ in variants], feeds, strict=True)
        feeds = [feed for _, feed in made]
        gave = run_each(self.evaluate, graph, feeds) if alone else self.evaluate(graph, feeds)
        runs = [
            Run(feed, outputs, numbers)
            for (numbers, feed), outputs in zip(made, gave, strict=True)
            if not isinstance(outputs, ModelError)
        ]
        if not runs and isinstance(gave[0], ModelError):
            raise gave[0]
        return runs

    def _judge(self, key: str, fragment: Fragment, runs: Sequence[tuple[Run, Outputs]]) -> None:
        contract = fragment.contract
        limit = contract.limit(fragment.before) if isinstance(contract, Bounded) else None
        truth = Truth(self.evaluate64, limit or fragment.before)
        names = [v.name for v in fragment.before.inputs]
        verdicts: list[Verdict] = []
        for run, after in runs:
            if not _counts(run, fragment.contract):
                continue
            feed = Feed(dict(zip(names, run.feed.values(), strict=True)), run.feed.about)
            found = worst(judged(fragment.contract, run.before, after, truth, feed))
            verdicts.append(
                found if found.ok else replace(found, why=f"{found.why} ({feed.about})")
            )
        if all(_is_nothing(output) for run, _ in runs for output in run.before):
            self._unchecked(key, "it gives nothing but NaN on the inputs made for it")
        else:
            self.verdicts[key] = worst(verdicts)


@dataclass(frozen=True)
class Run:
    """Inputs, what the old part gave for them, and of what kind their numbers are."""

    feed: Feed
    before: Outputs
    numbers: str


def _counts(run: Run, contract: Contract) -> bool:
    """Whether `contract` is to hold on these inputs.

    What is close on data need not be at its edges; and what infinity becomes is promised only
    where the bits are, or where it stays finite.
    """
    match contract:
        case Exact():
            return not contract.finite or run.numbers != "infinite"
        case Approximate():
            return not run.numbers
        case Tolerance() | Bounded():
            return run.numbers != "infinite" or all(_is_finite(o) for o in run.before)


def _refused(error: ModelError) -> Verdict:
    return Verdict(False, f"the new part cannot be run: {error}")


def _separated(
    old: Merged, runs: Sequence[Run], now: Sequence[Outputs]
) -> list[list[tuple[Run, Outputs]]]:
    """The runs of each graph of a batch, out of those of the batch."""
    each: list[list[tuple[Run, Outputs]]] = [[] for _ in old.inputs]
    for run, after in zip(runs, now, strict=True):
        pieces = zip(
            each,
            parts(list(run.feed.items()), old.inputs),
            parts(run.before, old.outputs),
            parts(after, old.outputs),
            strict=True,
        )
        for own, given, was, became in pieces:
            feed = Feed(dict(given), run.feed.about)
            own.append((Run(feed, list(was), run.numbers), list(became)))
    return each


def _variants(slots: Sequence[Slot], first: bool) -> list[Variant]:
    if not first:
        return [("", "none"), ("positive", "right")]
    masked = [("", padding) for padding in paddings(slots)]
    return [*masked, *((numbers, "none") for numbers in NUMBERS[1:])]


def _grouped(fragments: dict[str, Fragment]) -> list[dict[str, Fragment]]:
    """Fragments that can stand in one model: of one version of ONNX and of its operators."""
    groups: dict[object, dict[str, Fragment]] = {}
    for key, fragment in fragments.items():
        header = fragment.before.header
        kind = None if header is None else (header.ir_version, *sorted(header.opsets.items()))
        groups.setdefault(kind, {})[key] = fragment
    return list(groups.values())


def _is_finite(output: Any) -> bool:
    array = np.asarray(output)
    return array.dtype.kind in "OUSbiu" or bool(np.isfinite(array.astype(np.complex128)).all())


def _is_nothing(output: Any) -> bool:
    array = np.asarray(output)
    if array.dtype.kind in "OUSbiu" or not array.size:
        return False
    return bool(np.isnan(array.astype(np.complex128)).all())
