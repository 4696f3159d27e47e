"""`graphwright bisect MODEL`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from graphwright.commands import options
from graphwright.requests import FORM


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=options.MODEL)
@click.option("--target", default="onnx", show_default=True, help=options.TARGET_HELP)
@click.option("--apply", multiple=True, metavar=FORM, help="Also apply this.")
@click.option("--data", type=options.MODEL, help=options.DATA_HELP)
@click.option("--skip", multiple=True, metavar="RULE", help="Leave this rule out.")
@click.option("--shape", multiple=True, metavar="INPUT=1x128", help=options.SHAPE_HELP)
@click.option("--freeze", is_flag=True, help="Make constants of weights that are also inputs.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def command(
    model: Path,
    target: str,
    apply: tuple[str, ...],
    data: Path | None,
    skip: tuple[str, ...],
    shape: tuple[str, ...],
    freeze: bool,
    as_json: bool,
) -> int:
    """Make all rewrites of MODEL unchecked, and name the one that breaks it.

    Exit status: 0 nothing is wrong; 1 a rewrite breaks it; 2 bad input.
    """
    from graphwright import summary
    from graphwright.api import load
    from graphwright.bisection import bisect

    given = options.data(data)
    graph = load(model, inline=True, freeze=freeze, shapes=options.shapes(shape))
    with summary.progress(as_json) as progress:
        found = bisect(
            graph,
            target=target,
            apply=apply,
            skip=skip,
            data=given,
            isolated=True,
            progress=progress,
        )
    click.echo(json.dumps(found.as_json(), indent=2) if as_json else str(found))
    return 0 if found.ok else 1
