"""What the survey is to say of a form, and where it says something else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from tests.attention_shapes.attention import Written
from tests.attention_shapes.form import ADDED, GIVEN
from tests.attention_shapes.masks import REACH
from tests.attention_shapes.scores import CAP, scale_of

from graphwright.surveying import Row

CLOSE = 1e-3  # half precision holds constants no better


def claim(written: Written) -> dict[str, object]:
    """The row of a form, as far as its choices tell."""
    form, sizes = written.form, written.sizes
    groups = 1 if form.groups == "one" else int(sizes["g"])
    masked = form.mask != "none" and form.mask not in GIVEN
    found: dict[str, object] = {
        "heads": int(sizes["h"]) * groups,
        "groups": groups,
        "head_width": sizes["d"],
        "value_width": sizes["e"],
        "scale": scale_of(form.scale, int(sizes["d"])),
        "cap": CAP if form.cap == "tanh" else None,
        # Of a tensor that is given and added nobody can tell whether it hides anything.
        "bias": form.bias != "none" or form.mask in GIVEN,
        "mask": ("additive" if form.mask in ADDED else "boolean") if masked else "none",
        "sinks": form.sinks != "none",
        "dead_rows": _dead_rows(written) if masked else None,
    }
    if form.length == "self" and masked:
        found["causal"] = is_causal(form.mask)
        found["window"] = REACH if form.mask == "sliding" else None
    return found


def is_causal(mask: str) -> bool:
    return mask.startswith("causal") or mask in ("padded_causal", "two_adds", "sliding")


def _dead_rows(written: Written) -> str:
    hides_wholly = ("where_inf", "where_int", "sliding", "padded_causal", "windows_where")
    if written.form.mask in hides_wholly or written.form.softmax == "written_plain":
        return "zero" if written.form.after == "nan_guard" else "NaN"
    return "what the scores give with the mask added"


def faults(row: Row, wanted: Mapping[str, object]) -> Iterator[str]:
    """Where a row says something else than what is so; saying nothing of a pattern is no fault."""
    for name, value in wanted.items():
        said = getattr(row, name)
        if name in ("causal", "window") and said is None:
            continue
        if not _same(said, value):
            yield f"{name} is {said}, and should be {value}"


def _same(said: object, value: object) -> bool:
    if isinstance(said, float) and isinstance(value, float):
        return math.isclose(said, value, rel_tol=CLOSE)
    return said == value
