"""What `optimize` says on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table
from rich.text import Text

from graphwright.applying import Chosen
from graphwright.backends.onnx.expand import is_later
from graphwright.backends.onnx.header import model_of
from graphwright.driver import Log
from graphwright.ir.graph import Graph
from graphwright.report import LeftOut, Report, sources_of
from graphwright.verification.verify import Verification

PLACES = 3  # that a warning names
LABEL = 11  # columns


@contextmanager
def progress(silent: bool) -> Iterator[Callable[[str], None]]:
    """A function that says on the terminal what is being done; it leaves nothing behind."""
    console = Console(stderr=True)
    if silent or not console.is_terminal:
        yield lambda _: None
        return
    with console.status("") as status:
        yield lambda text: status.update(f"{text}…")


def show(report: Report, verbose: bool, log: Log) -> None:
    """Print what was done, for people."""
    console = Console(highlight=False)
    if verbose:
        for line in _each(log):
            console.print(line, soft_wrap=True)
        console.print()
    for table in (_operators(report), _rewrites(report)):
        if table is not None:
            console.print(table)
            console.print()
    for label, text in _facts(report):
        console.print(Text.assemble((f"{label:{LABEL}}", "bold"), text), soft_wrap=True)


def _each(log: Log) -> Iterator[Text]:
    for application, verdict in log.kept:
        made = ", ".join(dict.fromkeys(n.op for n in application.made)) or "what is there already"
        apart = "" if verdict is None or verdict.distance is None else verdict.distance.max_abs
        how = f"  ({number(apart)} apart)" if isinstance(apart, float) else ""
        where = some(sources_of(application))
        yield Text.assemble((application.rule, "bold"), f"  {where}  ->  {made}{how}")


def _operators(report: Report) -> Table | None:
    """Nodes by operator, those that have changed; the others are only counted."""
    before, after = report.nodes_before, report.nodes_after
    names = sorted({*before, *after})
    changed = [n for n in names if before.get(n, 0) != after.get(n, 0)]
    table = _table("operator", "before", "after", "")
    total = sum(before.values()), sum(after.values())
    for name in changed:
        table.add_row(name, *_counts(before.get(name, 0), after.get(name, 0)))
    rest = sum(before[n] for n in names if n not in changed)
    if rest:
        table.add_row("others" if changed else "nodes", *_counts(rest, rest), style="dim")
    if changed:
        table.add_row("all nodes", *_counts(*total), style="bold")
    return table if names else None


def _counts(before: int, after: int) -> tuple[str, str, Text]:
    change = after - before
    style = "green" if change < 0 else "yellow"
    return f"{before:,}", f"{after:,}", Text(f"{change:+,}" if change else "", style)


def _rewrites(report: Report) -> Table | None:
    if not report.rewrites:
        return None
    table = _table("rewrite", "times", "apart", "contract")
    table.columns[3].justify = "left"
    for each in report.rewrites:
        apart = "" if each.worst is None else number(each.worst)
        table.add_row(each.rule, f"{each.count:,}", apart, each.contract)
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    table.add_column(first, no_wrap=True, min_width=24)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _facts(report: Report) -> Iterator[tuple[str, Text]]:
    if not report.rewrites:
        yield "rewrites", Text("none: no rule found anything to do")
    yield from (("applied", text) for text in _applied(report))
    yield from (("verified", text) for text in _verified(report))
    yield from (("apart", text) for text in _apart(report))
    for each in report.measured:
        kept = "kept" if each.kept else "left out"
        yield "measured", Text(f"{each.rule}: {each.speedup:.2f} times as fast, {kept}")
    if report.bytes_before is not None:
        after = "" if report.bytes_after is None else f" -> {size(report.bytes_after)}"
        yield "size", Text(f"{size(report.bytes_before)}{after}")
    yield "written", Text(report.written or "nothing")
    yield "runs on", Text(report.runs_on)
    yield from (("note", Text(note)) for note in report.notes)


def _applied(report: Report) -> Iterator[Text]:
    for each in report.applied:
        knobs = ", ".join(f"{name}={value}" for name, value in each.knobs.items())
        named = f"{each.technique} ({knobs})" if knobs else each.technique
        bound = f"; {each.bound}" if each.bound else ""
        yield Text(f"{named}: {each.count} place{'s' if each.count != 1 else ''}{bound}")
        for chosen in each.chosen:
            yield Text(f"  {_place(chosen)}: {_numbers(chosen.numbers)}, by the data")
        undone = any(left.rule == each.technique for left in report.left_out)
        if not each.count and undone:
            yield Text("  it was left out wherever it was tried", "yellow")
        elif not each.count and not each.left:
            yield Text("  nothing in the model is of its kind", "yellow")
        reasons: dict[str, list[str]] = {}
        for where, why in each.left:
            reasons.setdefault(why, []).append(some(where))
        for why, places in reasons.items():
            yield Text(f"  not at {some(tuple(places))}: {why}", "yellow")


def _place(chosen: Chosen) -> str:
    return some(chosen.where) if chosen.layer is None else f"layer {chosen.layer}"


def _numbers(chosen: Mapping[str, Sequence[float]]) -> str:
    """Numbers under their names, a number that all heads have in common once."""
    return "; ".join(
        f"{name} {', '.join(f'{n:.4g}' for n in (each[:1] if len(set(each)) == 1 else each))}"
        for name, each in chosen.items()
    )


def _verified(report: Report) -> Iterator[Text]:
    found = report.verified
    if found is None:
        yield Text("no: the whole was not run", "yellow")
    elif not found.ok:
        yield Text("no: it is not the same function", "red")
    elif report.is_approximate:
        yield Text.assemble(("another function, as asked", "yellow"), f", on {described(found)}")
    else:
        yield Text.assemble(("the same function", "green"), f" on {described(found)}")


def _apart(report: Report) -> Iterator[Text]:
    found = report.verified
    outputs = () if found is None else found.outputs
    apart = [(o.verdict.distance, o.name) for o in outputs if o.verdict.distance is not None]
    if apart:
        worst, name = max(apart, key=lambda pair: pair[0].max_abs)
        relative = f" (relative {number(worst.relative)})"
        said = f"{number(worst.max_abs)}{relative} at most, in '{name}'"
        yield Text(said if worst.max_abs else "nowhere: the outputs are equal")


def described(found: Verification) -> str:
    """How many inputs both models ran on, and how they were made."""
    skipped = f", {found.skipped} more left out" if found.skipped else ""
    return f"{found.runs} input{'s' if found.runs != 1 else ''}{skipped} ({found.inputs})"


def number(value: float) -> str:
    """A distance, as short as it is telling."""
    return "0" if value == 0 else f"{value:.1e}"


def size(count: int) -> str:
    """A number of bytes, for people."""
    value, units = float(count), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{count} bytes" if units[0] == "bytes" else f"{value:.1f} {units[0]}"


def some(names: tuple[str, ...]) -> str:
    """A few of `names`, and how many there are beside them."""
    more = len(names) - PLACES
    return ", ".join(names[:PLACES]) + (f" and {more} more" if more > 0 else "")


def runs_on(graph: Graph, opset: int | None, module: bool = False) -> str:
    """Which runtimes can run the model, which may be written as an MLIR module."""
    if module:
        return "what compiles MLIR's linalg on tensors, for inputs of these shapes"
    header = graph.header
    if header is None:
        return ""
    written = opset or header.opsets.get("", 0)
    spelled = sorted({n.op for _, n in graph.walk() if is_later(n, written)})
    how = "as a function" if model_of(graph, opset).has_functions else "in place"
    out = f"; {', '.join(spelled)} written out {how}" if spelled else ""
    return f"{_who(graph)} with ONNX opset {written}, IR version {header.ir_version}{out}"


def _who(graph: Graph) -> str:
    used = {n.op.partition("::")[0] for _, n in graph.walk() if "::" in n.op}
    foreign = sorted(used - {f.domain for f in graph.functions.values()})
    if not foreign:
        return "any runtime"
    if all(domain.startswith("com.microsoft") for domain in foreign):
        return f"ONNX Runtime, which has the operators of {', '.join(foreign)},"
    return f"runtimes that have the operators of {', '.join(foreign)},"


def warnings(report: Report) -> list[str]:
    """What a user should know though it was not asked for, as sentences."""
    by_rule: dict[str, list[LeftOut]] = {}
    for each in report.left_out:
        by_rule.setdefault(each.rule, []).append(each)
    found = [_left_out(rule, places) for rule, places in by_rule.items()]
    if report.verified is not None and not report.verified.ok:
        where = f"; {report.drift}" if report.drift else ""
        said = report.verified.why
        found.append(f"the result is not the same function, so it was not written: {said}{where}")
    return found


def _left_out(rule: str, places: list[LeftOut]) -> str:
    first = places[0]
    more = len(places) - 1
    count = f" and in {more} other place{'s' if more > 1 else ''}" if more else ""
    return f"{rule} was left out at {some(first.where)}{count}: {first.why}"
