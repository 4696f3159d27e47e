"""`graphwright show MODEL`."""

from __future__ import annotations

from pathlib import Path

import click

from graphwright.commands import options


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=options.MODEL)
@click.option("--axes", is_flag=True, help="Also say along which axes each operator works how.")
def command(model: Path, axes: bool) -> int:
    """Print MODEL as text, which is a subset of Python."""
    from graphwright.api import load
    from graphwright.ir.text import show

    graph = load(model)
    if not axes:
        click.echo(show(graph))
        return 0
    from graphwright.passes.axes.naming import axes_of

    found = axes_of(graph)
    for name, size in found.legend().items():
        click.echo(f"# {name} = {size}")
    click.echo(show(graph, {node: found.remark(node) for node in found.nodes}))
    return 0
