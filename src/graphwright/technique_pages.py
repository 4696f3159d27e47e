"""The page of a technique, made of the docstrings and the examples that stand in its file.

`python -m graphwright.technique_pages docs/techniques` writes them all.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

from graphwright.ir.contracts import Bounded
from graphwright.passes.rule import Example
from graphwright.passes.technique import Technique, techniques


def row(technique: Technique) -> dict[str, Any]:
    """A technique as plain data."""
    contract = technique.contract()
    return {
        "name": technique.name,
        "formula": technique.doc.strip().partition("\n")[0],
        "contract": str(contract),
        "bound": contract.bound if isinstance(contract, Bounded) else None,
        "needs": technique.needs,
        "knobs": {name: knob.default for name, knob in technique.knobs.items()},
        "signature": signature(technique),
        "paper": _said(technique, "Paper"),
        "normalizer": technique.formula is not None,
    }


def signature(technique: Technique) -> str:
    """How a technique is asked for, with its knobs as they are by default."""
    knobs = ",".join(f"{name}={p.default}" for name, p in technique.knobs.items())
    return technique.name + (f":{knobs}" if knobs else "")


def page(technique: Technique) -> str:
    """All that is known of a technique, as Markdown."""
    return "\n".join(_lines(technique)).rstrip() + "\n"


def index() -> str:
    """The list of all techniques, as Markdown."""
    lines = [
        "# Techniques",
        "",
        "Each is applied with `optimize MODEL --apply NAME:KNOB=VALUE`; `@layers=0-3` and "
        "`@heads=1,2` say where. These pages are made of the files in `passes/techniques/`.",
        "",
        "| technique | formula | contract | needs |",
        "|---|---|---|---|",
    ]
    for each in map(row, techniques().values()):
        formula = each["formula"].replace("|", "\\|")
        link = f"[{each['name']}]({each['name']}.md)"
        lines.append(f"| {link} | {formula} | {each['contract']} | {each['needs']} |")
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """Every page by the name of its file."""
    found = {f"{name}.md": page(each) for name, each in techniques().items()}
    return {"README.md": index(), **found}


def _lines(technique: Technique) -> Iterator[str]:
    formula, _, rest = inspect.cleandoc(technique.doc).partition("\n")
    about = row(technique)
    yield from (f"# {technique.name}", "", f"    {formula}", "")
    yield from (inspect.cleandoc(rest), "") if rest.strip() else ()
    yield from (_module_doc(technique), "")
    bound = f": {about['bound']}" if about["bound"] else ""
    yield from (f"Contract: {about['contract']}{bound}. Needs: {about['needs']}.", "")
    yield from (f"    optimize model.onnx --apply {about['signature']}", "")
    if technique.formula is not None:
        yield from ("The weights of a row of scores `s`:", "", "```text")
        yield from (dedent(technique.formula()).strip(), "```", "")
    for example in technique.examples:
        yield from _example(example)


def _module_doc(technique: Technique) -> str:
    """What the file says of paper and claims, each a paragraph."""
    doc = inspect.getdoc(sys.modules[technique.home]) or ""
    return "\n\n".join(_paragraphs(doc))


def _paragraphs(doc: str) -> Iterator[str]:
    """Paragraphs, and lines that begin with a label as paragraphs of their own."""
    held: list[str] = []
    for line in doc.splitlines():
        label = line.partition(":")[0]
        if (not line.strip() or label in LABELS) and held:
            yield "\n".join(held)
            held = []
        if line.strip():
            held.append(line)
    if held:
        yield "\n".join(held)


LABELS = ("Paper", "Papers", "Claims", "Checked", "Not here", "Needs", "Contract", "Use not")


def _said(technique: Technique, label: str) -> str:
    """What the file says under a label, in one line."""
    doc = inspect.getdoc(sys.modules[technique.home]) or ""
    found = (p for p in _paragraphs(doc) if p.startswith(f"{label}:"))
    return " ".join(next(found, "").removeprefix(f"{label}:").split())


def _example(example: Example) -> Iterator[str]:
    yield from (f"Of `{example.given}`", "", "```text", dedent(example.before).strip(), "```", "")
    if example.because:
        yield from (f"is left alone: {example.because}.", "")
    elif example.after:
        yield from ("becomes", "", "```text", dedent(example.after).strip(), "```", "")


def write(folder: Path) -> None:
    """Write every page into a folder, and take away those of techniques that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    found = pages()
    for path in folder.glob("*.md"):
        if path.name not in found:
            path.unlink()
    for name, text in found.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
