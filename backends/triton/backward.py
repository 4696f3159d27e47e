"""The kernels of gradients, for softmax: one for the queries, one for the keys and the values.

Weights are computed anew from the scores and the log of each row's sum, which `forward` keeps; no
tensor of queries by keys is made.
Source: Dao 2023, "FlashAttention-2: Faster Attention with Better Parallelism and Work
Partitioning", arXiv:2307.08691, algorithm 2, with the queries in a kernel of their own, so that
nothing is added atomically.
"""

from __future__ import annotations

from dataclasses import replace
from textwrap import indent

from graphwright.backends.triton.blocks import (
    call_of_scores,
    opening,
    padded,
    signature,
    strided,
    values,
)
from graphwright.backends.triton.facts import Facts


def differentiates(facts: Facts) -> bool:
    """Whether there are kernels of gradients: of softmax, whose scores no cap bends.

    Where hidden keys have a number, that of a row without keys does not change with the scores.
    """
    return facts.body is None and not facts.cap and facts.hides


def backward_kernels(facts: Facts, skips: bool) -> str:
    """Both kernels; a sink is none of the keys, and has what is left of the weights."""
    keys = replace(facts, sink=False)
    return f"{_queries(keys, skips)}\n\n\n{_keys(keys)}"


def _queries(facts: Facts, skips: bool) -> str:
    lines = [
        *opening(facts, skips, 0),
        "place = (tl.program_id(0) // blocks).to(tl.int64) * S + row",
        *_given(facts),
        f"dq = tl.zeros([BLOCK_S, {padded(facts.width)}], tl.float32)",
        "for start in range(first, last, BLOCK_T):",
        "    columns = start + tl.arange(0, BLOCK_T)",
        f"    s = {call_of_scores(facts)}",
        *(f"    {line}" for line in values(facts)),
        *(f"    {line}" for line in _change()),
        "    at_k = k_at + columns[:, None].to(tl.int64) * k_t + channels[None, :]",
        f"    inside = (columns[:, None] < T){_inside(facts)}",
        "    k = tl.load(at_k, mask=inside, other=0.0).to(q.dtype)",
        '    dq = tl.dot(ds.to(q.dtype), k, dq, input_precision="ieee")',
        f"dq = dq * {facts.scale!r}",
        f"at = dq_at + place[:, None] * {facts.width} + channels[None, :]",
        f"tl.store(at, dq.to(dq_at.dtype.element_ty), mask=(rows[:, None] < S){_inside(facts)})",
    ]
    results = ("dy", "lse", "delta", "dq")
    head = signature("backward_queries", facts, strided(facts, skips), results)
    return f"{head}\n{indent(chr(10).join(lines), '    ')}"


def _keys(facts: Facts) -> str:
    group = facts.heads // facts.shared
    named = strided(facts, False)
    lead = {n: "".join(f"b{i} * {n}_b{i} + " for i in range(facts.batch)) for n in named}
    first = "tl.maximum(0, block * BLOCK_T - (T - S)) // BLOCK_S * BLOCK_S" if facts.causal else "0"
    operands = [n for n in ("bias", "mask") if n in facts.operands]
    inner = [
        "rows = start + tl.arange(0, BLOCK_S)",
        "row = rows.to(tl.int64)",
        f"at_q = q_at + ({lead['q']}head * q_h + row * q_s)[:, None] + channels[None, :]",
        f"q = tl.load(at_q, mask=(rows[:, None] < S){_inside(facts)}, other=0.0)",
        "if WIDE:",
        "    q = q.to(tl.float32)",
        *(f"{n}_rows = {n}_at + {lead[n]}head * {n}_h + row * {n}_s" for n in operands),
        f"place = (batch * {facts.heads} + head) * S + row",
        *_given(facts),
        f"s = {call_of_scores(facts)}",
        *_change(),
        'dv = tl.dot(tl.trans(p).to(q.dtype), dy, dv, input_precision="ieee")',
        'dk = tl.dot(tl.trans(ds).to(q.dtype), q, dk, input_precision="ieee")',
    ]
    lines = [
        '"""One program computes the gradients of a block of keys, and of their values."""',
        "blocks = tl.cdiv(T, BLOCK_T)",
        "block = tl.program_id(0) % blocks",
        f"key_head = (tl.program_id(0) // blocks % {facts.shared}).to(tl.int64)",
        f"batch = (tl.program_id(0) // blocks // {facts.shared}).to(tl.int64)",
        "rest = batch",
        *(
            line
            for i in reversed(range(1, facts.batch))
            for line in (f"b{i} = rest % B{i}", f"rest = rest // B{i}")
        ),
        *(["b0 = rest"] if facts.batch else []),
        *(f"{n}_at += {lead[n]}key_head * {n}_h" for n in ("k", "v")),
        "columns = block * BLOCK_T + tl.arange(0, BLOCK_T)",
        f"channels = tl.arange(0, {padded(facts.width)})",
        f"out = tl.arange(0, {padded(facts.value_width)})",
        *(line.replace(".to(q.dtype)", "") for line in values(facts)),
        "if WIDE:",
        "    v = v.to(tl.float32)",
        f"dk = tl.zeros([BLOCK_T, {padded(facts.width)}], tl.float32)",
        f"dv = tl.zeros([BLOCK_T, {padded(facts.value_width)}], tl.float32)",
        f"for member in range({group}):",
        f"    head = key_head * {group} + member",
        f"    for start in range({first}, S, BLOCK_S):",
        *(f"        {line}" for line in inner),
        f"at = (((batch * {facts.shared} + key_head) * T + columns) * {facts.width})[:, None]",
        f"dk = (dk * {facts.scale!r}).to(dk_at.dtype.element_ty)",
        f"inside = (columns[:, None] < T){_inside(facts)}",
        "tl.store(dk_at + at + channels[None, :], dk, mask=inside)",
        f"at = at // {facts.width} * {facts.value_width}",
        f"inside = (columns[:, None] < T){_inside(facts, 'out')}",
        "tl.store(dv_at + at + out[None, :], dv.to(dv_at.dtype.element_ty), mask=inside)",
    ]
    head = signature("backward_keys", facts, named, ("dy", "lse", "delta", "dk", "dv"))
    return f"{head}\n{indent(chr(10).join(lines), '    ')}"


