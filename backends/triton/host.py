"""The part of a kernel's file that PyTorch calls: it checks, lays out and launches."""

from __future__ import annotations

from textwrap import dedent, indent

from graphwright.backends.triton.facts import Facts

BOUNDS = '''
def key_bounds(mask, T, BLOCK_S):
    """The first key that a block of queries sees, and the end of what it sees: [..., blocks, 2]."""
    seen = mask
    if mask.shape[-2] > 1:
        over = -mask.shape[-2] % BLOCK_S
        seen = torch.nn.functional.pad(mask, (0, 0, 0, over)).unflatten(-2, (-1, BLOCK_S)).any(-2)
    positions = torch.arange(mask.shape[-1], dtype=torch.int32, device=mask.device)
    first = torch.where(seen, positions, T).amin(-1)
    last = torch.where(seen, positions + 1, 0).amax(-1)
    if mask.shape[-1] == 1:  # the same for all keys
        first, last = first.clamp(max=T), last * T
    return torch.stack([torch.minimum(first, last), last], -1)
'''

TUNING = '''
MEASURED = Path(__file__).with_suffix(".json")
BEST = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}


def kind(q, k):
    """What tensors have in common that are cut alike: the device, the type, about the sizes."""
    device = torch.cuda.get_device_name(q.device) if q.is_cuda else "interpreted"
    sizes = (q.shape[:-2].numel(), q.shape[-2], k.shape[-2])
    return f"{device} {q.dtype} {' '.join(str(1 << (n - 1).bit_length()) for n in sizes)}"


def chosen(q, k):
    """Rows and keys of a block, warps, stages: the fastest, where it was measured."""
    best = BEST.get(kind(q, k)) if BEST else None
    return best or configs(q, q.shape[-2])[0]


def tune(*given):
    """Measure each way to cut tensors like these; the fastest is kept in a file beside this one."""
    times = []
    for config in configs(given[0], given[0].shape[-2]):
        try:
            times.append((timed(lambda: launch(*given, config=config)), config))
        except triton.runtime.errors.OutOfResources:  # more than this GPU has
            continue
    BEST[kind(*given[:2])] = min(times)[1]
    MEASURED.write_text(json.dumps(BEST, indent=1), encoding="utf-8")
    return times


def timed(run):
    """The milliseconds that something takes."""
    if not INTERPRETED:
        return triton.testing.do_bench(run)
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)
'''

PARTS = """
parts = 1 if config{or_kept} else parts_for(q, k)
if parts > 1:
    return launch_parts(q, k, v{given}, parts=parts)
""".strip()
STRIDES = '''
def strides(x, lead):
    """The strides of [*lead, heads, rows, channels] but the last, which is 1."""
    return x.expand(*lead, *x.shape[-3:]).stride()[:-1]
'''.strip()


