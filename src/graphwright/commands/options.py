"""What several commands are given, read from their arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from graphwright.ir.errors import ModelError

MODEL = click.Path(path_type=Path)


def shapes(given: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """`INPUT=1x128` as shapes by input. Raises ModelError for what is not of that form."""
    found = {}
    for each in given:
        name, equals, dims = each.rpartition("=")
        if not equals or not re.fullmatch(r"\d+(x\d+)*", dims):
            raise ModelError(f"--shape {each}: write it as INPUT=1x128")
        found[name] = tuple(int(d) for d in dims.split("x"))
    return found


def data(path: Path | None) -> Mapping[str, Any] | Sequence[Mapping[str, Any]] | None:
    """The arrays in an npz file, or in each npz file of a folder. Raises ModelError, OSError."""
    if path is None:
        return None
    if not path.is_dir():
        return _arrays(path)
    files = sorted(path.glob("*.npz"))
    if not files:
        raise ModelError(f"{path}: the folder holds no npz files")
    return [_arrays(file) for file in files]


def _arrays(path: Path) -> dict[str, Any]:
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (ValueError, zipfile.BadZipFile, EOFError, AttributeError, KeyError) as error:
        raise ModelError(f"{path}: not an npz file of arrays ({error})") from None
