"""The driver: where rules are tried, in which order, and what is noted so that it can be undone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from graphwright.ir.contracts import Contract
from graphwright.ir.garbage import uncollected
from graphwright.ir.graph import Change, Graph, Node, Value
from graphwright.passes.match import between
from graphwright.passes.pattern import Either, Memo, Pattern
from graphwright.passes.rule import Budget, NoMatch, Rule, Sweep


class NotConverging(RuntimeError):
    """Raised when a group of rules finds no end; it names the last ones."""


@dataclass(eq=False, slots=True)
class Application:
    """One rewrite that was made: enough to show it, to check it and to undo it.

    `reads` is what the nodes on both sides read when it was made.
    """

    rule: str
    contract: Contract
    change: Change
    leaves: tuple[Value, ...]
    matched: tuple[Node, ...]
    made: tuple[Node, ...]
    reads: dict[Node, tuple[Value | None, ...]] = field(repr=False)


@dataclass(frozen=True)
class Group:
    """Rules that are applied together until none fits.

    `producers_first` visits a node before its readers, for rules whose results feed one another;
    else readers come first, so that of two rules that overlap the one that covers more wins.
    `since` is the opset from which on models have what the rules make; older ones are left alone.
    `once`: it does not run again when more becomes known of the graph, since twice is not once.
    """

    name: str
    rules: tuple[Rule | Sweep, ...]
    producers_first: bool = False
    since: int = 0
    once: bool = False


Banned = set[tuple[str, Value]]
Progress = Callable[[], None]
Tried = tuple[Rule, tuple[Pattern, ...]]


def rewrite(
    graph: Graph,
    group: Group,
    budget: Budget,
    banned: Banned | None = None,
    progress: Progress = lambda: None,
    nodes: list[Node] | None = None,
) -> list[Application]:
    """Apply the rules of `group` wherever they fit until none does; what was done, in order.

    A rule is not tried on a value it is `banned` from. `nodes` are those of the graph, producers
    first, where somebody has them; they are kept up to date. Raises NotConverging.
    """
    with uncollected():
        nodes = graph.reachable() if nodes is None else nodes
        run = _Run(graph, nodes, group, budget, banned or set(), progress)
        run.until_still()
    return run.done


class _Run:
    """One call of `rewrite`."""

    def __init__(
        self,
        graph: Graph,
        nodes: list[Node],
        group: Group,
        budget: Budget,
        banned: Banned,
        progress: Progress,
    ) -> None:
        self.graph, self.group, self.budget, self.banned = graph, group, budget, banned
        self.progress, self.nodes = progress, nodes
        budget.made.clear()  # constants that rules share lie in one graph
        self.done: list[Application] = []
        self.gone: set[Node] = set()  # what nothing reads any more
        self.by_anchor: dict[str, list[Tried]] = {}
        self.sweeps = [r for r in group.rules if isinstance(r, Sweep)]
        for rule in (r for r in group.rules if isinstance(r, Rule)):
            options = rule.pattern.options if isinstance(rule.pattern, Either) else (rule.pattern,)
            for op in rule.pattern.anchors:
                chosen = tuple(p for p in options if op in p.anchors)
                self.by_anchor.setdefault(op, []).append((rule, chosen))
        self.by_any = self.by_anchor.pop("*", [])
        for op in self.by_anchor:
            self.by_anchor[op] += self.by_any
        looks = [r.pattern.reach for r in group.rules if isinstance(r, Rule)]
        self.reach = None if None in looks else max((n for n in looks if n), default=0)
        self.limit = 0

    def until_still(self) -> None:
        """Apply rules until none fits, then sweep; again, if the sweeps have changed anything."""
        nodes = self._tried(self.nodes)
        if not self.group.producers_first:
            nodes.reverse()
        self.limit = 1000 + 20 * len(nodes)
        while True:
            nodes = self._settle(nodes)
            before = len(self.done)
            for each in self.sweeps:
                self._sweep(each)
            if len(self.done) == before:
                return
            self.nodes[:] = self.graph.reachable()  # a sweep may put anything anywhere
            self.gone.difference_update(self.nodes)
            swept = len(self.done)
            nodes = self._settle(self._next(nodes, before))
            if len(self.done) == swept:  # a sweep leaves nothing to itself
                return

    def _settle(self, nodes: list[Node]) -> list[Node]:
        first = len(self.done)
        while nodes:
            before = len(self.done)
            nodes = self._round(nodes)
            if len(self.done) == before:
                break
            nodes = self._next(nodes, before)
        self._bring_up_to_date(first)
        return nodes

    def _bring_up_to_date(self, before: int) -> None:
        """Have `self.nodes` be those that stand after the rewrites from `before` on.

        What was made stands before what it replaces: after what both read, before who reads them.
        """
        made: dict[Node | None, list[Node]] = {}
        for application in self.done[before:]:
            made.setdefault(application.change.old.producer, []).extend(application.made)
        if not made:
            return
        found: list[Node] = []
        for node in self.nodes:
            waiting = [node]
            while waiting:
                if waiting[-1] in made:
                    waiting += reversed(made.pop(waiting[-1]))
                elif (last := waiting.pop()) not in self.gone:
                    found.append(last)
        self.nodes[:] = found

    def _round(self, nodes: list[Node]) -> list[Node]:
        """Visit each node once; those that are left, and what was made where it was made."""
        following: list[Node] = []
        done, gone = self.done, self.gone
        for node in nodes:
            if node in gone:
                continue
            before = len(done)
            self._visit(node)
            if len(done) > before:
                for application in done[before:]:
                    made = self._tried(application.made)
                    following += made if self.group.producers_first else reversed(made)
                if node in gone:
                    continue
            following.append(node)
        return following

    def _next(self, nodes: list[Node], before: int) -> list[Node]:
        """What to visit after the rewrites from the one numbered `before` on, out of `nodes`."""
        if self.reach is None:
            return nodes
        return self._tried(self._touched(self.done[before:]))

    def _touched(self, done: Sequence[Application]) -> dict[Node, None]:
        """Nodes that a rule which looks no farther than `reach` may see otherwise now."""
        found: dict[Node, None] = {}
        for application in done:
            found.update(dict.fromkeys(application.made))
            for leaf in application.leaves:
                if leaf.producer is not None:
                    found[leaf.producer] = None
                elif len(leaf.uses) == 1:  # a constant that nothing else reads any more
                    found.update((use.node, None) for use in leaf.uses)
        level = dict.fromkeys(application.change.new for application in done)
        found.update((value.producer, None) for value in level if value.producer is not None)
        for _ in range(self.reach or 0):
            readers = dict.fromkeys(use.node for value in level for use in value.uses)
            found.update(readers)
            level = {value: None for node in readers for value in node.outputs}
        return found

    def _tried(self, nodes: Iterable[Node]) -> list[Node]:
        if self.by_any:
            return list(nodes)
        return [n for n in nodes if n.op in self.by_anchor]

    def _visit(self, node: Node) -> None:
        memo: Memo = {}
        for rule, options in self.by_anchor.get(node.op, self.by_any):
            found: dict[Value, list[Pattern]] = {}
            for option in options:
                for value in option.climb(node, memo):
                    if value.uses:
                        found.setdefault(value, []).append(option)
            for root in reversed(found) if found else ():  # the farthest first
                if self._try(rule, root, found[root]):
                    if node in self.gone:
                        return
                    memo = {}
                    break

    def _try(self, rule: Rule, root: Value, options: Sequence[Pattern]) -> bool:
        if self.banned and (rule.name, root) in self.banned:
            return False
        try:
            new, match, builder = rule.at(root, self.budget, options)
        except NoMatch:
            return False
        matched, leaves = tuple(match.nodes()), tuple(match.leaves())
        self._replace(rule, root, new, leaves, matched, tuple(builder.made))
        return True

    def _sweep(self, sweep: Sweep) -> None:
        for old, new, leaves in sweep.run(self.graph):
            if (sweep.name, old) in self.banned or old.producer is None:
                continue
            if not leaves:
                leaves = tuple(v for v in old.producer.operands() if v is not None)
            matched = tuple(between(leaves, old))
            made = tuple(node for node in between(leaves, new) if node not in matched)
            self._replace(sweep, old, new, leaves, matched, made)

    def _replace(
        self,
        rule: Rule | Sweep,
        old: Value,
        new: Value,
        leaves: tuple[Value, ...],
        matched: tuple[Node, ...],
        made: tuple[Node, ...],
    ) -> None:
        reads = {n: n.operands() for n in (*matched, *made)}
        change = self.graph.replace(old, new)
        done = Application(rule.name, rule.contract, change, leaves, matched, made, reads)
        self.done.append(done)
        self.gone.update(change.dropped)
        self.progress()
        if len(self.done) > self.limit:
            last = ", ".join(dict.fromkeys(a.rule for a in self.done[-8:]))
            raise NotConverging(
                f"the group '{self.group.name}' finds no end; its last rules: {last}"
            )


def undo(applications: Sequence[Application]) -> None:
    """Undo rewrites, given in the order in which they were made."""
    for application in reversed(applications):
        application.change.undo()
