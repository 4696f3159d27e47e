"""Every rule, every example: what holds for all rules alike. No rule is named here."""

from __future__ import annotations

import pytest

from graphwright.testing import Case, cases


@pytest.mark.parametrize("case", cases(), ids=str)
def test_rule(case: Case) -> None:
    case.run()
