"""Every kernel compiles for GPUs that are not here, and takes no more than they have."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from tests.kernels.cases import Case, varied
from tests.kernels.interpreted import Child
from tests.kernels.test_kernels import FORMULAS, OWN

from graphwright.backends.triton import kernel_source

pytest.importorskip("torch")
pytest.importorskip("triton")

SHARED = {80: 163 * 1024, 90: 227 * 1024}
"""Bytes of shared memory that one program may take, by architecture. Source: the CUDA C++
Programming Guide, "Technical Specifications per Compute Capability"."""
SPILLED = 1024  # bytes a thread: more than a few registers that did not fit

HEADS: Any = {"heads": 8, "shared": 2, "width": 64, "value_width": 64, "scale": 0.125}
SOFTMAX = Case("softmax", mask="none", guard=False, **HEADS)
FULL = [
    varied(SOFTMAX, "all that there is", mask="padding", bias="whole", sink=True, cap=30.0),
    varied(SOFTMAX, "16 wide", width=16, value_width=16, mask="padding"),
    varied(SOFTMAX, "80 wide", width=80, value_width=80, causal=True, window=512),
    varied(SOFTMAX, "128 wide", width=128, value_width=128, causal=True),
    varied(SOFTMAX, "256 wide", width=256, value_width=256, mask="padding"),
    varied(SOFTMAX, "three batch axes", batch=(2, 2, 2), mask="padding"),
    varied(OWN, "as models have it", mask="padding", **HEADS),
    *(Case(name, formula, mask="padding", **HEADS) for name, formula in FORMULAS.items()),
]
SAMPLE = [
    (SOFTMAX, "f16", 80),
    (varied(SOFTMAX, "causal", causal=True), "bf16", 90),
    (Case("clipped", FORMULAS["clipped-softmax"], mask="padding", **HEADS), "f16", 90),
    (Case("sigmoid", "Sigmoid(s)", **HEADS), "f32", 80),
]
REST = [
    pytest.param(case, dtype, capability, marks=pytest.mark.full)
    for case in FULL
    for dtype, capability in (("f16", 80), ("bf16", 90), ("f32", 80), ("f32", 90))
]


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    child = Child(tmp_path_factory.mktemp("kernels"), interpret=False)
    yield child
    child.stop()


@pytest.mark.parametrize(("case", "dtype", "capability"), [*SAMPLE, *REST], ids=str)
def test_a_kernel_compiles(case: Case, dtype: str, capability: int, compiler: Child) -> None:
    found = compiler.compiled(kernel_source(case.facts), dtype, capability)
    fits(found, "forward", capability)


OTHERS = ("forward_part", "backward_keys", "backward_queries")
SAMPLED = {("forward_part", 80), ("backward_keys", 90)}


@pytest.mark.parametrize(
    ("entry", "capability"),
    [
        pytest.param(*each, marks=[] if each in SAMPLED else [pytest.mark.full])
        for each in product(OTHERS, SHARED)
    ],
)
def test_other_kernels_of_a_softmax_compile(entry: str, capability: int, compiler: Child) -> None:
    case = varied(SOFTMAX, "a step", mask="keys", sink=True)
    found = compiler.compiled(kernel_source(case.facts), "f16", capability, entry)
    fits(found, entry, capability)


def fits(found: Any, entry: str, capability: int) -> None:
    assert f".target sm_{capability}" in found.ptx
    assert f".visible .entry {entry}(" in found.ptx
    assert found.shared <= SHARED[capability]
    assert 0 < found.registers <= 255
    assert found.spilled <= SPILLED
