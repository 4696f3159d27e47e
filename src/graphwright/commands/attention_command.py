"""`graphwright attention MODEL`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphwright.commands import options

if TYPE_CHECKING:
    from graphwright.surveying import Attentions, Row


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=options.MODEL)
@click.option("--freeze", is_flag=True, help="Make constants of weights that are also inputs.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def command(model: Path, freeze: bool, as_json: bool) -> int:
    """List the attentions of MODEL, and say of every other softmax why it is none.

    The model is simplified first, in memory, and nothing is written.
    """
    from graphwright.api import attentions, load

    found = attentions(load(model, inline=True, freeze=freeze), isolated=True)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        _show(found)
    return 0


def _show(found: Attentions) -> None:
    for row in found.found:
        click.echo(f"{row.id}  {row.path}\n    {_described(row)}")
    for kind, others in (("missed", found.missed), ("no attention", found.other_softmax)):
        for other in others:
            click.echo(f"{kind}  {other.path}\n    {other.why}")
    click.echo(f"found: {len(found.found)}, missed: {len(found.missed)}")


def _described(row: Row) -> str:
    """What an attention computes, in a line."""
    said = [row.form if row.heads is None else f"{row.form}, {row.heads} heads"]
    if row.groups not in (None, 1):
        said.append(f"{row.groups} to a key head")
    for name in ("head_width", "scale", "mask", "window", "cap"):
        value = getattr(row, name)
        if value is not None:
            number = f"{value:.6g}" if isinstance(value, float) else value
            said.append(f"{name.replace('head_', '')} {number}")
    said += [name for name in ("causal", "bias", "sinks", "cache") if getattr(row, name)]
    if row.dead_rows is not None:
        said.append(f"a row without keys gives {row.dead_rows}")
    if row.left is not None:
        said.append(f"left as it is written: {row.left}")
    return ", ".join(said)
