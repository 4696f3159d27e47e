"""The pages of docs/techniques are what the files in passes/techniques say."""

from __future__ import annotations

from pathlib import Path

from graphwright.technique_pages import pages

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "techniques"


def test_the_pages_are_up_to_date() -> None:
    held = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    assert held == pages(), "run `make pages`"
