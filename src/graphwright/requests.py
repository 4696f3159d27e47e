"""What is asked for by name: `NAME[:knob=value,...][@layers=0-3][@heads=1,2]`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

from graphwright.ir.errors import ModelError

FORM = "NAME[:K=V,...][@layers=0-3][@heads=1,2]"
WORD = r"[A-Za-z_][\w-]*"
TOO_LARGE = 2**63  # for a whole number in a model
Knob = int | float | str


@dataclass(frozen=True)
class Request:
    """A rule or technique by name, its knobs, and the layers and heads it is for; None is all."""

    name: str
    knobs: dict[str, Knob] = field(default_factory=dict)
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked for beside the name."""
        return not self.knobs and self.layers is None and self.heads is None


def read_request(text: str) -> Request:
    """The request that `text` is. Raises ModelError for what is none."""
    head, *places = text.split("@")
    name, colon, listed = head.partition(":")
    if not re.fullmatch(WORD, name) or (colon and not listed):
        raise ModelError(f"'{text}' asks for nothing that can be understood; write it as {FORM}")
    given = [_knob(each, text) for each in listed.split(",")] if colon else []
    knobs = dict(given)
    if len(knobs) < len(given):
        raise ModelError(f"'{text}' sets a knob twice")
    chosen: dict[str, tuple[int, ...]] = {}
    for place in places:
        kind, _, numbers = place.partition("=")
        if kind not in ("layers", "heads") or kind in chosen:
            raise ModelError(
                f"'{text}': '@{place}' is neither @layers=... nor @heads=..., once each"
            )
        chosen[kind] = _numbers(numbers, text)
    return Request(name, knobs, chosen.get("layers"), chosen.get("heads"))


def _knob(each: str, text: str) -> tuple[str, Knob]:
    name, equals, value = each.partition("=")
    if not re.fullmatch(WORD, name) or not equals or not value:
        raise ModelError(f"'{text}': '{each}' sets no knob; write it as KNOB=VALUE")
    for kind in (int, float):
        try:
            number = kind(value)
        except ValueError:
            continue
        if isinstance(number, float) or abs(number) < TOO_LARGE:
            return name, number
    return name, value


def _numbers(listed: str, text: str) -> tuple[int, ...]:
    found: list[int] = []
    for part in listed.split(","):
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)
        if match is None:
            raise ModelError(f"'{text}': '{part}' is no number and no range of numbers such as 0-3")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ModelError(f"'{text}': the range '{part}' is empty")
        found += range(first, last + 1)
    return tuple(dict.fromkeys(found))


def nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    """Which name was meant, as the end of a sentence; `otherwise` where none is near."""
    near = get_close_matches(name, list(known), 1)
    return f"did you mean '{near[0]}'?" if near else otherwise
