"""Attentions to try kernels on, their inputs, and what they give in NumPy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any

import numpy as np

from graphwright.backends.triton import Facts
from graphwright.ir.normalizers import body, compute
from graphwright.ir.ops import OPS
from graphwright.ir.types import NUMPY, TensorType

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Case:
    """An attention by its sizes, what it takes and how its scores are made."""

    about: str
    formula: str = ""
    heads: int = 2
    shared: int = 1
    queries: int = 19
    keys: int = 37
    width: int = 12
    value_width: int = 20
    batch: tuple[int, ...] = (2,)
    mask: str = "padding"
    bias: str = "none"
    sink: bool = False
    scale: float = 0.3
    cap: float = 0.0
    filler: float = -inf
    guard: bool = True
    large: float = 1.0
    causal: bool = False
    window: int = 0
    dtype: str = "f32"
    seed: int = 0

    def __str__(self) -> str:
        return self.about

    @property
    def facts(self) -> Facts:
        made = None
        if self.formula:
            shape = (*self.batch, self.heads, self.queries, self.keys + self.sink)
            made = body(self.formula, TensorType(self.dtype, shape))
        return Facts(
            self.heads,
            self.shared,
            self.width,
            self.value_width,
            len(self.batch),
            self.bias != "none",
            self.mask != "none",
            self.sink,
            self.scale,
            self.cap,
            self.filler,
            self.guard,
            self.causal,
            self.window,
            made,
        )

    def given(self) -> dict[str, Array]:
        """What the attention takes, by name; half of the rows have `large` scores."""
        rng, kind = np.random.default_rng(self.seed), NUMPY[self.dtype]

        def normal(*shape: int) -> Array:
            return rng.normal(size=shape).astype(np.float32)

        q = normal(*self.batch, self.heads, self.queries, self.width)
        q[..., ::2, :] *= self.large
        k = normal(*self.batch, self.shared, self.keys, self.width)
        v = normal(*self.batch, self.shared, self.keys, self.value_width)
        found = {"q": q.astype(kind), "k": k.astype(kind), "v": v.astype(kind)}
        if self.bias != "none":
            rows = (self.heads, self.queries) if self.bias == "whole" else (1, 1)
            lead = (1,) * len(self.batch)
            found["bias"] = normal(*lead, *rows, self.keys).astype(kind)
        if self.mask != "none":
            found["mask"] = self._mask()
        if self.sink:
            found["sink"] = normal(*(1,) * len(self.batch), self.heads, 1, 1).astype(kind)
        return found

    def _mask(self) -> Array:
        """Padding to the right and in the middle, to the left, and a row without keys."""
        *lead, last = self.batch
        queries = 1 if self.mask == "keys" else self.queries
        seen = np.ones((last, 1, queries, self.keys), bool)
        if self.mask == "causal":
            rows, columns = np.arange(self.queries)[:, None], np.arange(self.keys)[None]
            return np.broadcast_to(columns <= rows, (*(1,) * len(lead), *seen.shape)).copy()
        seen[0, ..., self.keys * 4 // 5 :] = False
        seen[0, ..., self.keys // 4 : self.keys // 3] = False
        seen[-1, ..., : self.keys // 7] = False
        if queries > 1:
            seen[-1, :, 3] = False
        if self.mask == "dead":
            seen[-1] = False
        return seen.reshape(*(1,) * len(lead), *seen.shape)

    def computed(self, dtype: str) -> Array:
        """What NumPy computes in an element type."""
        kind = NUMPY[dtype]
        given = {n: x if x.dtype == bool else x.astype(kind) for n, x in self.given().items()}
        if self.causal:
            given["mask"] = self.seen() & given.get("mask", np.bool_(True))
        made = self.facts.body
        normalizer = None if made is None else partial(compute, made)
        meaning = OPS["Attention"].numpy
        assert meaning is not None
        q, k, v = (given.pop(name) for name in "qkv")
        with np.errstate(all="ignore"):
            found: Array = meaning(
                q,
                k,
                v,
                **given,
                scale=self.scale,
                cap=self.cap,
                filler=self.filler,
                guard=int(self.guard),
                normalizer=normalizer,
            )
        return found

    def seen(self) -> Array:
        """Which keys a causal attention sees, within its window."""
        rows, columns = np.arange(self.queries)[:, None], np.arange(self.keys)[None]
        behind = rows + self.keys - self.queries - columns
        return (behind >= 0) & ((behind < self.window) if self.window else True)


def varied(case: Case, about: str, **fields: Any) -> Case:
    """A case that is another in some fields."""
    return replace(case, about=f"{case.about}, {about}", **fields)
