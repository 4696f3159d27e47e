"""Every spelling of a fused operator is found, and nothing that only looks like one is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from tests.spellings import Spelling, doubtful, near_misses, spellings

from graphwright.driver import input_sizes
from graphwright.frontends.onnx import from_proto
from graphwright.ir.clone import clone
from graphwright.ir.graph import Graph
from graphwright.ir.problems import problems
from graphwright.ir.text import show
from graphwright.passes.pipelines import DEFAULT
from graphwright.passes.rewrite import rewrite
from graphwright.passes.rule import Budget
from graphwright.runtime import Runtime
from graphwright.verification.verify import verify

FOUND = {
    "gelu erf": 144,
    "gelu tanh": 144,
    "silu": 64,
    "softmax": 106,
    "layernorm": 230,
    "rmsnorm": 170,
}
"""How many of each family are found. These numbers may only rise."""
DOUBTFUL_FOUND = 30  # not a softmax that takes no maximum off
BESIDE = {"Cast"}  # what may stand beside the operator: the half-precision forms cast around it
SIZES = {"B": 3, "S": 5}


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime(isolated=False)


def rewritten(spelling: Spelling, runtime: Runtime) -> tuple[Graph, Graph, int]:
    """The graph as it was and as the default rules leave it, and how many rewrites that took."""
    before = from_proto(spelling.model)
    after = clone(before)
    budget = Budget(runtime.compute, sizes=input_sizes(after))
    done = sum(len(rewrite(after, group, budget)) for group in DEFAULT)
    assert not list(problems(after)), spelling.name
    return before, after, done


def is_found(spelling: Spelling, graph: Graph) -> bool:
    return {spelling.wanted} <= {node.op for node in graph.nodes()} <= {spelling.wanted} | BESIDE


def sample(found: Iterable[Spelling], each: int) -> list[Spelling]:
    """As many of each family, spread over it."""
    families: dict[str, list[Spelling]] = {}
    for spelling in found:
        families.setdefault(spelling.name.partition(":")[0], []).append(spelling)
    return [s for group in families.values() for s in group[:: max(1, len(group) // each)][:each]]


def assert_equal(spelling: Spelling, before: Graph, after: Graph, runtime: Runtime) -> None:
    verified = verify(before, after, runtime.evaluate, runtime.evaluate64)
    assert verified.ok, f"{spelling.name}: {verified.why}\n{show(after)}"


def assert_computes(spelling: Spelling, graph: Graph, runtime: Runtime) -> None:
    """What ONNX Runtime gives is what the formula says in float64."""
    if spelling.expected is None:
        return
    (given,) = spelling.model.graph.input
    half = given.type.tensor_type.elem_type == 10
    dims = [d.dim_value or SIZES[d.dim_param] for d in given.type.tensor_type.shape.dim]
    x = np.random.default_rng(0).normal(0, 1.5, dims).astype(np.float16 if half else np.float32)
    found = runtime.evaluate(graph, [{"x": x}])[0][0]
    tolerance = 5e-3 if half else 1e-5
    expected = spelling.expected(x.astype(np.float64))
    np.testing.assert_allclose(found, expected, tolerance, tolerance, err_msg=spelling.name)


def test_every_spelling_is_found(runtime: Runtime) -> None:
    counts: Counter[str] = Counter()
    missed = []
    for spelling in spellings():
        _, after, _ = rewritten(spelling, runtime)
        family = spelling.name.partition(":")[0]
        if is_found(spelling, after):
            counts[family] += 1
        else:
            missed.append(f"{spelling.name}\n{show(after)}")
    assert counts == FOUND, "\n".join(missed[:5])
    assert not missed


def test_most_doubtful_forms_are_found(runtime: Runtime) -> None:
    found = [s for s in doubtful() if is_found(s, rewritten(s, runtime)[1])]
    assert len(found) >= DOUBTFUL_FOUND


def test_a_sample_stays_what_it_was(runtime: Runtime) -> None:
    for spelling in sample([*spellings(), *doubtful()], 4):
        before, after, _ = rewritten(spelling, runtime)
        assert_equal(spelling, before, after, runtime)
        assert_computes(spelling, after, runtime)


def test_near_misses_stay_what_they_were(runtime: Runtime) -> None:
    """Where rules fire at all in them, that is on a part that they are right about."""
    for spelling in near_misses():
        before, after, done = rewritten(spelling, runtime)
        if done:
            assert_equal(spelling, before, after, runtime)


@pytest.mark.full
def test_all_stay_what_they_were(runtime: Runtime) -> None:
    for spelling in (*spellings(), *doubtful()):
        before, after, _ = rewritten(spelling, runtime)
        assert_equal(spelling, before, after, runtime)
        assert_computes(spelling, after, runtime)
