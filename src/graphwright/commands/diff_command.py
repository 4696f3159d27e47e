"""`graphwright diff BEFORE AFTER`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from graphwright.commands import options

STYLES = {"-": "red", "+": "green", "@": "cyan"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("before", type=options.MODEL)
@click.argument("after", type=options.MODEL)
@click.option("--json", "as_json", is_flag=True, help="Print the difference as JSON.")
def command(before: Path, after: Path, as_json: bool) -> int:
    """Say how AFTER differs from BEFORE, whatever its values are called and its nodes' order.

    Exit status: 0 the same; 1 different; 2 bad input.
    """
    from graphwright.difference import diff

    found = diff(before, after)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        for line in found.lines():
            bold = line.startswith(("---", "+++"))
            click.echo(click.style(line, fg=None if bold else STYLES.get(line[0]), bold=bold))
    return 0 if found.same else 1
