"""`graphwright show MODEL`."""

from __future__ import annotations

from pathlib import Path

import click

from graphwright.commands import options


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=options.MODEL)
def command(model: Path) -> int:
    """Print MODEL as text, which is a subset of Python."""
    from graphwright.api import load
    from graphwright.ir.text import show

    click.echo(show(load(model)))
    return 0
