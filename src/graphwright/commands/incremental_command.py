"""`graphwright incremental MODEL -o FOLDER`: generation with kept keys and values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphwright.commands import options
from graphwright.ir.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphwright.incrementing import Incremental


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=options.MODEL)
@click.option("-o", "--output", type=options.MODEL, required=True, help="A folder, made if needed.")
@click.option("--data", type=options.MODEL, help=options.DATA_HELP)
@click.option("--no-verify", is_flag=True, help="Check nothing but that it is causal.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but what is wrong.")
def command(model: Path, output: Path, data: Path | None, no_verify: bool, quiet: bool) -> int:
    """Make a causal MODEL that takes all tokens at once go on from what it has computed.

    FOLDER gets decoder_model.onnx, which takes a prompt and gives keys and values beside what MODEL
    gives, and decoder_with_past_model.onnx, which takes those and new tokens. Exit status: 0
    written; 1 they did not verify and nothing was written; 2 bad input, or not causal.
    """
    from graphwright import summary
    from graphwright.api import load
    from graphwright.incrementing import incremental, save_incremental

    if model.is_dir():
        raise ModelError(f"{model} is a folder, and no model")
    if output.exists() and not output.is_dir():
        raise ModelError(f"{output} is a file; name a folder to write to")
    given = options.data(data)
    before = load(model, inline=True)
    with summary.progress(quiet) as progress:
        found = incremental(
            before, data=given, verify=not no_verify, isolated=True, progress=progress
        )
        verified = found.verified
        if verified is not None and not verified.ok:
            click.echo(f"incremental: not written, since {verified.why}", err=True)
            return 1
        progress("writing")
        paths = save_incremental(found, output)
    for line in () if quiet else _lines(found, paths):
        click.echo(line)
    return 0


def _lines(found: Incremental, paths: tuple[Path, Path]) -> Iterator[str]:
    """What was made, and how it was checked."""
    yield f"prompt    {paths[0]}"
    yield f"step      {paths[1]}"
    yield f"keeps     {found.own[0]} … {found.own[-1]}, {len(found.own)} in all, which grow"
    if found.other:
        yield f"          {found.other[0]} … {found.other[-1]}, {len(found.other)} that stay"
    yield from (f"causal    {note}" for note in found.notes[:1])
    if found.verified is not None:
        apart = max(
            (o.verdict.distance.relative for o in found.verified.outputs if o.verdict.distance),
            default=0.0,
        )
        yield (
            f"verified  {found.verified.runs} inputs, a prompt and steps of each "
            f"({found.verified.inputs}); at most {apart:.1e} apart, of the largest value"
        )
    yield from (f"note      {note}" for note in found.notes[1:])
