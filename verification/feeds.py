"""Inputs made for a graph: of several sizes, ordinary and at the edges of what is ordinary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphwright.ir.dims import atoms_of
from graphwright.ir.graph import Graph
from graphwright.verification.arrays import Slot, array_for, slots_of
from graphwright.verification.masks import PADDINGS
from graphwright.verification.sizes import Scheme, Sizes, schemes, sizes_of

__all__ = ["Feed", "feeds_of", "make_feeds", "schemes", "sizes_of"]

TOLD = 6  # sizes are named in words as long as they are few
EDGES = ("large", "tiny", "zero")


class Feed(dict[str, Any]):
    """Arrays by the names of inputs; `about` says in words how they were made."""

    def __init__(self, arrays: Mapping[str, Any], about: str = "") -> None:
        super().__init__(arrays)
        self.about = about

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        """A plain dict: a process that runs graphs need not know of feeds."""
        return dict, (dict(self),)


def make_feeds(
    graph: Graph,
    seed: int = 0,
    *,
    sizes: Mapping[str, int] | None = None,
    scheme: Scheme | None = None,
) -> list[Feed]:
    """Inputs for `graph`, the same for the same seed.

    Indices lie within their tables, masks are masks, and what holds sizes holds the ones chosen.
    `sizes` fixes sizes by name; without a `scheme`, the likeliest of `schemes` says which others
    are equal. Raises ModelError where no array can be made.
    """
    scheme = scheme or schemes(graph, seed, sizes)[0]
    slots = slots_of(graph)
    found: list[Feed] = []
    for i, choice in enumerate(scheme.choices):
        found += feeds_of(slots, choice, _variants(slots, first=not i), (seed, i))
    return found


Variant = tuple[str, str]
"""How floats and how masks are made."""


def feeds_of(
    slots: Sequence[Slot], sizes: Sizes, variants: Sequence[Variant], seed: tuple[int, ...]
) -> list[Feed]:
    """One feed of each variant, all of the same sizes."""
    names = {name for slot in slots for dim in slot.dims for name in atoms_of(dim)}
    masked = any(slot.kind in ("mask", "bias") for slot in slots)
    told = {name: size for name, size in sizes.items() if name in names}
    return [
        Feed(
            {
                slot.value.name: array_for(
                    slot, sizes, numbers, padding, np.random.default_rng((*seed, i, j))
                )
                for j, slot in enumerate(slots)
            },
            _about(told, numbers, padding if masked else ""),
        )
        for i, (numbers, padding) in enumerate(variants)
    ]


def _variants(slots: Sequence[Slot], first: bool) -> list[Variant]:
    """Of the first choice of sizes all there is, of the others the ordinary."""
    edges = EDGES if first else ("large",)
    kept = [(edge, "none") for edge in edges if any(s.kind in ("float", "bias") for s in slots)]
    return [("", padding) for padding in paddings(slots, first)] + kept


def paddings(slots: Sequence[Slot], all_: bool = True) -> tuple[str, ...]:
    """The paddings that there are masks for; one that stands for none where there is no mask."""
    masks = [s for s in slots if s.kind in ("mask", "bias")]
    if not masks:
        return ("",)
    if not all_:
        return ("none", "right", "dead")
    found = list(PADDINGS)
    if any(s.dtype == "bool" for s in masks):
        found.append("empty")  # of a mask that says what is hidden this is the ordinary case
    if any(len(s.dims) > 2 for s in masks):
        found.append("causal")
    if any(s.kind == "bias" for s in masks):
        found += ["dead by -inf", ""]
    return tuple(found)


def _about(sizes: Sizes, numbers: str, padding: str) -> str:
    said = [f"{name}={size}" for name, size in list(sizes.items())[:TOLD]]
    said += [f"{numbers} numbers"] if numbers else []
    said += [f"padding {padding}" if padding != "none" else "no padding"] if padding else []
    return ", ".join(said) or "ordinary numbers"
