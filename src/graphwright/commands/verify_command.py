"""`graphwright verify BEFORE AFTER`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from graphwright.commands import options


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("before", type=options.MODEL)
@click.argument("after", type=options.MODEL)
@click.option("--data", type=options.MODEL, help=options.DATA_HELP)
@click.option("--shape", multiple=True, metavar="INPUT=1x128", help=options.SHAPE_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def command(
    before: Path, after: Path, data: Path | None, shape: tuple[str, ...], as_json: bool
) -> int:
    """Say whether AFTER is the same function as BEFORE, within rounding.

    Both run on ONNX Runtime with its own optimizations off, on the data or on inputs made for
    BEFORE. Exit status: 0 it is; 1 it is not; 2 bad input.
    """
    from graphwright import comparing

    given, shapes = options.data(data), options.shapes(shape)
    found = comparing.compared(before, after, given, shapes)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        comparing.show(found)
    return 0 if found.ok else 1
