"""`optimize MODEL.onnx`: rewrite, check, write, and say what was done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphwright.commands import options
from graphwright.commands.writing import FOLDER, Progress, Request, rewrite_file
from graphwright.requests import FORM

if TYPE_CHECKING:
    from graphwright.api import Result
    from graphwright.ir.graph import Graph
    from graphwright.verification.data import Data

ENDINGS = {"mlir": ".opt.mlir", "triton": FOLDER}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=options.MODEL)
@click.option("-o", "--output", type=options.MODEL, help=options.OUTPUT_HELP)
@click.option("--target", default="onnx", show_default=True, help=options.TARGET_HELP)
@click.option("--opset", type=click.IntRange(min=7), help="Write a newer opset than the model's.")
@click.option("--apply", multiple=True, metavar=FORM, help="Also apply this.")
@click.option("--data", type=options.MODEL, help=options.DATA_HELP)
@click.option("--skip", multiple=True, metavar="RULE", help="Leave this rule out.")
@click.option("--shape", multiple=True, metavar="INPUT=1x128", help=options.SHAPE_HELP)
@click.option("--tune", is_flag=True, help="Measure lowerings here; leave out what is slower.")
@click.option("--functions", is_flag=True, help=options.FUNCTIONS_HELP)
@click.option("--outputs", multiple=True, metavar="NAME", help=options.OUTPUTS_HELP)
@click.option("--last-token", is_flag=True, help=options.LAST_HELP)
@click.option("--ragged", is_flag=True, help=options.RAGGED_HELP)
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
    functions: bool,
    outputs: tuple[str, ...],
    last_token: bool,
    ragged: bool,
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

    def rewrite(before: Graph, given: Data | None, progress: Progress) -> Result:
        from graphwright.api import optimize
        from graphwright.outputs import with_last_token, with_outputs

        wanted = with_last_token(before) if last_token else before
        wanted = with_outputs(wanted, outputs) if outputs else wanted
        return optimize(
            wanted,
            target=target,
            apply=apply,
            skip=skip,
            data=given,
            verify=not no_verify,
            tune=tune,
            functions=functions,
            opset=opset,
            ragged=ragged,
            isolated=True,
            progress=progress,
        )

    asked = Request(
        "optimize",
        model,
        output,
        ENDINGS.get(target, ".opt.onnx"),
        data=data,
        shape=shape,
        freeze=freeze,
        opset=opset,
        verify=not no_verify,
        dry_run=dry_run,
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
    )
    return rewrite_file(asked, rewrite)
