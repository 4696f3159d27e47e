"""Every technique, every example: what holds for all alike. No technique is named here."""

from __future__ import annotations

import numpy as np
import pytest

from graphwright.ir.normalizers import body, compute
from graphwright.ir.types import TensorType
from graphwright.passes.technique import Technique, techniques
from graphwright.testing import Case
from graphwright.trying import agrees_everywhere, cases

KNOWN = techniques()
NORMALIZERS = [each for each in KNOWN.values() if each.formula is not None]


@pytest.mark.parametrize("case", cases(), ids=str)
def test_technique(case: Case) -> None:
    case.run()


@pytest.mark.parametrize("technique", NORMALIZERS, ids=lambda each: each.name)
def test_a_normalizer_computes_the_same_in_every_form(technique: Technique) -> None:
    agrees_everywhere(technique)


@pytest.mark.parametrize("technique", NORMALIZERS, ids=lambda each: each.name)
def test_a_normalizer_works_in_half_precision(technique: Technique) -> None:
    scores = np.random.default_rng(0).normal(0, 3, (1, 2, 4, 9)).astype(np.float16)
    scores[..., :2, 6:] = -np.inf
    assert technique.formula is not None
    found = compute(body(technique.formula(), TensorType("f16", (1, 2, 4, 9))), scores)
    assert found.dtype == np.float16
    assert np.isfinite(found.astype(np.float32)).all()
    assert (found[..., :2, 6:] == 0).all()


@pytest.mark.parametrize("technique", KNOWN.values(), ids=lambda each: each.name)
def test_a_technique_says_its_formula_and_its_source(technique: Technique) -> None:
    first, *rest = technique.doc.strip().splitlines()
    assert first
    assert not rest[:1] or not rest[0].strip()
