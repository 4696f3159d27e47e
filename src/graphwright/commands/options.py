"""What several commands are given, read from their arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from graphwright.ir.errors import ModelError

MODEL = click.Path(path_type=Path, readable=False)  # what is wrong is said on reading

DATA_HELP = "Inputs to run on: an npz file, or a folder of them."
SHAPE_HELP = "Fix the shape of an input."
FUNCTIONS_HELP = "Write attention as a function that the model brings along."
OUTPUT_HELP = "MODEL.opt.onnx by default; MODEL_triton for --target triton."
TARGET_HELP = "onnx: any runtime. ort: ONNX Runtime. mlir: linalg. triton: a folder of kernels."
OUTPUTS_HELP = "Keep this output, and drop all that are not named."
RAGGED_HELP = "Leave out what the mask hides; outputs are 0 there."
LAST_HELP = "Add NAME_last to each output of tokens: that of the last one that the mask counts."


def shapes(given: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """`INPUT=1x128` as shapes by input. Raises ModelError for what is not of that form."""
    found = {}
    for each in given:
        name, equals, dims = each.rpartition("=")
        if not equals or not re.fullmatch(r"\d+(x\d+)*", dims):
            raise ModelError(f"--shape {each}: write it as INPUT=1x128")
        if name in found:
            raise ModelError(f"--shape {each}: the shape of '{name}' is given twice")
        found[name] = tuple(int(d) for d in dims.split("x"))
    return found


@dataclass(frozen=True)
class Folder:
    """The arrays in each of several npz files, read when it is their turn."""

    files: tuple[Path, ...]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(_arrays, self.files)


def data(path: Path | None) -> dict[str, Any] | Folder | None:
    """The arrays in an npz file, or those in each of the npz files of a folder.

    Raises ModelError and OSError.
    """
    if path is None:
        return None
    if not path.is_dir():
        return _arrays(path)
    files = tuple(sorted(path.glob("*.npz")))
    if not files:
        raise ModelError(f"{path}: the folder holds no npz files")
    return Folder(files)


def _arrays(path: Path) -> dict[str, Any]:
    import zipfile

    import numpy as np

    if path.stat().st_size and not zipfile.is_zipfile(path):
        raise ModelError(f"{path}: not an npz file, which numpy.savez writes")
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (ValueError, zipfile.BadZipFile, EOFError, OSError, KeyError) as error:
        raise ModelError(f"{path}: not an npz file of arrays ({error})") from None
