"""Few queries and many keys: parts of the keys apart, merged by what the body allows."""

from __future__ import annotations

from itertools import product

import pytest
from tests.kernels.cases import Case, varied
from tests.kernels.interpreted import Child
from tests.kernels.test_kernels import FORMULAS

from graphwright.backends.triton import kernel_source
from graphwright.ir.contracts import Tolerance
from graphwright.verification.judge import holds

pytest.importorskip("torch")
pytest.importorskip("triton")

STEP = Case("softmax", heads=4, shared=2, queries=1, keys=150, mask="keys")
BODIES = {
    "softmax": "",
    "stablemax": FORMULAS["stablemax"],
    "sigmoid": "Sigmoid(s)",
    "of one's own": "e = Where(valid, Relu(s + 2.0), 0.0)\ne / ReduceSum(e)",
}
DEFAULT = [
    varied(STEP, "large scores", large=50.0),
    varied(STEP, "sinks and a bias", sink=True, bias="keys", guard=False),
    varied(STEP, "three queries, causal", queries=3, causal=True, mask="none"),
    varied(STEP, "rows without keys", queries=5, mask="dead", guard=False),
    varied(STEP, "two batch axes", batch=(1, 2), mask="none"),
    *(varied(STEP, about, formula=BODIES[about]) for about in ("stablemax", "sigmoid")),
]
EVERY = [
    varied(STEP, f"{about}, {fields}", formula=formula, **fields)
    for (about, formula), fields in product(
        BODIES.items(),
        [
            {"guard": False, "queries": 7, "mask": "padding"},
            {"sink": True, "large": 50.0},
            {"mask": "dead", "guard": True, "queries": 2},
            {"dtype": "f16", "bias": "whole"},
            {"dtype": "bf16", "value_width": 64},
            {"keys": 33, "cap": 5.0},
        ],
    )
]


@pytest.mark.parametrize(
    "case", [*DEFAULT, *(pytest.param(each, marks=pytest.mark.full) for each in EVERY)], ids=str
)
def test_parts_give_what_numpy_gives(case: Case, interpreter: Child) -> None:
    before, truth = case.computed(case.dtype), case.computed("f64")
    found = interpreter.parts(kernel_source(case.facts), case.given(), 3)
    verdict = holds(Tolerance(), before, found.astype(before.dtype), truth)
    assert verdict.ok, verdict.why


def test_a_body_of_several_sweeps_has_no_parts() -> None:
    text = kernel_source(varied(STEP, "clipped", formula=FORMULAS["clipped-softmax"]).facts)
    assert "launch_parts" not in text
    table = varied(STEP, "a table", formula="Softmax(s * [1.0, 2.0, 3.0, 4.0])")
    assert "launch_parts" not in kernel_source(table.facts)
