"""What the commands that write a model have in common: refuse early, rewrite, write, and report."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from graphwright.commands import options
from graphwright.ir.errors import ModelError
from graphwright.mlir_modules import ENDING, is_module

if TYPE_CHECKING:
    from graphwright.api import Result
    from graphwright.ir.graph import Graph
    from graphwright.verification.data import Data

FOLDER = "_triton"
"""How the names of folders end that the target triton writes, where nobody named one."""
IN_PYTORCH = "PyTorch, attention in Triton's kernels where there is a GPU"
Progress: TypeAlias = "Callable[[str], None]"
Rewrite: TypeAlias = "Callable[[Graph, Data | None, Progress], Result]"


@dataclass(frozen=True)
class Request:
    """Which model a command, of such a `name`, is to rewrite, and what it is to say of it.

    Where no `output` is named, that is the model's name with `ending`.
    """

    name: str
    model: Path
    output: Path | None
    ending: str
    data: Path | None = None
    shape: Sequence[str] = ()
    freeze: bool = False
    opset: int | None = None
    verify: bool = True
    dry_run: bool = False
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False


def rewrite_file(asked: Request, rewrite: Rewrite) -> int:
    """Rewrite a model, write it where it verifies, say what was done; the exit status.

    Raises ModelError and OSError for what is bad, before all the work where that can be told.
    """
    from graphwright import api, summary
    from graphwright.weights import refuse_to_lose, weight_files

    model, opset = asked.model, asked.opset
    if model.is_dir():
        raise ModelError(f"{model} is a folder, and no model")
    is_folder = asked.ending == FOLDER
    out = asked.output or model.with_name(_named(model.stem, asked.ending))
    if asked.ending.endswith(ENDING) is not is_module(out):
        raise ModelError(
            f"{out}: --target mlir writes files that end in {ENDING}, and only it does"
        )
    if not asked.dry_run:
        _refuse(model, out, is_folder)
    given = options.data(asked.data)
    shapes = options.shapes(asked.shape)
    before = api.load(model, inline=True, freeze=asked.freeze, shapes=shapes)
    refuse_to_lose(out, weight_files(before) | {asked.data or model})
    if opset is not None:
        if is_module(out) or is_folder:
            what = "a folder of kernels" if is_folder else "an MLIR module"
            raise ModelError(f"--opset: {what} has no opset")
        api.check_opset(before, opset)
    with summary.progress(asked.quiet or asked.as_json) as progress:
        result = rewrite(before, given, progress)
        report = result.report
        report.bytes_before = model.stat().st_size
        if report.ok and not asked.dry_run:
            progress("writing")
            report.notes += _written(result.graph, out, opset, is_folder)
            files = out.rglob("*") if is_folder else [out]
            report.bytes_after = sum(each.stat().st_size for each in files if each.is_file())
            report.written = str(out)
    report.runs_on = (
        IN_PYTORCH if is_folder else summary.runs_on(result.graph, opset, is_module(out))
    )
    if report.verified is None and asked.verify:
        report.runs_on += "; it was not run here"
    _say(asked, result, before)
    return 0 if report.ok else 1


def _say(asked: Request, result: Result, before: Graph) -> None:
    from graphwright import api, summary

    report = result.report
    if asked.as_json:
        found = {**report.as_json(), "attention": api.attentions(before, isolated=True).as_json()}
        json.dump(found, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    if not asked.quiet:
        with suppress(SystemExit):  # rich leaves where nobody reads on; the model was written
            summary.show(report, asked.verbose, result.log)
    for line in summary.warnings(report):
        click.echo(f"{asked.name}: {line}", err=True)


def _named(stem: str, ending: str) -> str:
    """The name of what is written; a folder's is one that Python can import."""
    name = stem + ending
    return re.sub(r"\W|^(?=\d)", "_", name) if ending == FOLDER else name


def _written(graph: Graph, out: Path, opset: int | None, is_folder: bool) -> list[str]:
    """Write what became of a model; what a user should know of it."""
    from graphwright import api, triton_models

    if is_folder:
        return triton_models.save_folder(graph, out)
    api.save(graph, out, opset=opset)
    return []


def _refuse(model: Path, out: Path, is_folder: bool) -> None:
    """Say at once what would be in the way of writing, and not after all the work."""
    if is_folder:
        from graphwright.backends.triton.places import check_folder

        check_folder(out)
    folder = out.absolute().parent
    if out.exists() and model.exists() and out.samefile(model):
        raise ModelError(f"{out} is the model itself; choose another place to write to")
    if out.is_dir() and not is_folder:
        raise ModelError(f"{out} is a folder; name a file to write to")
    if not folder.is_dir():
        raise ModelError(f"{out} cannot be written: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise ModelError(f"{out} cannot be written: the folder {folder} is read-only")
