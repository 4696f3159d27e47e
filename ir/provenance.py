"""Where a node comes from; also as keys and texts that a file can carry, for both ends of ONNX."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from graphwright.ir.graph import Node

PREFIX = "graphwright."
MAX_SOURCES = 64


class Origin(NamedTuple):
    """Where a node came from: nodes of the user's model, and the rules that rewrote them.

    `distance` is how far apart old and new were at most, where that was measured.
    """

    sources: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    distance: float | None = None

    @staticmethod
    def of(nodes: Collection[Node], rule: str) -> Origin:
        """The origin of what `rule` makes out of `nodes`; bounded, so that it can't grow on."""
        sources: set[str] = set()
        rules: dict[str, None] = {}
        for node in nodes:
            sources.update(node.origin.sources)
            rules.update(dict.fromkeys(node.origin.rules))
        rules.pop(rule, None)
        return Origin(tuple(sorted(sources)[:MAX_SOURCES]), (*rules, rule))


NO_ORIGIN = Origin()


def entries(origin: Origin) -> dict[str, str]:
    """The origin of a node that a rule made, as keys and texts; none of other nodes."""
    if not origin.rules:
        return {}
    said = {PREFIX + "sources": _listed(origin.sources), PREFIX + "rules": _listed(origin.rules)}
    if origin.distance is not None:
        said[PREFIX + "distance"] = json.dumps(origin.distance)
    return said


def _listed(names: tuple[str, ...]) -> str:
    """Names as a list in JSON, whose own way to write one takes far longer."""
    return f"[{', '.join(map(encode_basestring_ascii, names))}]"


def origin_in(said: Mapping[str, str]) -> Origin | None:
    """The origin that a file tells; None where it tells none that can be read."""
    sources = _names(said.get(PREFIX + "sources"))
    rules = _names(said.get(PREFIX + "rules"))
    if sources is None or rules is None:
        return None
    distance: Any = _read(said.get(PREFIX + "distance"))
    known = isinstance(distance, float) and math.isfinite(distance)
    return Origin(sources, rules, distance if known else None)


def _names(text: str | None) -> tuple[str, ...] | None:
    found = _read(text)
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        return None
    return tuple(found)


def _read(text: str | None) -> object:
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None
