"""What a form is to compute, by NumPy in float64, one axis for each letter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tests.attention_shapes.attention import Written
from tests.attention_shapes.masks import FILLS, REACH, buckets_of, windows_of
from tests.attention_shapes.scores import CAP, scale_of
from tests.attention_shapes.sheet import LOWEST

Arrays = Mapping[str, np.ndarray]
Array = np.ndarray[Any, Any]
SCORES = "bwhgst"


class Truth:
    """One form on one feed."""

    def __init__(self, written: Written, feed: Arrays) -> None:
        self.written = written
        self.form = written.form
        self.feed = feed
        self.sizes = self._sizes()

    def _sizes(self) -> dict[str, int]:
        """The length of every letter: those of the form, and those that the feed tells."""
        named = {x: n for x, n in self.written.sizes.items() if isinstance(n, int)}
        for name, axes in self.written.given.items():
            for axis, size in zip(axes, self.feed[name].shape, strict=True):
                if axis == "bw":
                    named["b"] = size // named["w"]
                elif len(axis) == 1 and axis not in named and axis != "1":
                    named[axis] = size
        named.setdefault("u", named["s"])
        cached = "cache" in self.form.length
        named.setdefault("t", named["s"] + (named["p"] if cached else 0))
        return named

    def array(self, array: Array, axes: Sequence[str], letters: str) -> Array:
        """An array of joined axes as one of single letters, 1 for those that it lacks."""
        single = [letter for axis in axes for letter in axis if letter != "1"]
        apart = array.astype(np.float64).reshape([self.sizes[x] for x in single])
        assert set(single) <= set(letters), (single, letters)
        held = [x for x in letters if x in single]
        apart = apart.transpose([single.index(x) for x in held])
        return apart.reshape([self.sizes[x] if x in single else 1 for x in letters])

    def input(self, name: str, letters: str) -> Array:
        return self.array(self.feed[name], self.written.given[name], letters)

    def parameter(self, name: str, axes: Sequence[str], letters: str) -> Array:
        return self.array(self.written.drawn[name], axes, letters)

    # From inputs to the result.

    def operands(self) -> tuple[Array, Array, Array]:
        """Queries, keys and values as arrays of single letters."""
        heads = self.written.heads
        b = "bw" if self.form.layout == "windows" else "b"
        wide = {"q": f"{heads}d", "k": "hd", "v": "he"}
        if self.form.split == "apart":
            flat = {n: self._apart(n, wide[n]) for n in wide}
        else:
            flat = self._packed(wide)
        letters = {"q": "bwhgsd", "k": "bwhtd", "v": "bwhte"}
        tokens = {"q": "s", "k": self._tokens(), "v": self._tokens()}
        made = [self.array(flat[n], (b, tokens[n], wide[n]), _with(letters[n], tokens[n]))
                for n in wide]  # fmt: skip
        return made[0], *(self._cached(made[i], n) for i, n in ((1, "k"), (2, "v")))

    def _tokens(self) -> str:
        return "t" if self.form.length == "cross" else "u"

    def _linear(self, x: Array, name: str) -> Array:
        weight, bias = (self.written.drawn[f"{name}_{x}"] for x in ("weight", "bias"))
        return np.asarray(x.astype(np.float64) @ weight.astype(np.float64) + bias)

    def _apart(self, name: str, wide: str) -> Array:
        if self.form.source == "given":
            return self.feed[name]
        other = name != "q" and self.form.length == "cross"
        return self._linear(self.feed["y" if other else "x"], name)

    def _packed(self, wide: Mapping[str, str]) -> dict[str, Array]:
        given = self.form.source == "given"
        packed = self.feed["qkv"] if given else self._linear(self.feed["x"], "qkv")
        if self.form.split in ("packed_split", "packed_slice"):
            ends = np.cumsum([math.prod(self.sizes[x] for x in each) for each in wide.values()])
            return dict(zip(wide, np.split(packed, ends[:-1], axis=-1), strict=True))
        heads, width = self.sizes["h"], self.sizes["d"]
        behind = self.form.split in ("packed_heads", "packed_five")
        shape = (heads, 3, width) if behind else (3, heads, width)
        five = packed.reshape(*packed.shape[:2], *shape)
        parts = np.moveaxis(five, 3 if behind else 2, 0)
        return {
            n: part.reshape(*packed.shape[:2], -1) for n, part in zip("qkv", parts, strict=True)
        }

    def _cached(self, new: Array, name: str) -> Array:
        if "cache" not in self.form.length:
            return new
        past = self.input(f"past_{name}", "bwhp" + ("d" if name == "k" else "e"))
        return np.concatenate([past, new], axis=3)

    def scores(self, q: Array, k: Array) -> Array:
        """The scores before the softmax."""
        scores = np.einsum("bwhgsd,bwhtd->bwhgst", q, k)
        scores *= scale_of(self.form.scale, self.sizes["d"])
        if self.form.cap == "tanh":
            scores = CAP * np.tanh(scores / CAP)
        scores = scores + self.bias()
        return self.masked(scores)

    def bias(self) -> Array | float:
        heads = self.written.heads
        match self.form.bias:
            case "per_head":
                return self.input("position_bias", SCORES)
            case "alibi":
                slopes = self.parameter("slopes", (heads, "1", "1"), SCORES)
                return slopes * np.arange(self.sizes["t"])
            case "table":
                rows = buckets_of(self.sizes["s"], self.sizes["t"])
                found = self.written.drawn["table"][rows]
                return self.array(found, ("s", "t", heads), SCORES)
        return 0.0

    def masked(self, scores: Array) -> Array:
        name, low = self.form.mask, LOWEST[self.form.kind]
        kind = name.partition("_")[0]
        if kind == "none":
            return scores
        if kind == "given":
            return scores + self.input("mask", SCORES)
        if kind == "int":
            return scores + self.hidden() * (-1e4 if name == "int_1e4" else low)
        if name == "two_adds":
            return scores + self.hidden() * low + np.where(self.causal(), 0.0, low)
        if name == "causal_added":
            return scores + np.where(self.causal(), 0.0, low)
        if name == "windows_added":
            return scores + np.where(self.windows(), 0.0, -1e4)
        seen = self.seen(name)
        fill = -np.inf if name in ("padded_causal", "windows_where") else FILLS.get(name, low)
        return np.where(seen, scores, fill)

    def seen(self, name: str) -> Array:
        match name.partition("_")[0]:
            case "causal":
                return self.causal()
            case "sliding":
                behind = self.behind()
                return np.asarray((behind >= 0) & (behind < REACH))
            case "padded":
                return self.causal() & ~self.hidden().astype(bool)
            case "windows":
                return self.windows()
        if name == "where_int":
            return ~self.hidden().astype(bool)
        if name == "where_hidden":
            return ~self.input("hidden_mask", SCORES).astype(bool)
        return self.input("keep_mask", SCORES).astype(bool)

    def hidden(self) -> Array:
        return 1 - self.input("attention_mask", SCORES)

    def behind(self) -> Array:
        """How far each key lies behind each query."""
        first = self.sizes["p"] if "cache" in self.form.length else 0
        queries, keys = np.arange(self.sizes["s"]) + first, np.arange(self.sizes["t"])
        return queries[:, None] - keys

    def causal(self) -> Array:
        return self.behind() >= 0

    def windows(self) -> Array:
        seen = windows_of(self.sizes["w"], self.sizes["s"])
        return self.array(seen, ("w", "s", "t"), SCORES).astype(bool)

    def weights(self, scores: Array) -> Array:
        if self.form.sinks != "none":
            sinks = self.parameter("sinks", (self.written.heads,), SCORES)
            scores = np.concatenate(
                [scores, np.broadcast_to(sinks, (*scores.shape[:-1], 1))], axis=-1
            )
        with np.errstate(all="ignore"):
            raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
            found = raised / raised.sum(axis=-1, keepdims=True)
        if self.form.sinks != "none":
            found = found[..., :-1]
        if self.form.after == "nan_guard":
            found = np.where(np.isnan(found), 0.0, found)
        if self.form.after == "head_mask":
            found = found * self.input("head_mask", SCORES)
        return np.asarray(found)

    def result(self) -> Array:
        """The output, in the axes that the form leaves it in."""
        q, k, v = self.operands()
        mixed = np.einsum("bwhgst,bwhte->bwhgse", self.weights(self.scores(q, k)), v)
        if self.form.epilogue in ("projected", "einsum"):
            return self._projected(mixed)
        axes = self.written.result
        single = "".join(axes)
        kept = mixed.squeeze(tuple(i for i, x in enumerate("bwhgse") if x not in single))
        held = [x for x in "bwhgse" if x in single]
        turned = kept.transpose([held.index(x) for x in single])
        return turned.reshape([math.prod(self.sizes[x] for x in axis) for axis in axes])

    def _projected(self, mixed: Array) -> Array:
        heads = self.written.heads if self.form.layout != "matrix" else ""
        weight = self.written.drawn["out_weight"].astype(np.float64)
        split = weight.reshape([*[self.sizes[x] for x in f"{heads}e"], -1])
        spread = {"b": "b", "w": "w", "h": "h", "g": "g", "s": "s", "e": "e"}
        kept = mixed
        gone = [i for i, x in enumerate("bwhgse") if x in "hg" and x not in heads]
        kept = mixed.squeeze(tuple(gone))
        letters = "".join(x for i, x in enumerate(spread) if i not in gone)
        found = np.einsum(f"{letters},{heads}em->bwsm", kept, split)
        if self.form.epilogue == "projected":
            found = found + self.written.drawn["out_bias"]
        axes = self.written.result
        return found.reshape([math.prod(self.sizes[x] for x in axis) for axis in axes])


def _with(letters: str, tokens: str) -> str:
    return letters.replace("t", tokens)
