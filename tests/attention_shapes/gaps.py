"""Forms that the survey does not find yet, and why; what it finds of them has to be right."""

from __future__ import annotations

from collections.abc import Callable

from tests.attention_shapes.form import Form


def is_windows_of_open_batch(form: Form) -> bool:
    return form.layout == "windows" and form.sizes == "batch"


GAPS: dict[str, Callable[[Form], bool]] = {
    "that a batch of windows divides by the windows is not known": is_windows_of_open_batch,
}


def gap(form: Form) -> str | None:
    """Why a form may be missed; None where it may not."""
    return next((why for why, fits in GAPS.items() if fits(form)), None)
