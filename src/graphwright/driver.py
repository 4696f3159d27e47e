"""Rewriting a model: groups of rules in order, each application checked before it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphwright.ir.cut import cut
from graphwright.ir.dims import Dim, atoms_of, sym
from graphwright.ir.graph import Graph, Node, Part, Value
from graphwright.ir.ops import contents_of
from graphwright.ir.renaming import one_name_each, readable_sizes, unify
from graphwright.ir.retype import is_sharper, retype
from graphwright.ir.types import TensorType
from graphwright.passes.rewrite import Application, Banned, Group, rewrite, undo
from graphwright.passes.rule import Budget
from graphwright.verification.fragments import Fragment
from graphwright.verification.judge import Verdict

Check = Callable[[Sequence[Fragment]], Sequence[Verdict]]
Judge = Callable[[Sequence[Application]], Sequence[Verdict | None]]
Progress = Callable[[str], None]


@dataclass
class Log:
    """What was done to a model: rewrites kept and left out, with what was found of each."""

    kept: list[tuple[Application, Verdict | None]] = field(default_factory=list)
    left_out: list[tuple[Application, Verdict]] = field(default_factory=list)

    def __iadd__(self, later: Log) -> Log:
        self.kept += later.kept
        self.left_out += later.left_out
        return self


def run_groups(
    graph: Graph,
    groups: Iterable[Group],
    budget: Budget,
    check: Check | None,
    progress: Progress = lambda _: None,
) -> Log:
    """Apply `groups` in order to `graph` and its bodies, each rewrite judged before it stays.

    The next group is asked for when those before it have run. Without `check` every rewrite stays.
    """
    log, parts = Log(), list(graph.walked())

    def judge(done: Sequence[Application]) -> Sequence[Verdict | None]:
        return check([fragment(a, graph) for a in done]) if check and done else [None] * len(done)

    with one_name_each(graph, parts) as known:
        for group in groups:
            for part in parts if budget.opset >= group.since else ():
                # What was folded may tell more of the types that follow, and let more rules fit.
                while _run_group(part, group, budget, judge, log, progress) and retype(part[1]):
                    unify(parts, known, aside=(n for a, _ in log.kept for n in a.change.dropped))
                    if group.once:
                        break
    return log


def _run_group(
    part: Part, group: Group, budget: Budget, judge: Judge, log: Log, progress: Progress
) -> bool:
    """Apply one group to one graph; whether rewrites were kept after which more may be known."""
    graph, nodes = part
    banned: Banned = {(a.rule, a.change.old) for a, _ in log.left_out}
    before = len(log.kept)
    while True:
        progress(f"{group.name}: rewriting")
        done = rewrite(graph, group, budget, banned, nodes=nodes)
        progress(f"{group.name}: checking {len(done)} rewrites")
        judged = list(zip(done, judge(done), strict=True))
        bad = [i for i, (_, verdict) in enumerate(judged) if verdict is not None and not verdict.ok]
        good = judged[: bad[0]] if bad else judged
        log.kept += good
        for application, verdict in good:
            _note_distance(application, verdict)
        if not bad:
            return any(_tells_more(a) for a, _ in log.kept[before:])
        undo(done[bad[0] :])
        nodes[:] = graph.reachable()
        for application, verdict in (judged[i] for i in bad):
            assert verdict is not None
            banned.add((application.rule, application.change.old))
            log.left_out.append((application, verdict))


def _tells_more(application: Application) -> bool:
    old, new = application.change.old, application.change.new
    if new.const is not None and old.contents is None and contents_of(new) is not None:
        return True
    return is_sharper(new.type, old.type)


def _note_distance(application: Application, verdict: Verdict | None) -> None:
    """Let what was made say how far it is from what it was made of, in all."""
    if verdict is None:
        return
    apart = [n.origin.distance for n in application.matched if n.origin.distance is not None]
    apart += [0.0 if verdict.distance is None else verdict.distance.max_abs]
    for node in application.made:
        node.origin = node.origin._replace(distance=max(apart))


def fragment(application: Application, whole: Graph) -> Fragment:
    """The part that a rewrite replaced and what it put there, as graphs of the same inputs.

    They are written as the `whole` model is: in its opsets, with its functions.
    """
    old, new = application.change.old, application.change.new
    leaves = [v for v in application.leaves if v.const is None]
    before = cut([old], leaves, name="before", reads=application.reads)
    after = cut([new], leaves, name="after", reads=application.reads)
    sizes = _sizes([*before.nodes(), *after.nodes()])
    header = None if whole.header is None else replace(whole.header, source=None)
    for part in (before, after):
        part.header, part.functions = header, whole.functions
        if sizes:
            # An input that nobody reads, whose shape says what the symbols are.
            part.inputs = (*part.inputs, Value(TensorType("bool", sizes), name="sizes"))
    return Fragment(before, after, application.contract)


def _sizes(nodes: Sequence[Node]) -> tuple[Dim, ...]:
    names: set[str] = set()
    for node in nodes:
        if node.op == "Sizes":
            dims: Any = node.attrs["dims"]
            for dim in dims if isinstance(dims, tuple) else (dims,):
                names |= atoms_of(dim)
    return tuple(sym(name) for name in sorted(names))


def input_sizes(graph: Graph) -> frozenset[str]:
    """The names of sizes that can be read off the graph's inputs."""
    return frozenset(readable_sizes(graph))
