"""`graphwright unfuse MODEL`: what was fused, written out again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphwright.commands import options
from graphwright.commands.writing import Progress, Request, rewrite_file

if TYPE_CHECKING:
    from graphwright.api import Result
    from graphwright.ir.graph import Graph
    from graphwright.verification.data import Data


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=options.MODEL)
@click.option("-o", "--output", type=options.MODEL, help="MODEL.unfused.onnx by default.")
@click.option("--data", type=options.MODEL, help=options.DATA_HELP)
@click.option("--shape", multiple=True, metavar="INPUT=1x128", help=options.SHAPE_HELP)
@click.option("--no-verify", is_flag=True, help="Check nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but what is wrong.")
@click.option("-v", "--verbose", is_flag=True, help="Print each rewrite.")
def command(
    model: Path,
    output: Path | None,
    data: Path | None,
    shape: tuple[str, ...],
    no_verify: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Write MODEL with its functions put in place and its fused operators written out.

    Those are ONNX's Attention, and the attentions, activations, products and norms of ONNX Runtime.
    Exit status: 0 written; 1 the whole did not verify and nothing was written; 2 bad input.
    """

    def rewrite(before: Graph, given: Data | None, progress: Progress) -> Result:
        from graphwright.unfusing import unfuse

        return unfuse(before, data=given, verify=not no_verify, isolated=True, progress=progress)

    asked = Request(
        "unfuse",
        model,
        output,
        ".unfused.onnx",
        data=data,
        shape=shape,
        verify=not no_verify,
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
    )
    return rewrite_file(asked, rewrite)
