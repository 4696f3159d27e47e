"""Where a node comes from, as keys and texts that a file can carry; both ends of ONNX share it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from graphwright.ir.graph import Origin

PREFIX = "graphwright."


def entries(origin: Origin) -> dict[str, str]:
    """The origin of a node that a rule made, as keys and texts; none of other nodes."""
    if not origin.rules:
        return {}
    said: dict[str, object] = {"sources": origin.sources, "rules": origin.rules}
    if origin.distance is not None:
        said["distance"] = origin.distance
    return {PREFIX + key: json.dumps(value) for key, value in said.items()}


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
