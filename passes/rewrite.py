"""The driver: where rules are tried, in which order, and what is noted so that it can be undone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from graphwright.ir.contracts import Contract
from graphwright.ir.graph import Change, Graph, Node, Value
from graphwright.passes.pattern import SUM_OPS, PRODUCT_OPS
from graphwright.passes.rule import Budget, NoMatch, Rule, Sweep

REACH = 16  # nodes between an anchor and the end of a match, at most
ALGEBRA = SUM_OPS | PRODUCT_OPS


class NotConverging(RuntimeError):
    """Raised when a group of rules finds no end; it names the last ones."""


@dataclass(frozen=True)
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
    """

    name: str
    rules: tuple[Rule | Sweep, ...]
    producers_first: bool = False


Banned = set[tuple[str, Value]]


def rewrite(
    graph: Graph,
    group: Group,
    budget: Budget,
    banned: Banned | None = None,
    progress: Callable[[], None] = lambda: None,
) -> list[Application]:
    """Apply the rules of `group` wherever they fit until none does; what was done, in order.

    A rule is not tried on a value it is `banned` from. Raises NotConverging.
    """
    run = _Run(graph, group, budget, banned or set(), progress)
    run.until_still()
    return run.done


class _Run:
    """One call of `rewrite`."""

    def __init__(
        self, graph: Graph, group: Group, budget: Budget, banned: Banned, progress: Callable[[], None]
    ) -> None:
        self.graph, self.group, self.budget, self.banned = graph, group, budget, banned
        self.progress = progress
        self.done: list[Application] = []
        self.by_anchor: dict[str, list[tuple[Rule, frozenset[str], frozenset[str]]]] = {}
        self.sweeps = [r for r in group.rules if isinstance(r, Sweep)]
        for rule in (r for r in group.rules if isinstance(r, Rule)):
            roots = rule.pattern.roots()
            for op in rule.pattern.anchors() or roots:
                self.by_anchor.setdefault(op, []).append((rule, roots, rule.pattern.inside() - {op}))
        self.limit = 0

    def until_still(self) -> None:
        """Sweep until a sweep changes nothing."""
        while True:
            nodes = self._anchors()
            self.limit = self.limit or 1000 + 20 * len(nodes)
            before = len(self.done)
            for node in nodes:
                if _is_read(node, self.graph):
                    self._visit(node)
            for each in self.sweeps:
                self._sweep(each)
            if len(self.done) == before:
                return

    def _sweep(self, sweep: Sweep) -> None:
        for old, new in sweep.run(self.graph):
            if (sweep.name, old) in self.banned or old.producer is None:
                continue
            matched, made = (old.producer,), () if new.producer is None else (new.producer,)
            leaves = tuple(v for v in old.producer.operands() if v is not None)
            self._replace(sweep.name, sweep.contract, old, new, leaves, matched, made)

    def _anchors(self) -> list[Node]:
        found = [n for n in self.graph.nodes() if n.op in self.by_anchor or "*" in self.by_anchor]
        if not self.group.producers_first:
            found.reverse()
        return found

    def _visit(self, node: Node) -> None:
        tried = self.by_anchor.get(node.op, [])
        for rule, roots, inside in (*tried, *self.by_anchor.get("*", ())):
            if "*" in roots or (node.op in roots and not inside):
                candidates = [node]
            else:
                candidates = _ends(node, roots, inside)
            for candidate in candidates:
                if self._try(rule, candidate):
                    break
            if not _is_read(node, self.graph):
                return

    def _try(self, rule: Rule, node: Node) -> bool:
        root = node.outputs[0]
        if not root.uses or (rule.name, root) in self.banned:
            return False
        try:
            new, match, builder = rule.at(root, self.budget)
        except NoMatch:
            return False
        matched, leaves = tuple(match.nodes()), tuple(match.leaves())
        self._replace(rule.name, rule.contract, root, new, leaves, matched, tuple(builder.made))
        return True

    def _replace(
        self,
        name: str,
        contract: Contract,
        old: Value,
        new: Value,
        leaves: tuple[Value, ...],
        matched: tuple[Node, ...],
        made: tuple[Node, ...],
    ) -> None:
        reads = {n: n.operands() for n in (*matched, *made)}
        change = self.graph.replace(old, new)
        self.done.append(Application(name, contract, change, leaves, matched, made, reads))
        self.progress()
        if len(self.done) > self.limit:
            last = ", ".join(dict.fromkeys(a.rule for a in self.done[-8:]))
            raise NotConverging(f"the group '{self.group.name}' finds no end; its last rules: {last}")


def _is_read(node: Node, graph: Graph) -> bool:
    return any(v.uses for v in node.outputs) or node in graph.kept


def _ends(anchor: Node, roots: frozenset[str], inside: frozenset[str]) -> list[Node]:
    """Nodes in which a match that holds `anchor` may end, the farthest first."""
    passable = inside | ALGEBRA
    found: dict[Node, None] = {}
    level = [anchor]
    seen = {anchor}
    for _ in range(REACH):
        if anchor.op in roots and anchor not in found and level == [anchor]:
            found[anchor] = None
        following: list[Node] = []
        for node in level:
            for value in node.outputs:
                for use in value.uses:
                    reader = use.node
                    if reader in seen or (reader.op not in passable and reader.op not in roots):
                        continue
                    seen.add(reader)
                    following.append(reader)
                    if reader.op in roots:
                        found[reader] = None
        level = following
        if not level:
            break
    return list(reversed(found))


def undo(applications: Sequence[Application]) -> None:
    """Undo rewrites, given in the order in which they were made."""
    for application in reversed(applications):
        application.change.undo()
