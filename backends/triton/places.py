"""Where a folder of kernels may be written."""

from __future__ import annotations

import keyword
from pathlib import Path

from graphwright.ir.errors import ModelError


def check_folder(folder: Path) -> None:
    """Raise ModelError where no such folder can be written."""
    name = folder.name
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ModelError(f"{folder}: Python imports it, so name it with letters, digits and _")
    if not folder.absolute().parent.is_dir():
        raise ModelError(f"{folder}: the folder '{folder.absolute().parent}' does not exist")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(f"{folder} is there already; name a folder that is not, or is empty")
