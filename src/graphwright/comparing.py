"""Two files verified, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from graphwright.api import load
from graphwright.ir.errors import ModelError
from graphwright.noting import where_drift_begins
from graphwright.report import plain
from graphwright.runtime import Runtime
from graphwright.summary import described, number, progress
from graphwright.verification.data import Data
from graphwright.verification.metrics import Distance
from graphwright.verification.verify import OutputVerdict, Verification, verify

SCHEMA = 1


@dataclass(frozen=True)
class Compared:
    """What was found of two files; `drift` says where they begin to differ when they do."""

    before: str
    after: str
    verified: Verification
    drift: str = ""

    @property
    def ok(self) -> bool:
        """Whether they are the same function."""
        return self.verified.ok

    def as_json(self) -> dict[str, Any]:
        """What was found as plain data, in a form that only grows."""
        found: dict[str, Any] = plain({"schema": SCHEMA, "ok": self.ok, **asdict(self)})
        return found


def compared(
    before: Path, after: Path, data: Data | None, shapes: Mapping[str, tuple[int, ...]]
) -> Compared:
    """Whether two files are the same function. Raises ModelError where that cannot be told."""
    first, second = (load(path, shapes=shapes) for path in (before, after))
    with Runtime(isolated=True) as runtime, progress(silent=False) as say:
        say("running both")
        found = verify(first, second, runtime.evaluate, runtime.evaluate64, data)
        if not found.ok and not found.runs and found.skipped:
            raise ModelError(found.why)
        say("looking for where they begin to differ")
        drift = "" if found.ok else where_drift_begins(first, second, runtime)
    return Compared(str(before), str(after), found, drift)


def show(found: Compared) -> None:
    """Print what was found, for people."""
    console = Console(highlight=False)
    verified = found.verified
    if verified.outputs:
        console.print(_table(verified))
        console.print()
    if verified.ok:
        said = f"{found.after} is the same function as {found.before}"
        console.print(Text(said, "green"), soft_wrap=True)
    else:
        said = f"{found.after} is not the same function as {found.before}: {verified.why}"
        console.print(Text(said, "red"), soft_wrap=True)
    for line in _facts(found):
        console.print(f"  {line}", soft_wrap=True, markup=False)


def _facts(found: Compared) -> list[str]:
    verified = found.verified
    facts = [found.drift] if found.drift else []
    facts += [f"compared on {described(verified)}"] if verified.runs else []
    if verified.skipped:
        facts.append(f"left out are inputs on which the original fails: {verified.skipped_why}")
    if verified.truth:
        facts.append(f"held against the original, for want of a float64 answer: {verified.truth}")
    return facts


def _table(verified: Verification) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("output", overflow="fold")
    distances = [o.verdict.distance or Distance() for o in verified.outputs]
    logits = any(d.kl is not None for d in distances)
    columns = ["max abs", "relative", "cosine", "SQNR", *(["KL", "top-1"] if logits else []), ""]
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for output, distance in zip(verified.outputs, distances, strict=True):
        table.add_row(output.name, *_row(output, distance, logits))
    return table


def _row(output: OutputVerdict, distance: Distance, logits: bool) -> list[str | Text]:
    mark = Text("ok", "green") if output.verdict.ok else Text("not ok", "red")
    if distance.problem:
        return [*([""] * (6 if logits else 4)), mark]
    sqnr = "inf" if distance.sqnr_db == float("inf") else f"{distance.sqnr_db:.0f} dB"
    cells: list[str | Text] = [
        number(distance.max_abs),
        number(distance.relative),
        f"{distance.cosine:.6f}",
        sqnr,
    ]
    if logits:
        kl, top1 = distance.kl, distance.top1
        cells += ["" if kl is None else number(kl), "" if top1 is None else f"{top1:.1%}"]
    return [*cells, mark]
