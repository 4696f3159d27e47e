"""Examples of what a rule does, which are its tests and its documentation."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent


@dataclass(frozen=True)
class Example:
    """Of these inputs `before` becomes `after`, or stays `because` of words in the refusal.

    In a model of `opset`, where that matters.
    """

    given: str
    before: str
    after: str = ""
    because: str = ""
    opset: int = 0

    def text(self, body: str) -> str:
        """The example as a graph's text."""
        *lines, last = dedent(body).strip().splitlines()
        return "\n    ".join([f"def example({self.given}):", *lines, f"return {last}"])
