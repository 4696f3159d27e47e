"""What stands around the sweeps of a kernel: its arguments, where it is, and a block of scores."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan

from graphwright.backends.triton.expressions import number
from graphwright.backends.triton.facts import Facts
from graphwright.backends.triton.plan import Ending, Plan
from graphwright.ir.rows import traits


def padded(width: int) -> int:
    """The width of a block that holds so many channels: a power of 2 that `tl.dot` takes."""
    return max(16, 1 << (width - 1).bit_length())


def call_of_scores(facts: Facts) -> str:
    """The call that gives the scores of a block of keys."""
    given = ["q", "k_at", "k_t", "rows", "columns", "S", "T"]
    for name in ("bias", "mask"):
        if name in facts.operands:
            given += [f"{name}_rows", f"{name}_t"]
    return f"scores({', '.join(given)})"


def scores(facts: Facts) -> str:
    """The function that computes a block of scores."""
    channels = padded(facts.width)
    inside = "(columns[None, :] < T)"
    narrow = f" & (channels[:, None] < {facts.width})" if channels != facts.width else ""
    lines = [
        '"""The scores of a block of queries and a block of keys, [BLOCK_S, BLOCK_T]."""',
        f"channels = tl.arange(0, {channels})",
        "at = k_at + columns[None, :].to(tl.int64) * k_t + channels[:, None]",
        f"k = tl.load(at, mask={inside}{narrow}, other=0.0).to(q.dtype)",
        f's = tl.dot(q, k, input_precision="ieee") * {facts.scale!r}',
    ]
    if facts.cap:
        lines.append(f"s = {facts.cap!r} * tanh(s * {1 / facts.cap!r})")
    if facts.bias or facts.mask:
        lines += [
            "column = columns[None, :].to(tl.int64)",
            f"inside = (rows[:, None] < S) & {inside}",
        ]
    if facts.bias:
        at = "bias_rows[:, None] + column * bias_t"
        lines.append(f"s += tl.load({at}, mask=inside, other=0.0).to(tl.float32)")
    if facts.mask:
        at = "mask_rows[:, None] + column * mask_t"
        lines.append(f"seen = tl.load({at}, mask=inside, other=0) != 0")
        lines.append(f"s = tl.where(seen, s, {number(facts.filler)})")
    if facts.causal:
        lines.append("ahead = columns[None, :] - (rows[:, None] + (T - S))")
        seen = "ahead <= 0"
        if facts.window:
            seen = f"(ahead <= 0) & (ahead > {-facts.window})"
        lines.append(f"s = tl.where({seen}, s, {number(-inf)})")
    lines.append(f"return tl.where(columns[None, :] < T, s, {number(-inf)})")
    body = "\n".join(f"    {line}" for line in lines)
    return f"@triton.jit\ndef {call_of_scores(facts)}:\n{body}"


def signature(
    entry: str, facts: Facts, strided: Sequence[str], others: Sequence[str], *more: str
) -> str:
    """The first lines of a kernel: tensors and their strides, tensors without, sizes, blocks."""
    axes = {"bias": "hst", "mask": "hst", "k": "ht", "v": "ht"}
    lead = [f"b{i}" for i in range(facts.batch)]
    lines = [", ".join(f"{name}_at" for name in (*strided, *others))]
    lines += [
        ", ".join(f"{name}_{axis}" for axis in (*lead, *axes.get(name, "hs"))) for name in strided
    ]
    lines.append(", ".join([*(f"B{i}" for i in range(1, facts.batch)), "S", "T"]))
    lines += [*more, "WIDE: tl.constexpr, BLOCK_S: tl.constexpr, BLOCK_T: tl.constexpr"]
    return f"@triton.jit\ndef {entry}(\n" + "".join(f"    {line},\n" for line in lines) + "):"


def strided(facts: Facts, skips: bool) -> list[str]:
    """The tensors that a kernel reads, whose strides it is told."""
    named = ["q", "k", "v", *facts.operands]
    if facts.mask and skips:
        named.insert(named.index("mask") + 1, "bounds")
    return named


def opening(facts: Facts, skips: bool, tables: int, *results: str) -> list[str]:
    """Which rows of which head a program computes, its queries, and the keys that they see."""
    lines = [
        '"""One program computes a block of rows of one head."""',
        "blocks = tl.cdiv(S, BLOCK_S)",
        "block = tl.program_id(0) % blocks",
        f"head = (tl.program_id(0) // blocks % {facts.heads}).to(tl.int64)",
        *batches(facts),
        f"key_head = head // {facts.heads // facts.shared}",
        "rows = block * BLOCK_S + tl.arange(0, BLOCK_S)",
    ]
    for name in (*strided(facts, skips), *results):
        head = "key_head" if name in ("k", "v") else "head"
        lead = "".join(f"b{i} * {name}_b{i} + " for i in range(facts.batch))
        lines.append(f"{name}_at += {lead}{head} * {name}_h")
    lines += ["row = rows.to(tl.int64)", *loads(facts)]
    for i in range(tables):
        lines.append(f"table{i} = tl.load(tables_at + {i * facts.heads} + head)")
    return [*lines, *_range(facts, skips)]


def loads(facts: Facts) -> list[str]:
    """What a block of queries is and reads, where `row` says which rows of each tensor."""
    narrow = padded(facts.width) != facts.width
    inside = f" & (channels[None, :] < {facts.width})" if narrow else ""
    lines = [
        *(f"{n}_rows = {n}_at + row * {n}_s" for n in ("bias", "mask") if n in facts.operands),
        f"channels = tl.arange(0, {padded(facts.width)})",
        "at_q = (q_at + row * q_s)[:, None] + channels[None, :]",
        f"q = tl.load(at_q, mask=(rows[:, None] < S){inside}, other=0.0)",
        "if WIDE:",
        "    q = q.to(tl.float32)",
        f"out = tl.arange(0, {padded(facts.value_width)})",
    ]
    if facts.sink:
        lines.append("sink = tl.load(sink_at + row * sink_s, mask=rows < S, other=0.0)")
        lines.append("s_sink = sink.to(tl.float32)")
    return lines


def batches(facts: Facts) -> list[str]:
    """The index along each batch axis."""
    if not facts.batch:
        return []
    rest = f"tl.program_id(0) // blocks // {facts.heads}"
    lines = [f"batch = ({rest}).to(tl.int64)"]
    for i in reversed(range(1, facts.batch)):
        lines += [f"b{i} = batch % B{i}", f"batch = batch // B{i}"]
    return [*lines, "b0 = batch"]


def _range(facts: Facts, skips: bool) -> list[str]:
    """From which key on, and up to which, a block of rows may see any."""
    lines = ["first = 0", "last = T"]
    if facts.mask and skips:
        lines = ["first = tl.load(bounds_at + block * bounds_s)"]
        lines.append("last = tl.load(bounds_at + block * bounds_s + 1)")
    if facts.causal and skips:
        lines.append("last = tl.maximum(0, tl.minimum(last, (block + 1) * BLOCK_S + T - S))")
        if facts.window:
            lines.append(f"first = tl.maximum(first, block * BLOCK_S + T - S - {facts.window - 1})")
    if len(lines) > 2 or lines[0] != "first = 0":
        lines.append("first = first // BLOCK_T * BLOCK_T")
    return lines


def values(facts: Facts) -> list[str]:
    """Lines that load the values of a block of keys, `v` [BLOCK_T, E]."""
    wide = padded(facts.value_width)
    narrow = f" & (out[None, :] < {facts.value_width})" if wide != facts.value_width else ""
    return [
        "at_v = v_at + columns[:, None].to(tl.int64) * v_t + out[None, :]",
        f"v = tl.load(at_v, mask=(columns[:, None] < T){narrow}, other=0.0).to(q.dtype)",
    ]


def closing(facts: Facts, made: Plan, skips: bool) -> list[str]:
    """The lines that write what came out."""
    lines = [""]
    hides = (facts.mask or facts.causal) and skips
    plain = made.ending is Ending.PLAIN and not (facts.guard or facts.sink)
    if hides and plain and traits(facts.body).dead == "NaN":
        lines.append(f"y = tl.where(first < last, y, {number(nan)})")
    wide = padded(facts.value_width)
    narrow = f" & (out[None, :] < {facts.value_width})" if wide != facts.value_width else ""
    lines += [
        "at_y = (y_at + row * y_s)[:, None] + out[None, :]",
        f"tl.store(at_y, y.to(y_at.dtype.element_ty), mask=(rows[:, None] < S){narrow})",
    ]
    return lines


def keeping() -> list[str]:
    """The lines that write what gradients need of each row; of one without keys, what gives 0."""
    return [
        "if KEEP:",
        f"    lse = tl.where(total > 0.0, top + tl.log(total), {number(inf)})",
        "    place = (tl.program_id(0) // blocks).to(tl.int64) * S + row",
        "    tl.store(lse_at + place, lse, mask=rows < S)",
    ]
