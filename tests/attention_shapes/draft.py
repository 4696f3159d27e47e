"""An attention half written: the tensors that the stages hand on."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.attention_shapes.sheet import Sheet, Tensor


@dataclass
class Draft:
    """What has been written so far; a stage reads and sets the tensors it is about."""

    sheet: Sheet
    heads: str  # the letters of the queries' heads, as they stand in an axis
    q: Tensor | None = None
    k: Tensor | None = None
    v: Tensor | None = None
    scores: Tensor | None = None
    weights: Tensor | None = None
    result: Tensor | None = None
    also: list[Tensor] = field(default_factory=list)  # outputs beside the result
    scale_left: float = 1.0  # what the scores are still to be multiplied by

    def get(self, name: str) -> Tensor:
        """A tensor that an earlier stage has set."""
        found = getattr(self, name)
        assert isinstance(found, Tensor), f"{name} is not written yet"
        return found
