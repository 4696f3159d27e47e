"""Files are parsed in a process of their own first: MLIR ends it on some that are damaged."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from graphwright.ir.errors import ModelError

PROGRAM = """
import sys
from torch_mlir import ir
from torch_mlir.dialects import torch
with ir.Context() as context, open(sys.argv[1], "rb") as file:
    torch.register_dialect(context)
    ir.Module.parse(file.read(), context)
"""


def check(path: Path) -> None:
    """Raise ModelError where torch-mlir's parser would end this process."""
    command = [sys.executable, "-c", PROGRAM, str(path.resolve())]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode < 0:
        raise ModelError(f"torch-mlir crashed on it ({signal.Signals(-done.returncode).name})")
