"""What two models take and give, compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from graphwright.differences.hunks import Hunk, Place, Signature
from graphwright.differences.labels import Labels
from graphwright.differences.pairing import outputs_by_name
from graphwright.differences.weights import weights
from graphwright.ir.dims import Dim, atoms_of
from graphwright.ir.graph import Graph, Value
from graphwright.ir.types import TensorType, Type

MADE_UP = re.compile(r"\b_\d+\b")  # names of sizes that the file does not name

Values = Mapping[str, Value | None]


def signature(before: Graph, after: Graph, labels: Labels) -> Iterator[Hunk]:
    """Inputs, outputs, their order, and what inputs hold that a caller leaves out."""
    inputs: list[Values] = [{v.name: v for v in g.inputs} for g in (before, after)]
    yield from _changed("input", *inputs)
    yield from _changed("output", outputs_by_name(before), outputs_by_name(after))
    defaults = [{v.name: c for v, c in g.defaults.items()} for g in (before, after)]
    for name in sorted({*defaults[0]} & {*defaults[1]}):
        one, other = defaults[0][name], defaults[1][name]
        if labels.content(one) != labels.content(other):
            yield weights(Place("input", name), name, one, other)
    for name in sorted({*defaults[0]} ^ {*defaults[1]}):
        said = [str(d[name].type) if name in d else None for d in defaults]
        yield Signature("default of the input", name, *said)


def _changed(what: str, before: Values, after: Values) -> Iterator[Hunk]:
    for name in dict.fromkeys((*before, *after)):
        if name not in before or name not in after:
            said = [_written(side[name]) if name in side else None for side in (before, after)]
            yield Signature(what, name, *said)
        elif not _agree(before[name], after[name], loose=what == "output"):
            yield Signature(what, name, _written(before[name]), _written(after[name]))
    order = [[n for n in side if n in before and n in after] for side in (before, after)]
    if order[0] != order[1]:
        yield Signature(f"order of {what}s", "", ", ".join(order[0]), ", ".join(order[1]))


def _agree(one: Value | None, other: Value | None, loose: bool) -> bool:
    """Whether the types are the same; `loose`: as far as both are known."""
    if one is None or other is None:
        return one is other
    a, b = one.type, other.type
    if not (isinstance(a, TensorType) and isinstance(b, TensorType)):
        return a == b
    if a.dtype != b.dtype:
        return False
    if a.shape is None or b.shape is None:
        return a.shape is b.shape or loose
    pairs = list(zip(a.shape, b.shape, strict=False))
    return len(a.shape) == len(b.shape) and all(_same_size(x, y, loose) for x, y in pairs)


def _same_size(one: Dim, other: Dim, loose: bool) -> bool:
    unknown = [any(MADE_UP.fullmatch(name) for name in atoms_of(d)) for d in (one, other)]
    return one == other or all(unknown) or (loose and any(unknown))


def _written(value: Value | None) -> str:
    return "nothing" if value is None else _type(value.type)


def _type(kind: Type) -> str:
    return MADE_UP.sub("?", str(kind))
