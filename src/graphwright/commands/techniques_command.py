"""`graphwright techniques`."""

from __future__ import annotations

import json

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the techniques as JSON.")
def command(name: str | None, as_json: bool) -> int:
    """List the techniques, or show the page of the one called NAME.

    Each is applied with `optimize MODEL --apply NAME:KNOB=VALUE@layers=0-3@heads=1,2`.
    """
    from graphwright.applying import named
    from graphwright.passes.technique import techniques
    from graphwright.technique_pages import page, row

    chosen = list(techniques().values()) if name is None else [named(name)]
    if as_json:
        rows = [row(each) for each in chosen]
        click.echo(json.dumps({"schema": 1, "techniques": rows}, indent=2))
    elif name is not None:
        click.echo(page(chosen[0]), nl=False)
    else:
        width = max((len(each.name) for each in chosen), default=0)
        for each in map(row, chosen):
            name = click.style(f"{each['name']:{width}}", bold=True)
            click.echo(f"{name}  {each['contract']:12}  {each['formula']}")
            about = [f"knobs {each['signature']}"] if each["knobs"] else []
            about += [f"needs {each['needs']}"] if each["needs"] != "nothing" else []
            for line in (each["paper"], "; ".join(about)):
                if line:
                    click.echo(f"{'':{width}}  {line}")
    return 0
