"""What is added to scores, and what hides some of them."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto
from tests.attention_shapes.draft import Draft
from tests.attention_shapes.heads import batch
from tests.attention_shapes.meeting import fitted, met
from tests.attention_shapes.sheet import LOWEST, Sheet, Tensor

BUFFER = 32  # positions that a stored triangle has
REACH = 4  # keys that a sliding window shows
BUCKETS = 16
FILLS = {"where_1e9": -1e9, "where_inf": -np.inf, "where_int": -np.inf, "sliding": -np.inf}


def lowest(sheet: Sheet) -> float:
    return LOWEST[sheet.form.kind]


def modify(draft: Draft) -> None:
    """Bias and masks, where batch and heads are apart or where they are one axis."""
    sheet, scores = draft.sheet, draft.get("scores")
    form = sheet.form
    if form.bias == "none" and form.mask == "none":
        return
    seen = scores.axes if form.at == "flat" else met(sheet, scores.axes, draft.heads)
    draft.scores = sheet.reshape(scores, seen)
    if form.bias != "none":
        add(draft, bias(draft))
    if form.mask != "none":
        _mask(draft)
    draft.scores = sheet.reshape(draft.get("scores"), scores.axes)


def add(draft: Draft, tensor: Tensor) -> None:
    """A tensor added to the scores, on the side that the form says."""
    sheet, scores = draft.sheet, draft.get("scores")
    sides = [scores.name, fitted(draft, tensor).name]
    if sheet.form.side == "left":
        sides.reverse()
    draft.scores = sheet.make("Add", scores.axes, *sides)


def choose(draft: Draft, seen: Tensor, fill: float) -> None:
    """The scores where `seen` is true, and the filler elsewhere."""
    sheet, scores = draft.sheet, draft.get("scores")
    names = (fitted(draft, seen).name, scores.name, sheet.number(fill))
    draft.scores = sheet.make("Where", scores.axes, *names)


def bias(draft: Draft) -> Tensor:
    """What is added to every score, of whatever key."""
    sheet, heads = draft.sheet, draft.heads
    match sheet.form.bias:
        case "per_head":
            return sheet.given_input("position_bias", ("1", heads, "s", "t"))
        case "alibi":
            slopes = sheet.parameter("slopes", (heads, "1", "1"))
            kind = TensorProto.FLOAT16 if sheet.form.kind == "f16" else TensorProto.FLOAT
            places = sheet.cast(sheet.known(keys_range(sheet), ("t",)), kind)
            row = sheet.unsqueeze(sheet.unsqueeze(places, 0), 0)
            return sheet.make("Mul", (heads, "1", "t"), slopes.name, row.name)
        case _:
            sheet.sizes["r"] = BUCKETS
            table = sheet.parameter("table", ("r", heads))
            found = sheet.make(
                "Gather", ("s", "t", heads), table.name, sheet.constant(buckets(sheet)), axis=0
            )
            return sheet.unsqueeze(sheet.transpose(found, (heads, "s", "t")), 0)


def buckets(sheet: Sheet) -> np.ndarray:
    """Which row of the table of biases each query and key take."""
    return buckets_of(sheet.size("s") or 0, sheet.size("t") or 0)


def buckets_of(queries: int, keys: int) -> np.ndarray:
    return (np.arange(queries)[:, None] * 3 + np.arange(keys)[None] * 5) % BUCKETS


def keys_range(sheet: Sheet) -> str:
    return _range(sheet, "t")


def _range(sheet: Sheet, letter: str) -> str:
    return sheet.node("Range", sheet.constant(0), sheet.length(letter), sheet.constant(1))


def _mask(draft: Draft) -> None:
    sheet = draft.sheet
    name = sheet.form.mask
    match name.partition("_")[0]:
        case "given":
            first, *rest = name.removeprefix("given_")
            axes = (first, *rest)
            b = batch(sheet)
            add(draft, sheet.given_input("mask", [b if a == "b" else a for a in axes]))
        case "int":
            add(draft, padding_added(draft, -1e4 if name == "int_1e4" else lowest(sheet)))
        case "where":
            _choose_padding(draft, name)
        case "causal" | "sliding":
            seen = causal(draft, name)
            if name == "causal_added":
                add(draft, as_added(sheet, seen))
            else:
                choose(draft, seen, FILLS.get(name, lowest(sheet)))
        case "padded":
            seen = causal(draft, "causal_range")
            padding = sheet.make("Equal", ("b", "t"), padding_input(draft), sheet.constant(1))
            padding = unsqueezed(sheet, padding)
            both = sheet.make("And", ("b", "1", "s", "t"), padding.name, seen.name)
            choose(draft, both, -np.inf)
        case "two":
            add(draft, padding_added(draft, lowest(sheet)))
            add(draft, as_added(sheet, causal(draft, "causal_range")))
        case _:
            _windows(draft)


def padding_input(draft: Draft) -> str:
    return draft.sheet.given_input("attention_mask", ("b", "t"), TensorProto.INT64).name


def unsqueezed(sheet: Sheet, mask: Tensor) -> Tensor:
    """A mask of batch and keys, with axes for heads and queries."""
    return sheet.unsqueeze(sheet.unsqueeze(mask, 1), 2)


def padding_added(draft: Draft, low: float) -> Tensor:
    """A mask of ones and zeros as what is added: 0 and `low`."""
    sheet = draft.sheet
    mask = unsqueezed(sheet, Tensor(padding_input(draft), ("b", "t")))
    kind = TensorProto.FLOAT16 if sheet.form.kind == "f16" else TensorProto.FLOAT
    mask = sheet.cast(mask, kind)
    hidden = sheet.make("Sub", mask.axes, sheet.number(1.0), mask.name)
    return sheet.make("Mul", mask.axes, hidden.name, sheet.number(low))


def _choose_padding(draft: Draft, name: str) -> None:
    sheet, scores = draft.sheet, draft.get("scores")
    axes = ("b", "1", "1", "t")
    if name == "where_int":
        mask = unsqueezed(sheet, Tensor(padding_input(draft), ("b", "t")))
        hidden = sheet.make("Equal", axes, mask.name, sheet.constant(0))
    elif name == "where_hidden":
        hidden = sheet.given_input("hidden_mask", axes, TensorProto.BOOL)
    else:
        kept = sheet.given_input("keep_mask", axes, TensorProto.BOOL)
        return choose(draft, kept, FILLS.get(name, lowest(sheet)))
    fill = sheet.number(FILLS.get(name, lowest(sheet)))
    names = (fitted(draft, hidden).name, fill, scores.name)
    draft.scores = sheet.make("Where", scores.axes, *names)
    return None


def causal(draft: Draft, name: str) -> Tensor:
    """Which keys each query may see: those up to its own place, behind the cache."""
    sheet = draft.sheet
    if name == "causal_buffer":
        return _from_buffer(sheet)
    if name == "causal_trilu":
        ones = sheet.node("Expand", sheet.constant(1), sheet.shape(("s", "t")))
        low = sheet.node("Trilu", ones, offset(sheet), upper=0)
        seen = sheet.make("Cast", ("s", "t"), low, to=TensorProto.BOOL)
    else:
        queries = sheet.node("Add", _range(sheet, "s"), offset(sheet))
        rows = sheet.node("Unsqueeze", queries, sheet.constant([1]))
        keys = sheet.node("Unsqueeze", _range(sheet, "t"), sheet.constant([0]))
        seen = sheet.make("LessOrEqual", ("s", "t"), keys, rows)
        if name == "sliding":
            since = sheet.node("Sub", rows, sheet.constant(REACH))
            near = sheet.node("Greater", keys, since)
            seen = sheet.make("And", ("s", "t"), seen.name, near)
    return sheet.unsqueeze(sheet.unsqueeze(seen, 0), 0)


def offset(sheet: Sheet) -> str:
    """The place of the first query among the keys."""
    return sheet.length("p") if "cache" in sheet.form.length else sheet.constant(0)


def _from_buffer(sheet: Sheet) -> Tensor:
    """A triangle that is stored, cut to size as GPT-2 does."""
    whole = sheet.constant(np.tril(np.ones((1, 1, BUFFER, BUFFER), bool)), bool)
    start = sheet.node("Unsqueeze", offset(sheet), sheet.constant([0]))
    queries = sheet.node("Unsqueeze", sheet.length("s"), sheet.constant([0]))
    end = sheet.node("Add", start, queries)
    rows = sheet.node("Slice", whole, start, end, sheet.constant([2]))
    keys = sheet.node("Unsqueeze", sheet.length("t"), sheet.constant([0]))
    bounds = (sheet.constant([0]), keys, sheet.constant([3]))
    return sheet.make("Slice", ("1", "1", "s", "t"), rows, *bounds)


def as_added(sheet: Sheet, seen: Tensor) -> Tensor:
    zero, low = sheet.number(0.0), sheet.number(lowest(sheet))
    return sheet.make("Where", seen.axes, seen.name, zero, low)


def _windows(draft: Draft) -> None:
    sheet = draft.sheet
    axes = ("1", "w", "1", "s", "t")
    if sheet.form.mask == "windows_added":
        stored = sheet.constant(np.where(windows(sheet), 0.0, -1e4), sheet.float)
        mask = sheet.unsqueeze(sheet.unsqueeze(Tensor(stored, ("w", "s", "t")), 1), 0)
        add(draft, mask)
    else:
        stored = sheet.constant(windows(sheet)[None, :, None], bool)
        choose(draft, Tensor(stored, axes), -np.inf)


def windows(sheet: Sheet) -> np.ndarray:
    """Which keys are seen in each window: those of the same part."""
    return windows_of(sheet.size("w") or 0, sheet.size("s") or 0)


def windows_of(count: int, tokens: int) -> np.ndarray:
    part = np.arange(tokens)[None] // (np.arange(count)[:, None] + 2)
    return np.asarray(part[:, :, None] == part[:, None, :])
