"""The cache, keys shared by heads, and the layout that the contractions are to see."""

from __future__ import annotations

from tests.attention_shapes.draft import Draft
from tests.attention_shapes.heads import batch
from tests.attention_shapes.sheet import Sheet, Tensor, relabelled


def join_cache(draft: Draft) -> None:
    """Keys and values behind those of the cache."""
    sheet = draft.sheet
    if sheet.form.length in ("self", "cross"):
        draft.k, draft.v = (relabelled(draft.get(n), "u", "t") for n in "kv")
        return
    for name, width in (("k", "d"), ("v", "e")):
        new = draft.get(name)
        if sheet.form.length == "cache":
            # Keys that are transposed already are kept transposed.
            turned = name == "k" and sheet.form.product == "direct"
            new = sheet.transpose(new, ("b", "h", "d", "u") if turned else ("b", "h", "u", width))
        at = new.at("u")
        past = sheet.given_input(f"past_{name}", [*new.axes[:at], "p", *new.axes[at + 1 :]])
        axes = [*new.axes[:at], "t", *new.axes[at + 1 :]]
        setattr(draft, name, sheet.make("Concat", axes, past.name, new.name, axis=at))


def share_keys(draft: Draft) -> None:
    """Keys and values repeated for the heads that share them."""
    sheet = draft.sheet
    for name in "kv":
        shared = draft.get(name)
        setattr(draft, name, _repeated(sheet, shared, sheet.form.groups))


def _repeated(sheet: Sheet, shared: Tensor, how: str) -> Tensor:
    if how in ("one", "broadcast", "multi_query"):
        return shared
    at, times = shared.at("h"), sheet.size("g") or 1
    front, back = shared.axes[:at], shared.axes[at + 1 :]
    if how == "gather":
        indices = sheet.constant([i // times for i in range((sheet.size("h") or 0) * times)])
        return sheet.make("Gather", (*front, "hg", *back), shared.name, indices, axis=at)
    if how == "concat":
        return sheet.make("Concat", (*front, "gh", *back), *[shared.name] * times, axis=at)
    if how == "tile_heads":
        repeats = sheet.constant([times if i == at else 1 for i in range(len(shared.axes))])
        return sheet.make("Tile", (*front, "gh", *back), shared.name, repeats)
    wide = sheet.unsqueeze(shared, at + 1)
    axes = (*front, "h", "g", *back)
    if how == "expand":
        many = sheet.make("Expand", axes, wide.name, sheet.shape(axes))
    else:
        repeats = sheet.constant([times if i == at + 1 else 1 for i in range(len(axes))])
        many = sheet.make("Tile", axes, wide.name, repeats)
    return sheet.reshape(many, (*front, "hg", *back))


def arrange(draft: Draft) -> None:
    """Queries, keys and values as the contractions want them; keys are not transposed yet."""
    sheet, b, h = draft.sheet, batch(draft.sheet), draft.heads
    layout = sheet.form.layout
    shared = "h" if layout in ("grouped", "rows") or sheet.form.groups == "multi_query" else h
    if layout in ("matrix", "bshd"):
        return
    k_axes = (b, shared, "t", "d")
    if sheet.form.product == "direct":
        k_axes = (b, shared, "d", "t")
    k = sheet.transpose(draft.get("k"), k_axes)
    v = sheet.transpose(draft.get("v"), (b, shared, "t", "e"))
    if layout in ("grouped", "rows"):
        q = sheet.transpose(draft.get("q"), (b, "h", "g", "s", "d"))
        if layout == "rows":
            q = sheet.reshape(q, (b, "h", "gs", "d"))
        elif sheet.form.product != "einsum":
            k, v = sheet.unsqueeze(k, 2), sheet.unsqueeze(v, 2)
    else:
        q = sheet.transpose(draft.get("q"), (b, h, "s", "d"))
    if layout == "merged":
        q, k, v = (_merged(sheet, x) for x in (q, k, v))
    draft.q, draft.k, draft.v = q, k, v


def _merged(sheet: Sheet, x: Tensor) -> Tensor:
    b, h, *rest = x.axes
    return sheet.reshape(x, (b + h, *rest))
