"""The Python file of a kernel: readable, and needing nothing but PyTorch and Triton."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from textwrap import indent

from graphwright.backends.triton import host
from graphwright.backends.triton.backward import (
    backward_kernels,
    backward_launcher,
    differentiates,
)
from graphwright.backends.triton.blocks import (
    closing,
    keeping,
    opening,
    scores,
    signature,
    strided,
)
from graphwright.backends.triton.expressions import used
from graphwright.backends.triton.facts import Facts
from graphwright.backends.triton.hidden import skips
from graphwright.backends.triton.naming import Naming
from graphwright.backends.triton.parts import part_kernel, part_launcher, splits
from graphwright.backends.triton.plan import Ending, Plan, plan
from graphwright.backends.triton.sweeps import last_sweep, statistics
from graphwright.ir.graph import Graph
from graphwright.ir.parse import parse
from graphwright.ir.text import show

ENDINGS = {
    Ending.RESCALED: "exponentials meet the values, rescaled as greater scores come",
    Ending.DIVIDED: "numerators meet the values, and their sum divides them in the end",
    Ending.PLAIN: "weights meet the values",
}
IMPORTS = """
import json
import os
import time
from pathlib import Path

import torch
import triton
import triton.language as tl

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
""".strip()


@cache
def softmax_body() -> Graph:
    """The body of an attention that has none."""
    return parse("def normalizer(s: f32[B, H, S, T]):\n    return Softmax(s, axis=-1)")


def plan_of(facts: Facts) -> Plan:
    """The sweeps that an attention takes."""
    return plan(facts.body or softmax_body())


def kernel_source(facts: Facts) -> str:
    """The text of a file with the kernel of an attention and the function `launch` that runs it.

    Raises NoKernel for a body that kernels do not compute.
    """
    made = plan_of(facts)
    naming = Naming(facts.body or softmax_body(), made, facts.heads)
    skipping = skips(facts, made)
    lines = _sweeps(facts, made, naming)
    tables = len(naming.tables)
    learns = differentiates(facts)
    body = [*opening(facts, skipping, tables, "y"), *lines, *closing(facts, made, skipping)]
    body += keeping() if learns else []
    others = [*(["tables"] if tables else []), *(["lse"] if learns else [])]
    named = [*strided(facts, skipping), "y"]
    flag = ["KEEP: tl.constexpr"] if learns else []
    kernel = f"{signature('forward', facts, named, others, *flag)}\n{_indented(body)}"
    backward = backward_kernels(facts, skipping) if learns else ""
    apart = splits(made, tables)
    part = part_kernel(facts, made, facts.body or softmax_body()) if apart else ""
    block = scores(facts)
    parts = [
        _header(facts, made),
        used(f"{block}\n{kernel}").strip("\n"),
        block,
        kernel,
        part,
        backward,
        _tables(naming),
        host.BOUNDS.strip("\n") if facts.mask and skipping else "",
        host.configs(facts),
        host.TUNING.strip("\n"),
        host.usable(facts),
        part_launcher(facts, made) if apart else "",
        host.launcher(facts, skipping, bool(tables), apart, learns),
        backward_launcher(facts, skipping) if learns else "",
    ]
    return "\n\n\n".join(part for part in parts if part) + "\n"


def _sweeps(facts: Facts, made: Plan, naming: Naming) -> list[str]:
    lines: list[str] = []
    for i, nodes in enumerate(made.sweeps):
        lines += ["", f"# Sweep {i + 1} of {made.count}: what is known of a row as a whole."]
        lines += statistics(naming, nodes, facts)
    lines += ["", f"# Sweep {made.count} of {made.count}: {ENDINGS[made.ending]}."]
    return [*lines, *last_sweep(naming, made, facts)]


def _header(facts: Facts, made: Plan) -> str:
    name = "softmax" if facts.body is None else "the normalizer below"
    times = "one sweep" if made.count == 1 else f"{made.count} sweeps"
    lead = "".join(f"B{i}, " for i in range(facts.batch))
    shapes = [
        f"q [{lead}{facts.heads}, S, {facts.width}]",
        f"k [{lead}{facts.shared}, T, {facts.width}]",
        f"v [{lead}{facts.shared}, T, {facts.value_width}]",
        *(
            f"{name} [{lead}{facts.heads}, S, {1 if name == 'sink' else 'T'}]"
            for name in facts.operands
        ),
    ]
    said = [f"Attention in {times} over the keys, made by graphwright: {name}.", ""]
    said += [
        "Scores are only ever in registers. " + ("Axes of 1 broadcast." if facts.operands else ""),
        "",
    ]
    said += [f"    {each}" for each in shapes]
    if facts.body is not None:
        said += ["", *(f"    {line}" for line in show(facts.body).strip().splitlines())]
    text = "\n".join(line.rstrip() for line in said)
    return f'"""{text}\n"""\n\n{IMPORTS}'


def _tables(naming: Naming) -> str:
    if not naming.tables:
        return ""
    rows = ",\n".join(f"    {row}" for row in naming.tables)
    return f'''
TABLES = [
{rows},
]
"""Numbers that differ from head to head."""
KEPT = {{}}


def table_on(device):
    """The tables on a device, put there once."""
    if device not in KEPT:
        KEPT[device] = torch.tensor(TABLES, dtype=torch.float32, device=device)
    return KEPT[device]
'''.strip()


def _indented(lines: Sequence[str]) -> str:
    return indent("\n".join(lines), "    ")
