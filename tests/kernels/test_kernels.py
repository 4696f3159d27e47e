"""Kernels under Triton's interpreter give what NumPy gives, whatever makes the weights."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import pytest
from tests.kernels.cases import Case, varied
from tests.kernels.interpreted import Child
from tests.test_normalizers import KNOWN

from graphwright.backends.triton import kernel_source
from graphwright.ir.contracts import Tolerance
from graphwright.passes.technique import techniques
from graphwright.verification.judge import holds

pytest.importorskip("torch")
pytest.importorskip("triton")

FORMULAS: dict[str, str] = {
    name: technique.formula()
    for name, technique in techniques().items()
    if technique.formula is not None
}
SOFTMAX = Case("softmax", bias="whole")
OWN = Case("a body of one's own", "e = Where(valid, Relu(s + 2.0), 0.0)\ne / (ReduceSum(e) + 1.0)")
DEFAULT = [
    varied(SOFTMAX, "large scores", large=50.0),
    varied(SOFTMAX, "no guard", guard=False),
    varied(SOFTMAX, "a finite filler", guard=False, filler=-1e4),
    varied(SOFTMAX, "sinks and a cap", sink=True, cap=5.0),
    varied(SOFTMAX, "all hidden", mask="dead", guard=False),
    varied(SOFTMAX, "a mask of keys, three batch axes", mask="keys", batch=(2, 1, 2), queries=3),
    varied(SOFTMAX, "a causal mask, heads of their own", mask="causal", shared=2),
    varied(SOFTMAX, "causal", causal=True, mask="none", queries=37),
    varied(SOFTMAX, "a window, fewer queries", causal=True, window=5, queries=7, bias="keys"),
    varied(SOFTMAX, "no batch", batch=(), mask="none", bias="none"),
    varied(SOFTMAX, "one query", queries=1, mask="keys"),
    varied(SOFTMAX, "full blocks", queries=16, keys=64, width=16, value_width=32),
    varied(SOFTMAX, "wide heads", width=80, value_width=72, queries=5, batch=(1,)),
    varied(OWN, "large scores", large=50.0),
    varied(OWN, "sinks", sink=True, guard=False),
    *(
        Case(name, formula, queries=5, large=20.0)
        for name, formula in FORMULAS.items()
        if name[:3] != "ent"
    ),
    Case("entmax-softmax", FORMULAS["entmax-softmax"], queries=5, keys=33, batch=(1,), heads=1),
]
HALF = [
    varied(Case(about, formula), dtype, dtype=dtype)
    for dtype in ("f16", "bf16")
    for about, formula in (("softmax", ""), ("sigmoid", "Sigmoid(s)"))
]
MASKS: list[dict[str, Any]] = [
    {"mask": "padding"},
    {"mask": "padding", "guard": False},
    {"mask": "dead", "guard": False},
    {"mask": "keys", "bias": "keys"},
    {"mask": "causal", "shared": 2},
    {"mask": "none", "bias": "whole"},
    {"mask": "none", "causal": True, "queries": 40, "keys": 40},
    {"mask": "padding", "causal": True, "window": 9, "guard": False},
    {"mask": "padding", "sink": True},
    {"mask": "padding", "sink": True, "guard": False, "large": 50.0},
    {"mask": "padding", "filler": -1e4, "large": 3.0},
    {"mask": "padding", "batch": (2, 2), "heads": 6, "shared": 3, "width": 40, "queries": 1},
]
EVERY = [
    Case(f"{name}, {fields}", formula, **fields)
    for (name, formula), fields in product(
        [("softmax", ""), *FORMULAS.items(), *((text, text) for text in KNOWN)], MASKS
    )
    if name != "entmax-softmax" or "batch" not in fields
]


def agrees(case: Case, interpreter: Child) -> None:
    """The kernel is as near to the float64 answer as NumPy in the case's own type is."""
    found = interpreter.launch(kernel_source(case.facts), case.given())
    before, truth = case.computed(case.dtype), case.computed("f64")
    verdict = holds(Tolerance(), before, found.astype(before.dtype), truth)
    assert verdict.ok, verdict.why


@pytest.mark.parametrize("case", [*DEFAULT, *HALF], ids=str)
def test_a_kernel_gives_what_numpy_gives(case: Case, interpreter: Child) -> None:
    agrees(case, interpreter)


@pytest.mark.full
@pytest.mark.parametrize("case", EVERY, ids=str)
def test_every_kernel_under_every_mask(case: Case, interpreter: Child) -> None:
    agrees(case, interpreter)


def test_nothing_is_made_of_no_keys(interpreter: Child) -> None:
    case = varied(SOFTMAX, "no keys", keys=0, mask="none")
    found = interpreter.launch(kernel_source(case.facts), case.given())
    np.testing.assert_array_equal(found, np.zeros((2, 2, 19, 20), np.float32))


def test_blocks_change_nothing(interpreter: Child) -> None:
    source, given = kernel_source(SOFTMAX.facts), SOFTMAX.given()
    one, other = (interpreter.launch(source, given, c) for c in [(16, 16, 4, 1), (32, 64, 4, 1)])
    np.testing.assert_allclose(one, other, atol=2e-6)


def test_the_fastest_blocks_are_kept(interpreter: Child) -> None:
    case = varied(SOFTMAX, "tuned", queries=5, mask="none", bias="none", value_width=7)
    measured, chosen, kept = interpreter.tuned(kernel_source(case.facts), case.given())
    assert {config for _, config in measured} == {(32, 32, 4, 1), (16, 64, 4, 1)}
    assert chosen == min(measured)[1]
    assert json.loads(kept) == {"interpreted torch.float32 4 8 64": list(chosen)}