def launcher(facts: Facts, skips: bool, tables: bool, apart: bool, learns: bool) -> str:
    """The function `launch`, which runs the kernel, over parts of the keys if it can (`apart`).

    Where there are kernels of gradients (`learns`), it gives what those need too, if it is asked.
    """
    names = ["q", "k", "v", *facts.operands]
    given = "".join(f", {name}" for name in facts.operands)
    lines = [
        f"given = ({', '.join(names)})",
        "lead = torch.broadcast_shapes(*(x.shape[:-3] for x in given))",
        "S, T = q.shape[-2], k.shape[-2]",
    ]
    lines += [
        f"y = torch.empty((*lead, {facts.heads}, S, {facts.value_width}),"
        " dtype=v.dtype, device=q.device)",
        "if y.numel() == 0 or T == 0:",
        "    return y.zero_()",
        *(PARTS.format(given=given, or_kept=" or keep" * learns).splitlines() if apart else []),
        "BLOCK_S, BLOCK_T, warps, stages = config or chosen(q, k)",
        "q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))",
    ]
    args = ["q", "k", "v"]
    strides = [f"*strides({name}, lead)" for name in "qkv"]
    sizes = {"bias": "S, T", "mask": "S, T", "sink": "S, 1"}
    for name in facts.operands:
        if name == "mask" and skips:
            lines.append("bounds = key_bounds(mask, T, BLOCK_S)")
        seen = f"{name}.view(torch.uint8)" if name == "mask" else name
        lines.append(f"{name} = {seen}.expand(*lead, {facts.heads}, {sizes[name]})")
        args.append(name)
        strides.append(f"*{name}.stride()" if name != "sink" else f"*{name}.stride()[:-1]")
        if name == "mask" and skips:
            blocks = "triton.cdiv(S, BLOCK_S)"
            lines.append(f"bounds = bounds.expand(*lead, {facts.heads}, {blocks}, 2)")
            args.append("bounds")
            strides.append("*bounds.stride()[:-1]")
    others = ["table_on(q.device)"] if tables else []
    if learns:
        lines.append("lse = y.new_empty(y.shape[:-1], dtype=torch.float32) if keep else y")
        others.append("lse")
    inner = [f"lead[{i}]" for i in range(1, facts.batch)]
    call = [
        ", ".join([*args, "y", *others]),
        ", ".join(strides[:3]),
        *([", ".join(strides[3:])] if strides[3:] else []),
        ", ".join(["*y.stride()[:-1]", *inner, "S", "T", *(["KEEP=keep"] if learns else [])]),
        "WIDE=INTERPRETED, BLOCK_S=BLOCK_S, BLOCK_T=BLOCK_T",
        "num_warps=warps, num_stages=stages",
    ]
    lines += [
        f"programs = triton.cdiv(S, BLOCK_S) * {facts.heads} * lead.numel()",
        "with torch.cuda.device_of(q):",
        "    forward[(programs,)](",
        *(f"        {line}," for line in call),
        "    )",
        "return (y, lse) if keep else y" if learns else "return y",
    ]
    doc = '"""Run the kernel; where it is interpreted products are computed in float32."""'
    head = f"def launch(q, k, v{given}, config=None{', keep=False' if learns else ''}):"
    return "\n".join([STRIDES, "", "", head, indent("\n".join([doc, *lines]), "    ")])


def usable(facts: Facts) -> str:
    """The function `runs_here`, which says whether the kernel can run."""
    return dedent(
        f'''
        def runs_here(q, k, v):
            """Whether the kernel can run: on a GPU, or interpreted, in a type that it knows."""
            known = q.dtype in (torch.float32, torch.float16, torch.bfloat16)
            fits = q.dtype == k.dtype == v.dtype and q.dim() == {facts.batch + 3}
            return known and fits and (INTERPRETED or q.is_cuda)
        '''
    ).strip()


def configs(facts: Facts) -> str:
    """The function `configs`: how a problem may be cut into blocks.

    A bias or a mask is read for each pair of a query and a key, which takes registers.
    """
    widest = max(facts.width, facts.value_width)
    reads = facts.bias or facts.mask
    floats = [(32, 32, 4, 2), (64, 32, 4, 2), (64, 64, 8, 1)]
    halves = [(128, 64, 4, 3), (64, 64, 4, 3), (128, 128, 8, 2), (128, 32, 4, 3)]
    if reads:
        halves = [(64, 64, 4, 3), (64, 32, 4, 3), (128, 64, 8, 3)]
    if widest > 64:
        floats = [(32, 32, 4, 1), (32, 32, 8, 1), (64, 32, 8, 1)]
        halves = [(128, 64, 8, 3), (64, 64, 4, 3), (128, 32, 8, 3), (128, 128, 8, 2)]
        if reads:
            halves = [(64, 32, 4, 3), (64, 64, 8, 2), (64, 64, 4, 2)]
    if widest > 128:
        floats = [(16, 32, 4, 1), (32, 16, 8, 1)]
        halves = [(64, 32, 8, 2), (64, 64, 8, 2), (32, 32, 4, 2)]
    return dedent(
        f'''
        def configs(q, S):
            """Rows and keys of a block, warps, stages; the first where nothing was measured."""
            if INTERPRETED:
                return [(16, 32, 4, 1)]
            if q.element_size() > 2:
                return {floats}
            if S <= 16:
                return [(16, 64, 4, 2), (16, 32, 4, 3), (16, 128, 4, 2)]
            return {halves}
        '''
    ).strip()
