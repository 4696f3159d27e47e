"""From inputs to queries, keys and values with heads."""

from __future__ import annotations

from tests.attention_shapes.draft import Draft
from tests.attention_shapes.form import HEADS_FIRST
from tests.attention_shapes.sheet import Sheet, Tensor, relabelled


def split_heads(draft: Draft) -> None:
    """Queries, keys and values, each with an axis of heads."""
    split = draft.sheet.form.split
    if split == "apart":
        q, k, v = _apart(draft)
    elif split in ("packed_split", "packed_slice"):
        q, k, v = _cut(draft, _packed(draft, "c"))
    else:
        q, k, v = _cut_with_heads(draft.sheet, split, _packed(draft, PACKED[split]))
    draft.q, draft.k, draft.v = q, relabelled(k, "s", "u"), relabelled(v, "s", "u")
    draft.v = relabelled(draft.v, "d", "e")


PACKED = {
    "packed_permute": "nhd",
    "packed_unbind": "nhd",
    "packed_heads": "hnd",
    "packed_five": "hnd",
}


def batch(sheet: Sheet) -> str:
    return "bw" if sheet.form.layout == "windows" else "b"


def _linear(sheet: Sheet, x: Tensor, axis: str, name: str) -> Tensor:
    weight = sheet.parameter(f"{name}_weight", ("m", axis), 0.5)
    bias = sheet.parameter(f"{name}_bias", (axis,), 0.5)
    axes = (*x.axes[:-1], axis)
    product = sheet.make("MatMul", axes, x.name, weight.name)
    return sheet.make("Add", axes, product.name, bias.name)


def _apart(draft: Draft) -> tuple[Tensor, ...]:
    sheet, b = draft.sheet, batch(draft.sheet)
    wide = {"q": f"{draft.heads}d", "k": "hd", "v": "he"}
    crossed = sheet.form.length == "cross"
    tokens = {"q": "s", "k": "t" if crossed else "s", "v": "t" if crossed else "s"}
    if sheet.form.source == "given":
        flat = {n: sheet.given_input(n, (b, tokens[n], wide[n])) for n in wide}
    else:
        x = sheet.given_input("x", (b, "s", "m"))
        y = sheet.given_input("y", (b, "t", "m")) if crossed else x
        flat = {n: _linear(sheet, x if n == "q" else y, wide[n], n) for n in wide}
    return tuple(_with_heads(draft, flat[n], n) for n in wide)


def _packed(draft: Draft, axis: str) -> Tensor:
    sheet, b = draft.sheet, batch(draft.sheet)
    if sheet.form.source == "given":
        return sheet.given_input("qkv", (b, "s", axis))
    return _linear(sheet, sheet.given_input("x", (b, "s", "m")), axis, "qkv")


def _cut(draft: Draft, packed: Tensor) -> tuple[Tensor, ...]:
    """Queries, keys and values, cut from the last axis."""
    sheet = draft.sheet
    wide = {"q": f"{draft.heads}d", "k": "hd", "v": "he"}
    sizes = [sheet.size(axis) or 0 for axis in wide.values()]
    if sheet.form.split == "packed_split":
        names = sheet.nodes_of("Split", 3, packed.name, sheet.constant(sizes), axis=-1)
    else:
        ends = [sum(sizes[: i + 1]) for i in range(3)]
        names = [
            _slice(sheet, packed.name, end - size, end, 2)
            for size, end in zip(sizes, ends, strict=True)
        ]
    flat = [
        sheet.known(name, (*packed.axes[:-1], axis))
        for name, axis in zip(names, wide.values(), strict=True)
    ]
    return tuple(_with_heads(draft, x, n) for x, n in zip(flat, wide, strict=True))


def _slice(sheet: Sheet, name: str, start: int, end: int, axis: int) -> str:
    bounds = [sheet.constant([n]) for n in (start, end, axis)]
    return sheet.node("Slice", name, *bounds)


def _with_heads(draft: Draft, flat: Tensor, name: str) -> Tensor:
    """The heads as an axis, where there is more than one."""
    sheet = draft.sheet
    if name == "q" and sheet.form.scale == "on_q_flat":
        flat = sheet.make("Mul", flat.axes, flat.name, sheet.number(draft.scale_left))
        draft.scale_left = 1.0
    *front, wide = flat.axes
    heads, width = wide[:-1], wide[-1]
    if sheet.form.layout == "matrix":
        return sheet.reshape(flat, (front[1], width))
    if name == "q" and sheet.form.layout in ("grouped", "rows"):
        return sheet.reshape(flat, (*front, "h", "g", width))
    return sheet.reshape(flat, (*front, heads, width))


def _cut_with_heads(sheet: Sheet, split: str, packed: Tensor) -> tuple[Tensor, ...]:
    b, s, _ = packed.axes
    if split in HEADS_FIRST:
        five = sheet.transpose(sheet.reshape(packed, (b, s, "n", "h", "d")), ("n", b, "h", s, "d"))
        return _unbound(sheet, five, 0, by_split=split == "packed_unbind")
    if split == "packed_heads":
        wide = sheet.reshape(packed, (b, s, "h", "nd"))
        sizes = sheet.constant([sheet.size("d") or 0] * 3)
        names = sheet.nodes_of("Split", 3, wide.name, sizes, axis=3)
        return tuple(sheet.known(name, (b, s, "h", "d")) for name in names)
    return _unbound(sheet, sheet.reshape(packed, (b, s, "h", "n", "d")), 3, by_split=False)


def _unbound(sheet: Sheet, five: Tensor, axis: int, *, by_split: bool) -> tuple[Tensor, ...]:
    """The three that were packed along an axis."""
    axes = (*five.axes[:axis], *five.axes[axis + 1 :])
    if not by_split:
        return tuple(
            sheet.make("Gather", axes, five.name, sheet.constant(i), axis=axis) for i in range(3)
        )
    names = sheet.nodes_of("Split", 3, five.name, sheet.constant([1, 1, 1]), axis=axis)
    return tuple(sheet.make("Squeeze", axes, n, sheet.constant([axis])) for n in names)
