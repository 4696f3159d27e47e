"""`graphwright rules`."""

from __future__ import annotations

import json

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print the rules as JSON.")
def command(as_json: bool) -> int:
    """List the rules: name, contract and formula; those with a * run by default."""
    from graphwright.explanation import first_line, group_of
    from graphwright.passes.rule import rules

    rows = [
        {
            "name": rule.name,
            "contract": str(rule.contract),
            "default": bool(group_of(rule.name)),
            "group": group_of(rule.name) or None,
            "formula": first_line(rule),
        }
        for rule in rules().values()
    ]
    if as_json:
        click.echo(json.dumps({"schema": 1, "rules": rows}, indent=2))
        return 0
    widths = [max((len(str(row[key])) for row in rows), default=0) for key in ("name", "contract")]
    for row in rows:
        name, contract = f"{row['name']:{widths[0]}}", f"{row['contract']:{widths[1]}}"
        mark = "*" if row["default"] else " "
        click.echo(f"{mark} {click.style(name, bold=True)}  {contract}  {row['formula']}".rstrip())
    return 0