def _given(facts: Facts) -> list[str]:
    """The gradients of a block of results, and what is known of its rows."""
    inside = f"(rows[:, None] < S){_inside(facts, 'out')}"
    return [
        f"at_dy = dy_at + place[:, None] * {facts.value_width} + out[None, :]",
        f"dy = tl.load(at_dy, mask={inside}, other=0.0).to(q.dtype)",
        'lse = tl.load(lse_at + place, mask=rows < S, other=float("inf"))',
        "delta = tl.load(delta_at + place, mask=rows < S, other=0.0)",
    ]


def _change() -> list[str]:
    """The weights of a block, and the gradients of its scores."""
    return [
        "p = tl.exp(s - lse[:, None])",
        'dp = tl.dot(dy, tl.trans(v), input_precision="ieee")',
        "ds = p * (dp - delta[:, None])",
    ]


def _inside(facts: Facts, axis: str = "channels") -> str:
    width = facts.width if axis == "channels" else facts.value_width
    return f" & ({axis}[None, :] < {width})" if padded(width) != width else ""


def backward_launcher(facts: Facts, skips: bool) -> str:
    """The function `launch_backward`."""
    given = "".join(f", {name}" for name in facts.operands)
    named = [name for name in facts.operands if name != "sink"]
    widest = max(facts.width, facts.value_width)
    halves = (64, 64, 4) if widest <= 64 else (32, 64, 4) if widest <= 128 else (32, 32, 8)
    lines = [
        '"""The gradients of q, k and v, and of the sinks where there are any."""',
        f"given = (q, k, v{given})",
        "lead = torch.broadcast_shapes(*(x.shape[:-3] for x in given))",
        "S, T = q.shape[-2], k.shape[-2]",
        "first, dy = given, dy.contiguous()",
        "delta = (dy.float() * y.float()).sum(-1)",
        f"BLOCK_S, BLOCK_T, warps = {halves} if q.element_size() == 2 else (32, 32, 4)",
        "q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))",
        f"dq = q.new_empty((*lead, {facts.heads}, S, {facts.width}))",
        f"dk = q.new_empty((*lead, {facts.shared}, T, {facts.width}))",
        f"dv = q.new_empty((*lead, {facts.shared}, T, {facts.value_width}))",
    ]
    strides = [f"*strides({name}, lead)" for name in "qkv"]
    bounds = facts.mask and skips
    for name in named:
        if name == "mask" and bounds:
            shape = f"(*lead, {facts.heads}, triton.cdiv(S, BLOCK_S), 2)"
            lines.append(f"bounds = key_bounds(mask, T, BLOCK_S).expand({shape})")
        seen = f"{name}.view(torch.uint8)" if name == "mask" else name
        lines.append(f"{name} = {seen}.expand(*lead, {facts.heads}, S, T)")
        strides.append(f"*{name}.stride()")
    inner = "".join(f"lead[{i}], " for i in range(1, facts.batch))
    names = "".join(f", {name}" for name in named)
    more = ", bounds" if bounds else ""
    with_bounds = [*strides, "*bounds.stride()[:-1]"] if bounds else strides
    for name, pointers, laid, ending, programs in (
        ("queries", f"q, k, v{names}{more}", with_bounds, "dq", f"S, BLOCK_S) * {facts.heads}"),
        ("keys", f"q, k, v{names}", strides, "dk, dv", f"T, BLOCK_T) * {facts.shared}"),
    ):
        lines += [
            "with torch.cuda.device_of(q):",
            f"    backward_{name}[(triton.cdiv({programs} * lead.numel(),)](",
            f"        {pointers}, dy, lse, delta, {ending},",
            f"        {', '.join(laid[:3])},",
            *([f"        {', '.join(laid[3:])},"] if laid[3:] else []),
            f"        {inner}S, T,",
            "        WIDE=INTERPRETED, BLOCK_S=BLOCK_S, BLOCK_T=BLOCK_T,",
            "        num_warps=warps, num_stages=2,",
            "    )",
        ]
    lines.append("found = [d.sum_to_size(x.shape) for d, x in zip((dq, dk, dv), first)]")
    if facts.sink:
        lines += [
            "weight = torch.exp(sink.float()[..., 0] - lse)",
            "found.append(-(weight * delta)[..., None].sum_to_size(sink.shape).to(sink.dtype))",
        ]
    lines.append("return found")
    head = f"def launch_backward(dy, y, lse, q, k, v{given}):"
    return f"{head}\n{indent(chr(10).join(lines), '    ')}"
