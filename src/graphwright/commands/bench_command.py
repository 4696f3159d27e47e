"""`graphwright bench BEFORE AFTER`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphwright.commands import options

if TYPE_CHECKING:
    from graphwright.benching import Benchmark, Times


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("before", type=options.MODEL)
@click.argument("after", type=options.MODEL)
@click.option("--runs", type=click.IntRange(min=1), help="So many, not what fits into 10 seconds.")
@click.option("--data", type=options.MODEL, help=options.DATA_HELP)
@click.option("--shape", multiple=True, metavar="INPUT=1x128", help=options.SHAPE_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print the times as JSON.")
def command(
    before: Path,
    after: Path,
    runs: int | None,
    data: Path | None,
    shape: tuple[str, ...],
    as_json: bool,
) -> int:
    """Time BEFORE and AFTER on ONNX Runtime, its own optimizations on, in turn.

    Exit status: 0 timed; 2 bad input.
    """
    from graphwright import summary
    from graphwright.api import load
    from graphwright.benching import bench

    given, shapes = options.data(data), options.shapes(shape)
    graphs = [load(path, shapes=shapes) for path in (before, after)]
    with summary.progress(as_json) as progress:
        progress("timing")
        found = bench(*graphs, data=given, runs=runs, isolated=True)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        _show(before, after, found)
    return 0


def _show(before: Path, after: Path, found: Benchmark) -> None:
    width = max(len(path.name) for path in (before, after))
    for path, times in ((before, found.before), (after, found.after)):
        click.echo(f"{path.name:{width}}  {_line(times)}")
    click.echo(f"{found.ratio:.2f} times as fast ({found.low:.2f} to {found.high:.2f})")
    sizes = ", ".join(f"{name} {shape}".rstrip() for name, shape in found.inputs.items())
    click.echo(f"medians and quartiles of {found.runs} runs each, on {sizes or 'no inputs'}")


def _line(times: Times) -> str:
    low, high = times.low * 1e3, times.high * 1e3
    return f"{times.median * 1e3:9.3f} ms  ({low:.3f} to {high:.3f})"
