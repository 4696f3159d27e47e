"""The kernel for few queries and many keys: parts of the keys apart, then merged.

A single sweep can be begun anywhere, and what it has gathered added to what others have: sums as
they are, exponentials rescaled to the greatest score of all. Heads that share keys stand below one
another.
"""

from __future__ import annotations

from textwrap import dedent, indent

from graphwright.backends.triton.blocks import loads, padded, signature
from graphwright.backends.triton.facts import Facts
from graphwright.backends.triton.naming import Naming
from graphwright.backends.triton.plan import Ending, Plan
from graphwright.backends.triton.sweeps import gathering
from graphwright.ir.graph import Graph

GATHERED = {Ending.RESCALED: ("top", "total"), Ending.DIVIDED: ("total",), Ending.PLAIN: ()}
"""What a sweep gathers for each row beside the sum of values."""
MERGED = {
    Ending.RESCALED: """
        best = top.amax(0)
        fade = torch.exp(top - torch.where(best == -torch.inf, 0.0, best))
        total, y = (total * fade).sum(0), (y * fade[..., None]).sum(0)
        """,
    Ending.DIVIDED: "total, y = total.sum(0), y.sum(0)",
    Ending.PLAIN: "y = y.sum(0)",
}


def splits(made: Plan, tables: int) -> bool:
    """Whether parts of the keys can be computed apart."""
    return made.count == 1 and not tables


def part_kernel(facts: Facts, made: Plan, body: Graph) -> str:
    """The kernel that computes one part of the keys."""
    lines = [*_opening(facts), *gathering(Naming(body, made, facts.heads), made, facts)]
    lines += _closing(facts, made)
    named, others = ["q", "k", "v", *facts.operands], ["y", *GATHERED[made.ending]]
    head = signature("forward_part", facts, named, others, "batches, CHUNK, parts")
    return f"{head}\n{indent(chr(10).join(lines), '    ')}"


def part_launcher(facts: Facts, made: Plan) -> str:
    """The functions `parts_for`, which says how many parts there are, and `launch_parts`."""
    group = facts.heads // facts.shared
    given = "".join(f", {name}" for name in facts.operands)
    gathered = GATHERED[made.ending]
    inner = "".join(f"lead[{i}], " for i in range(1, facts.batch))
    sizes = {"bias": "S, T", "mask": "S, T", "sink": "S, 1"}
    lines = [
        '"""Run a kernel over parts of the keys, and merge what they give."""',
        f"given = (q, k, v{given})",
        "lead = torch.broadcast_shapes(*(x.shape[:-3] for x in given))",
        "S, T = q.shape[-2], k.shape[-2]",
        f"BLOCK_S, BLOCK_T = (16 if S * {group} <= 16 else 32), 32",
        "chunk = triton.cdiv(triton.cdiv(T, parts), BLOCK_T) * BLOCK_T",
        "q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))",
    ]
    strides = [f"*strides({name}, lead)" for name in "qkv"]
    for name in facts.operands:
        seen = f"{name}.view(torch.uint8)" if name == "mask" else name
        lines.append(f"{name} = {seen}.expand(*lead, {facts.heads}, {sizes[name]})")
        strides.append(f"*{name}.stride()" if name != "sink" else f"*{name}.stride()[:-1]")
    kept = ", ".join(["y", *gathered])
    lines += [
        f"shape = (parts, *lead, {facts.heads}, S, {facts.value_width})",
        "y = q.new_empty(shape, dtype=torch.float32)",
        *(f"{name} = y.new_empty(y.shape[:-1])" for name in gathered),
        f"programs = parts * triton.cdiv(S * {group}, BLOCK_S) * {facts.shared} * lead.numel()",
        "with torch.cuda.device_of(q):",
        "    forward_part[(programs,)](",
        f"        q, k, v{given}, {kept},",
        f"        {', '.join(strides)},",
        f"        {inner}S, T, lead.numel(), chunk, parts,",
        "        WIDE=INTERPRETED, BLOCK_S=BLOCK_S, BLOCK_T=BLOCK_T, num_warps=4, num_stages=2,",
        "    )",
        *dedent(MERGED[made.ending]).strip().splitlines(),
        *_ratio(facts, made),
    ]
    launch = f"def launch_parts(q, k, v{given}, parts):\n{indent(chr(10).join(lines), '    ')}"
    return f"{_parts_for(facts)}\n\n\n{launch}"


def _parts_for(facts: Facts) -> str:
    group = facts.heads // facts.shared
    return dedent(
        f'''
        def parts_for(q, k):
            """Into how many parts the keys are cut: 1 where blocks of queries fill the GPU."""
            S, T = q.shape[-2], k.shape[-2]
            if INTERPRETED or S * {group} > 32 or T < 512:
                return 1
            programs = q.shape[:-3].numel() * {facts.shared}
            room = 2 * torch.cuda.get_device_properties(q.device).multi_processor_count
            return max(1, min(room // programs, T // 256))
        '''
    ).strip()


def _ratio(facts: Facts, made: Plan) -> list[str]:
    if made.ending is Ending.PLAIN:
        return ["return y.to(v.dtype)"]
    if not facts.guard:
        return ["return (y / total[..., None]).to(v.dtype)"]
    live = "total > 0" if made.ending is Ending.RESCALED else "(total != 0) & (total == total)"
    return [
        f"live = ({live})[..., None]",
        "return torch.where(live, y / total[..., None], 0.0).to(v.dtype)",
    ]


def _opening(facts: Facts) -> list[str]:
    group = facts.heads // facts.shared
    lines = [
        '"""One program computes one part of the keys, for rows of the heads that share them."""',
        "part = tl.program_id(0) % parts",
        f"blocks = tl.cdiv(S * {group}, BLOCK_S)",
        "block = tl.program_id(0) // parts % blocks",
        f"key_head = (tl.program_id(0) // parts // blocks % {facts.shared}).to(tl.int64)",
        f"batch = (tl.program_id(0) // parts // blocks // {facts.shared}).to(tl.int64)",
        "stacked = block * BLOCK_S + tl.arange(0, BLOCK_S)",
        f"head = key_head * {group} + tl.minimum(stacked // S, {group - 1})",
        f"rows = tl.where(stacked < S * {group}, stacked % S, S)",
        "row = rows.to(tl.int64)",
        f"place = ((part * batches + batch) * {facts.heads} + head) * S + row",
    ]
    for i in reversed(range(1, facts.batch)):
        lines += [f"b{i} = batch % B{i}", f"batch = batch // B{i}"]
    lines += ["b0 = batch"] if facts.batch else []
    for name in ("q", "k", "v", *facts.operands):
        own = "key_head" if name in ("k", "v") else "head"
        lead = "".join(f"b{i} * {name}_b{i} + " for i in range(facts.batch))
        lines.append(f"{name}_at += {lead}{own} * {name}_h")
    lines += loads(facts)
    return [*lines, "first = part * CHUNK", "last = tl.minimum(T, first + CHUNK)", ""]


def _closing(facts: Facts, made: Plan) -> list[str]:
    narrow = padded(facts.value_width) != facts.value_width
    inside = f" & (out[None, :] < {facts.value_width})" if narrow else ""
    return [
        "",
        f"at_y = y_at + place[:, None] * {facts.value_width} + out[None, :]",
        f"tl.store(at_y, y, mask=(rows[:, None] < S){inside})",
        *(f"tl.store({n}_at + place, {n}, mask=rows < S)" for n in GATHERED[made.ending]),
    ]
