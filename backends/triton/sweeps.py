"""The sweeps of a kernel over the keys, as lines of Triton."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from graphwright.backends.triton.blocks import call_of_scores, padded, values
from graphwright.backends.triton.expressions import NAN, dtype_of
from graphwright.backends.triton.facts import Facts
from graphwright.backends.triton.naming import Naming
from graphwright.backends.triton.plan import Ending, Plan, operand
from graphwright.ir.graph import Node, Value
from graphwright.ir.normalizers import ALONG_ROW
from graphwright.ir.ops import scalar
from graphwright.ir.types import FLOATS

LOW = 'float("-inf")'
KEEPS_NUMBERS = frozenset(
    {"Abs", "Ceil", "Floor", "Identity", "Max", "Min", "Neg", "Relu", "Round", "Where"}
)
"""What makes no NaN of numbers and infinities."""

Parts: TypeAlias = tuple[list[str], list[str], list[str]]
HINTS = {
    "ReduceMax": "greatest",
    "ReduceMin": "least",
    "ReduceSum": "summed",
    "ReduceMean": "mean",
}


def loop(inside: Sequence[str], facts: Facts) -> list[str]:
    """One sweep over the keys, which reads `s`, the scores of a block of them."""
    reads = " ".join(inside)
    live = ["live = (columns < T)[None, :]"] if "live" in reads else []
    lines = [
        "columns = start + tl.arange(0, BLOCK_T)",
        f"s = {call_of_scores(facts)}",
        *live,
        *inside,
    ]
    return ["for start in range(first, last, BLOCK_T):", *(f"    {line}" for line in lines)]


def statistics(naming: Naming, nodes: Sequence[Node], facts: Facts) -> list[str]:
    """The sweep that finds some reductions of the row; the sink is a column of it."""
    sink = facts.sink
    targets = [operand(node) for node in nodes]
    lines = naming.before(targets)
    at_sink: list[str | None] = [None] * len(nodes)
    if sink:
        made, names = naming.within(targets, "s_sink")
        lines += made
        at_sink = list(names)
    inside, found = naming.within(targets)
    after: list[str] = []
    for node, x, first in zip(nodes, found, at_sink, strict=True):
        start, update, end = _statistic(naming, node, x, first, sink)
        lines += start
        inside += update
        after += end
    return [*lines, *loop(inside, facts), *after]


def last_sweep(naming: Naming, made: Plan, facts: Facts) -> list[str]:
    """The sweep that meets the values; what it gives is `y`, [BLOCK_S, E]."""
    start, sweep, end = _last(naming, made, facts)
    return [*start, *sweep, *end]


def gathering(naming: Naming, made: Plan, facts: Facts) -> list[str]:
    """That sweep over a part of the keys: sums that nothing has divided yet.

    The sink is a column of the first part alone.
    """
    start, sweep, _ = _last(naming, made, facts)
    if facts.sink and made.ending is not Ending.PLAIN:
        start.append("total = tl.where(part == 0, total, 0.0)")
        if made.ending is Ending.RESCALED:
            start.append(f"top = tl.where(part == 0, top, {LOW})")
    return [*start, *sweep]


def _last(naming: Naming, made: Plan, facts: Facts) -> Parts:
    lines = naming.before([made.meets])
    first = None
    if facts.sink and made.ending is not Ending.PLAIN:
        more, (first,) = naming.within([made.meets], "s_sink")
        lines += more
    inside, (x,) = naming.within([made.meets])
    if made.meets not in made.blocks:
        inside.append(f"w = tl.broadcast_to({x}, (BLOCK_S, BLOCK_T))")
        x = "w"
    start, update, end = {
        Ending.RESCALED: _rescaled,
        Ending.DIVIDED: _divided,
        Ending.PLAIN: _plain,
    }[made.ending](x, first, facts.guard)
    lines += [f"y = tl.zeros([BLOCK_S, {padded(facts.value_width)}], tl.float32)", *start]
    return lines, loop([*inside, *values(facts), *update], facts), end


def _rescaled(x: str, first: str | None, guard: bool) -> Parts:
    start, update = _online(x, "top", "total", first, "fade", "e")
    update.append(f"y = {_met('e', 'y * fade[:, None]')}")
    ratio = "y / total[:, None]"
    return (
        start,
        update,
        [f"y = tl.where(total[:, None] > 0.0, {ratio}, 0.0)" if guard else f"y = {ratio}"],
    )


def _divided(x: str, first: str | None, guard: bool) -> Parts:
    start = [f"total = {first or 'tl.zeros([BLOCK_S], tl.float32)'}"]
    update = [f"e = tl.where(live, {x}, 0.0)", "total += tl.sum(e, 1)", f"y = {_met('e', 'y')}"]
    if not guard:
        return start, update, ["y = y / total[:, None]"]
    dead = "(total == 0.0) | (total != total)"
    return start, update, [f"dead = {dead}", "y = tl.where(dead[:, None], 0.0, y / total[:, None])"]


def _plain(x: str, first: str | None, guard: bool) -> Parts:
    counts = f"live & ({x} == {x})" if guard else "live"
    return [], [f"w = tl.where({counts}, {x}, 0.0)", f"y = {_met('w', 'y')}"], []


def _met(weights: str, so_far: str) -> str:
    return f'tl.dot({weights}.to(v.dtype), v, {so_far}, input_precision="ieee")'


def _online(
    x: str, top: str, total: str, first: str | None, fade: str, e: str
) -> tuple[list[str], list[str]]:
    """The greatest and the sum of exponentials below it, which is corrected as a greater comes."""
    if first is None:
        start = [
            f"{top} = tl.full([BLOCK_S], {LOW}, tl.float32)",
            f"{total} = tl.zeros([BLOCK_S], tl.float32)",
        ]
    else:
        start = [
            f"{top} = {first}",
            f"{total} = tl.exp({top} - tl.where({top} == {LOW}, 0.0, {top}))",
        ]
    return start, [
        *([] if x == "s" else [f"{x} = tl.where(live, {x}, {LOW})"]),
        f"best = tl.maximum({top}, tl.max({x}, 1))",
        f"base = tl.where(best == {LOW}, 0.0, best)",
        f"{fade} = tl.exp({top} - base)",
        f"{e} = tl.exp({x} - base[:, None])",
        f"{total} = {total} * {fade} + tl.sum({e}, 1)",
        f"{top} = best",
    ]


def _statistic(naming: Naming, node: Node, x: str, first: str | None, sink: bool) -> Parts:
    """How a reduction begins, goes on with a block and ends."""
    if node.op in ALONG_ROW:
        top, total = naming.fresh("top"), naming.fresh("total")
        naming.pairs[node] = (top, total)
        start, update = _online(x, top, total, first, "fade", "e")
        return start, update, []
    result = node.outputs[0]
    name = naming.names[result] = naming.fresh(result.name or HINTS[node.op])
    is_float = dtype_of(operand(node)) in FLOATS
    kind = "tl.float32" if is_float else "tl.int64" if dtype_of(result) == "i64" else "tl.int32"
    if node.op in ("ReduceSum", "ReduceMean"):
        zero = "0.0" if is_float else "0"
        update = [f"{name} += tl.sum(tl.where(live, {x}, {zero}), 1)"]
        count = "T + 1" if sink else "T"
        end = [f"{name} = {name} / ({count})"] if node.op == "ReduceMean" else []
        return [f"{name} = {first or f'tl.zeros([BLOCK_S], {kind})'}"], update, end
    greatest = node.op == "ReduceMax"
    limit = {True: '"-inf"', False: '"inf"'}[greatest]
    least = f"float({limit})" if is_float else str(-(2**31) if greatest else 2**31 - 1)
    function = "max" if greatest else "min"
    seen = x if x == "s" and greatest else f"tl.where(live, {x}, {least})"
    nan = is_float and _may_be_nan(operand(node), naming.scores)
    reduced = (
        f"{'largest' if greatest else 'smallest'}({seen})" if nan else f"tl.{function}({seen}, 1)"
    )
    update = [f"{name} = tl.{function}imum({name}, {reduced}, {NAN})"]
    return [f"{name} = {first or f'tl.full([BLOCK_S], {least}, {kind})'}"], update, []


def _may_be_nan(value: Value, scores: Value) -> bool:
    """Whether numbers and infinities as scores may make NaN of a value, as far as is known."""
    node = value.producer
    if value is scores or node is None:
        return False
    given = [v for v in node.inputs if v is not None]
    if node.op in KEEPS_NUMBERS:
        return any(_may_be_nan(v, scores) for v in given[node.op == "Where" :])
    factor = scalar(given[1]) if node.op in ("Mul", "Div") else None
    return not factor or abs(factor) == float("inf") or _may_be_nan(given[0], scores)
