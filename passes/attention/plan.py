"""How a site becomes one operator: its tensors at their sources, and the axes they get."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import frexp

from graphwright.ir.graph import Node, Value
from graphwright.passes.attention.bodies import Weighing, may_weigh, of_softmax, weighings
from graphwright.passes.attention.factors import Factor, Unprovable, View, all_leaves
from graphwright.passes.attention.formula import Formula, Term, formula, precision_of
from graphwright.passes.attention.layout import Laid, nearest_source
from graphwright.passes.attention.roles import Roles, roles
from graphwright.passes.attention.search import Site, contracts, sites
from graphwright.passes.rule import NoMatch, need

CONTRACTIONS = frozenset({"MatMul", "Einsum", "Gemm", "com.microsoft::FusedMatMul"})
BEHIND = frozenset(
    {"Cast", "Identity", "Dropout", "Where", "Mul", "Slice"}
    | {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten"}
)  # what may stand between a softmax and the values
LOOK = 16


@dataclass(frozen=True)
class Plan:
    """A site with what it reads, brought back to where that comes from.

    `late` says that the product is scaled, where rounding would tell it from scaled queries.
    """

    site: Site
    roles: Roles
    formula: Formula
    precision: str
    q: Laid
    k: Laid
    v: Laid
    batch: list[list[Factor]]
    late: bool

    def operands(self) -> Iterator[Value]:
        """All that the operator will be made of."""
        yield from (each.value for each in (self.q, self.k, self.v))
        yield from (term.value for term in self.formula.terms)


def plan(site: Site) -> Plan:
    """How a site becomes one operator. Raises NoMatch with the reason."""
    found = roles(site)
    q = nearest_source(site.q.operand, site.q.laid, scales=True)
    k = nearest_source(site.k.operand, site.k.laid, scales=True)
    v = nearest_source(site.v.operand, site.v.laid)
    read = formula(site, site.scale * q.scale * k.scale)
    need(read.left is None, read.left or "")
    _to_sources(read)
    for head in found.heads:
        there = all(head in all_leaves(laid.view) for laid in (k, v))
        need(there, "keys and values have different heads")
    views = [q.view, k.view, v.view, *(term.view for term in read.terms)]
    batch = _grouped(found.batch, views)
    late = _is_exact(q.scale * k.scale) and not _is_exact(read.scale)
    return Plan(site, found, read, precision_of(site), q, k, v, batch, late)


def _is_exact(scale: float) -> bool:
    """Whether a product with the number rounds nothing, as with a power of 2."""
    return frexp(abs(scale))[0] in (0.0, 0.5)


def _to_sources(found: Formula) -> None:
    def back(term: Term) -> Term:
        if term.wide is not None:
            return term
        laid = nearest_source(term.value, term.view)
        return Term(laid.value, laid.view, term.factor)

    found.factors = [(back(term), divides) for term, divides in found.factors]
    found.masks = [(back(term), keeps) for term, keeps in found.masks]
    found.biases = [back(term) for term in found.biases]
    found.weights = [back(term) for term in found.weights]
    found.sink = found.sink and back(found.sink)


def _grouped(batch: tuple[Factor, ...], views: list[View]) -> list[list[Factor]]:
    """Neighbours that the same tensors have make one axis; at least one axis."""
    held = [all_leaves(view) for view in views]
    groups: list[list[Factor]] = []
    last: tuple[bool, ...] | None = None
    for factor in batch:
        who = tuple(factor in leaves for leaves in held)
        if who == last:
            groups[-1].append(factor)
        else:
            groups.append([factor])
        last = who
    return groups or [[]]


def plans(node: Node) -> Iterator[tuple[Plan | str, list[Value]]]:
    """Every reading of what a product gives as an attention; in words where one has no plan."""
    fits = False
    for site in softmax_sites(node):
        reading = _reading(site)
        fits = fits or isinstance(reading[0], Plan)
        yield reading
    if not fits:
        yield from map(_reading, computed_sites(node))


def unlike_softmax(node: Node) -> Iterator[Site]:
    """The attentions that a product is the last of, whose weights softmax alone does not make."""
    if not any(_is_read(site) for site in softmax_sites(node)):
        yield from filter(_is_read, computed_sites(node))


def _is_read(site: Site) -> bool:
    try:
        formula(site, site.scale)
    except Unprovable:
        return False
    return True


def softmax_sites(node: Node) -> Iterator[Site]:
    """The attentions that a product is the last of, of weights that a softmax made."""
    return _sites(node, (of_softmax(softmax) for softmax in _softmaxes(node)))


def computed_sites(node: Node) -> Iterator[Site]:
    """The attentions that a product is the last of, of weights that are made otherwise.

    Their keys and values are computed: else two linear layers with anything between were one.
    """
    for site in _sites(node, weighings(node)):
        fixed = (_is_fixed(seen.value) for seen in (site.k, site.v))
        if not any(fixed) and not site.weighing.is_softmax:
            yield site


def _is_fixed(value: Value) -> bool:
    """Whether it is made of constants alone, such as a weight that is stored in 8 bits."""
    work, seen = [value], set[Value]()
    while work and len(seen) < LOOK:
        at = work.pop()
        seen.add(at)
        if at.const is None and at.producer is None:
            return False
        if at.const is None and at.producer is not None:
            work += [v for v in at.producer.operands() if v is not None and v not in seen]
    return not work


def _sites(node: Node, ways: Iterable[Weighing]) -> Iterator[Site]:
    try:
        for way in ways:
            yield from (site for site in _found(way) if site.values is node)
    except Unprovable:
        return


def _found(way: Weighing) -> Iterator[Site]:
    try:
        yield from sites(way)
    except Unprovable:
        return


def _reading(site: Site) -> tuple[Plan | str, list[Value]]:
    try:
        found = plan(site)
    except NoMatch as reason:
        return str(reason), [v for v in site.values.inputs if v is not None]
    return found, list(found.operands())


def has_weights(node: Node) -> bool:
    """Whether a product may read the weights of an attention."""
    if node.op not in CONTRACTIONS or contracts(node) is None:
        return False
    return bool(_softmaxes(node)) or may_weigh(node)


def _softmaxes(node: Node) -> list[Node]:
    """The softmaxes whose weights a contraction may read."""
    found: list[Node] = []
    for operand in node.inputs[:2]:
        at = None if operand is None else operand.producer
        for _ in range(LOOK):
            if at is None or at.op == "Softmax" or at.op not in BEHIND:
                break
            at = _data(at)
        if at is not None and at.op == "Softmax" and at not in found:
            found.append(at)
    return found


def _data(node: Node) -> Node | None:
    """What makes the weights that a node between softmax and values passes on."""
    if node.op == "Mul":
        made = [v.producer for v in node.inputs if v is not None and v.producer is not None]
        return next((n for n in made if n.op in BEHIND or n.op == "Softmax"), None)
    operand = node.inputs[2 if node.op == "Where" else 0]
    return None if operand is None else operand.producer
