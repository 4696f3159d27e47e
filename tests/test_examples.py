"""The examples run, and say what their reader is told they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_a_rule_of_your_own() -> None:
    command = [sys.executable, str(EXAMPLES / "your_own_rule.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Tanh(x)" in done.stdout
    assert "fuse-tanh: 1 times, within tolerance" in done.stdout
    assert "fuse-log-sum was left out: " in done.stdout
