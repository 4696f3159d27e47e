"""Attentions of every shape are found and rightly described, and stay what they were."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from tests.attention_shapes import (
    Form,
    NearMiss,
    Truth,
    Written,
    claim,
    faults,
    feeds,
    forms,
    near_misses,
    write,
)
from tests.attention_shapes.enumeration import is_covering
from tests.attention_shapes.running import FLOOR, decided_by_rounding, differences, run

import graphwright as gw
from graphwright.frontends.onnx import from_proto
from graphwright.ir.graph import Graph
from graphwright.runtime import Runtime
from graphwright.surveying import Attentions

COUNT = 2200
BATCHES = 16
NEAR_MISSES = 795
SOME_NEAR = 5  # so that every twist is among the near misses that are run
EVERY = 15  # of the forms one is run by default
TARGETS = ("onnx", "ort")


@functools.cache
def every_form() -> tuple[Form, ...]:
    return tuple(forms(COUNT))


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime(isolated=False)


def surveyed(graph: Graph) -> Attentions:
    """What `graphwright attention` sees."""
    return gw.attentions(graph)


def problems(form: Form) -> list[str]:
    """What is wrong with what the survey says of a form."""
    written = write(form)
    seen = surveyed(from_proto(written.model))
    if not seen.found:
        why = [other.why for other in (*seen.missed, *seen.other_softmax)]
        return [f"missed: {why}"]
    if len(seen.found) > 1:
        return [f"{len(seen.found)} are found"]
    return list(faults(seen.found[0], claim(written)))


def test_there_are_many_and_all_differ() -> None:
    found = every_form()
    assert len(found) == len(set(found)) == len({str(form) for form in found}) == COUNT
    assert is_covering(found)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_each_is_found_and_described(batch: int) -> None:
    bad = {str(f): why for f in every_form()[batch::BATCHES] if (why := problems(f))}
    assert not bad


def test_models_are_valid_and_differ() -> None:
    models = [write(form).model for form in every_form()[::EVERY]]
    for model in models:
        onnx.checker.check_model(model, full_check=True)
    assert len({model.SerializeToString() for model in models}) == len(models)


def computes_the_truth(written: Written, runtime: Runtime) -> list[str]:
    """On which feeds the model itself does not give what its choices say."""
    # With large scores rounding alone takes a single run far; runs are then judged by each other.
    given = [
        feed for feed in feeds(written) if not (decided_by_rounding(written, feed) or feed.large)
    ]
    bad = []
    for feed, (found, *_) in zip(
        given, run(from_proto(written.model), given, runtime), strict=True
    ):
        wanted = Truth(written, feed.arrays).result()
        near = 10 * FLOOR[written.form.kind] * max(1.0, float(np.abs(wanted).max()))
        if not np.allclose(found, wanted, 0, near, equal_nan=True):
            bad.append(feed.about)
    return bad


def untrue(chosen: Sequence[Form], runtime: Runtime) -> dict[str, list[str]]:
    return {str(f): bad for f in chosen if (bad := computes_the_truth(write(f), runtime))}


def unlike(form: Form, target: str, runtime: Runtime) -> list[str]:
    """What is wrong with what a form is optimized to."""
    written = write(form)
    before = from_proto(written.model)
    done = gw.optimize(before, target=target)
    bad = differences(written, before, done.graph, runtime)
    verified = done.report.verified
    assert verified is not None, done.report.notes
    if not verified.ok:
        bad.append(verified.why)
    return bad


def test_the_models_are_what_they_say(runtime: Runtime) -> None:
    assert not untrue(every_form()[::EVERY], runtime)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("batch", range(4))
def test_a_sample_stays_what_it_was(batch: int, target: str, runtime: Runtime) -> None:
    chosen = every_form()[::EVERY][batch::4]
    assert not {str(f): bad for f in chosen if (bad := unlike(f, target, runtime))}


@functools.cache
def every_near_miss() -> tuple[NearMiss, ...]:
    return tuple(near_misses())


def test_there_are_many_near_misses() -> None:
    found = every_near_miss()
    assert len(found) == len({near.name for near in found}) == NEAR_MISSES


def wrongly_claimed(near: NearMiss) -> list[str]:
    """What the survey says of a near miss that is not so."""
    seen = surveyed(from_proto(near.written.model)).found
    if near.weighs_otherwise:
        return [f"a softmax: {row.id}" for row in seen if not (row.normalizer or row.left)]
    if near.wanted is None:
        return ["claimed"] if seen else []
    return [fault for row in seen for fault in faults(row, near.wanted)]


@pytest.mark.parametrize("batch", range(4))
def test_nothing_wrong_is_claimed_of_near_misses(batch: int) -> None:
    bad = {n.name: why for n in every_near_miss()[batch::4] if (why := wrongly_claimed(n))}
    assert not bad


def changed(near: NearMiss, target: str, runtime: Runtime) -> list[str]:
    """Where a near miss is not what it was."""
    before = from_proto(near.written.model)
    after = gw.optimize(before, target=target, verify=False).graph
    return differences(near.written, before, after, runtime, is_attention=False)


@pytest.mark.parametrize("target", TARGETS)
def test_a_sample_of_near_misses_stays_what_it_was(target: str, runtime: Runtime) -> None:
    chosen = every_near_miss()[::SOME_NEAR]
    assert not {n.name: bad for n in chosen if (bad := changed(n, target, runtime))}


@pytest.mark.full
def test_all_models_are_what_they_say(runtime: Runtime) -> None:
    assert not untrue(every_form(), runtime)


@pytest.mark.full
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("batch", range(BATCHES))
def test_all_stay_what_they_were(batch: int, target: str, runtime: Runtime) -> None:
    chosen = every_form()[batch::BATCHES]
    assert not {str(f): bad for f in chosen if (bad := unlike(f, target, runtime))}


@pytest.mark.full
@pytest.mark.parametrize("target", TARGETS)
def test_all_near_misses_stay_what_they_were(target: str, runtime: Runtime) -> None:
    chosen = every_near_miss()
    assert not {n.name: bad for n in chosen if (bad := changed(n, target, runtime))}
