"""`optimize MODEL.onnx`: rewrite, check, write, and say what was done."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import click

from graphwright.commands import options
from graphwright.ir.errors import ModelError
from graphwright.requests import FORM


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=options.MODEL)
@click.option("-o", "--output", type=options.MODEL, help="MODEL.opt.onnx by default.")
@click.option("--target", default="onnx", show_default=True, help=options.TARGET_HELP)
@click.option("--opset", type=click.IntRange(min=7), help="Write a newer opset than the model's.")
@click.option("--apply", multiple=True, metavar=FORM, help="Also apply this.")
@click.option("--data", type=options.MODEL, help=options.DATA_HELP)
@click.option("--skip", multiple=True, metavar="RULE", help="Leave this rule out.")
@click.option("--shape", multiple=True, metavar="INPUT=1x128", help=options.SHAPE_HELP)
@click.option("--tune", is_flag=True, help="Measure lowerings here; leave out what is slower.")
@click.option("--freeze", is_flag=True, help="Make constants of weights that are also inputs.")
@click.option("--no-verify", is_flag=True, help="Check nothing.")
@click.option("--dry-run", is_flag=True, help="Write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but what is wrong.")
@click.option("-v", "--verbose", is_flag=True, help="Print each rewrite.")
@click.version_option(package_name="graphwright")
def command(
    model: Path,
    output: Path | None,
    target: str,
    opset: int | None,
    apply: tuple[str, ...],
    data: Path | None,
    skip: tuple[str, ...],
    shape: tuple[str, ...],
    tune: bool,
    freeze: bool,
    no_verify: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Rewrite MODEL so that it computes the same faster, and check that it does.

    Exit status: 0 written; 1 the whole did not verify and nothing was written; 2 bad input.
    """
    from graphwright import api, summary
    from graphwright.weights import weight_files

    if model.is_dir():
        raise ModelError(f"{model} is a folder, and no model")
    out = output or model.with_name(f"{model.stem}.opt.onnx")
    if not dry_run:
        _refuse(model, out)
    given = options.data(data)
    before = api.load(model, inline=True, freeze=freeze, shapes=options.shapes(shape))
    _refuse_to_lose(out, weight_files(before) | {data or model})
    if opset is not None:
        api.check_opset(before, opset)
    with summary.progress(quiet or as_json) as progress:
        result = api.optimize(
            before,
            target=target,
            apply=apply,
            skip=skip,
            data=given,
            verify=not no_verify,
            tune=tune,
            isolated=True,
            progress=progress,
        )
        report = result.report
        report.bytes_before = model.stat().st_size
        if report.ok and not dry_run:
            progress("writing")
            api.save(result.graph, out, opset=opset)
            report.written, report.bytes_after = str(out), out.stat().st_size
    report.runs_on = summary.runs_on(result.graph, opset)
    if report.verified is None and not no_verify:
        report.runs_on += "; it was not run here"
    if as_json:
        found = {**report.as_json(), "attention": api.attentions(before).as_json()}
        json.dump(found, sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif not quiet:
        with suppress(SystemExit):  # rich leaves where nobody reads on; the model was written
            summary.show(report, verbose, result.log)
    for line in [] if as_json else summary.warnings(report):
        click.echo(f"optimize: {line}", err=True)
    return 0 if report.ok else 1


def _refuse_to_lose(out: Path, read: set[Path]) -> None:
    """Never write over what was read: the model's weights, or the data."""
    for path in (out, Path(f"{out}.data")):
        if any(path.exists() and each.exists() and path.samefile(each) for each in read):
            raise ModelError(f"{path} is read here; choose another place to write to")


def _refuse(model: Path, out: Path) -> None:
    """Say at once what would be in the way of writing, and not after all the work."""
    folder = out.absolute().parent
    if out.exists() and model.exists() and out.samefile(model):
        raise ModelError(f"{out} is the model itself; choose another place to write to")
    if out.is_dir():
        raise ModelError(f"{out} is a folder; name a file to write to")
    if not folder.is_dir():
        raise ModelError(f"{out} cannot be written: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise ModelError(f"{out} cannot be written: the folder {folder} is read-only")
