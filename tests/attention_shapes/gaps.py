"""Forms that the survey does not find yet, and why; what it finds of them has to be right."""

from __future__ import annotations

from collections.abc import Callable

from tests.attention_shapes.form import Form


def is_windows_of_open_batch(form: Form) -> bool:
    return form.layout == "windows" and form.sizes == "batch"


def is_buffer_behind_open_cache(form: Form) -> bool:
    return form.mask == "causal_buffer" and "cache" in form.length and form.sizes == "all"


GAPS: dict[str, Callable[[Form], bool]] = {
    "that a batch of windows divides by the windows is not known": is_windows_of_open_batch,
    "that the part of a stored triangle that stands behind a cache is as long as the keys": (
        is_buffer_behind_open_cache
    ),
}


def is_misread(form: Form) -> bool:
    """Whether the pattern of a mask is read off wrongly: where its rows are groups and queries.

    `surveying._pattern` takes the axis before the keys for the queries.
    """
    return form.layout == "rows" and form.at == "flat"


def gap(form: Form) -> str | None:
    """Why a form may be missed; None where it may not."""
    return next((why for why, fits in GAPS.items() if fits(form)), None)
