"""`graphwright explain RULE`, `graphwright explain MODEL`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from graphwright.explanation import NearMiss

PLACES = 3


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("what", metavar="RULE|MODEL")
@click.option("--rule", metavar="RULE", help="Only this rule, and all places that look like it.")
def command(what: str, rule: str | None) -> int:
    """Show RULE with its examples, or the places of MODEL that rules left alone, and why."""
    from graphwright import explanation
    from graphwright.passes.technique import techniques

    if rule is None and what in techniques():
        from graphwright.technique_pages import page

        click.echo(page(techniques()[what]), nl=False)
        return 0
    if rule is not None:
        explanation.rule_named(rule)
    if rule is None and not _is_file(what):
        for line in explanation.told(explanation.rule_named(what)):
            click.echo(line)
        return 0
    from graphwright.api import load

    found = explanation.grouped(explanation.near_misses(load(what, inline=True), rule))
    if not found:
        click.echo("no rule came near to anything that it left alone")
    for name, reasons in found.items():
        click.echo(click.style(name, bold=True))
        for why, misses in reasons.items():
            fits = why == explanation.FITS
            said = f"it fits, but only runs where asked for: --apply {name}" if fits else why
            count = f"{len(misses)} places" if len(misses) > 1 else "1 place"
            click.echo(f"  {count}: {said}")
            click.echo(f"    {_places(misses)}")
    return 0


def _is_file(what: str) -> bool:
    return Path(what).exists() or "/" in what or what.endswith(".onnx")


def _places(misses: list[NearMiss]) -> str:
    named = [f"{m.op} {m.where[0]}" if m.where else m.op for m in misses[:PLACES]]
    more = len(misses) - PLACES
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")
