"""Every softmax of a graph: the attentions among them, and why the others are none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphwright.ir.graph import Graph, Node, Value
from graphwright.passes.attention.bodies import of_softmax
from graphwright.passes.attention.factors import Unprovable
from graphwright.passes.attention.formula import Formula, formula
from graphwright.passes.attention.plan import has_weights, unlike_softmax
from graphwright.passes.attention.roles import Roles, roles
from graphwright.passes.attention.search import (
    POINTWISE,
    Path,
    Site,
    axis_views,
    contracts,
    keys_side,
    score_paths,
    sites,
    value_paths,
)
from graphwright.passes.attention.steps import REGROUPING, STEPS

NATIVE = frozenset(
    {
        "Attention",
        "com.microsoft::Attention",
        "com.microsoft::MultiHeadAttention",
        "com.microsoft::GroupQueryAttention",
    }
)


def is_native(op: str) -> bool:
    """Whether an operator is an attention: the IR's own, ONNX Runtime's, or ONNX's of any opset."""
    return op.partition("@")[0] in NATIVE


LOOK = 48  # nodes looked at around a softmax that no site was found at
PASSED = REGROUPING | {"Identity", "Cast", "Transpose", "Where", "Mul", "Slice"}


@dataclass(frozen=True)
class Found:
    """An attention: written out, with what each factor is for and is done, or as one operator."""

    node: Node
    site: Site | None = None
    roles: Roles | None = None
    formula: Formula | None = None


@dataclass(frozen=True)
class NotFound:
    """A softmax that is no attention, or one that could not be followed, and why."""

    node: Node
    why: str


@dataclass(frozen=True)
class Survey:
    """What became of every softmax, and of every operator that is an attention already."""

    found: tuple[Found, ...]
    missed: tuple[NotFound, ...]
    other: tuple[NotFound, ...]


def survey(graph: Graph) -> Survey:
    """The attentions of a graph and its bodies."""
    found: list[Found] = []
    missed: list[NotFound] = []
    other: list[NotFound] = []
    otherwise = dict(_otherwise(graph))
    inside = {part for site in otherwise.values() for part in site.weighing.nodes}
    for _, node in _walk(graph):
        if node in otherwise:
            _note(node, otherwise[node], found, other)
        elif node in inside:
            continue
        elif node.op.partition(":")[0] in ("Softmax",) or node.op.startswith("Softmax@"):
            _sort(node, found, missed, other)
        elif is_native(node.op):
            found.append(Found(node))
    return Survey(tuple(found), tuple(missed), tuple(other))


def _walk(graph: Graph) -> Iterator[tuple[Graph, Node]]:
    """Every node, but those in normalizers, which are parts of an attention."""
    raised = (node for node in graph.everything() if node.op == "Attention")
    parts = {body for node in raised for body in node.bodies.values()}
    return ((part, node) for part, node in graph.walk() if part not in parts)


def _otherwise(graph: Graph) -> Iterator[tuple[Node, Site]]:
    """Attentions whose weights are not made by softmax alone, by the node that gives them."""
    for _, node in _walk(graph):
        if has_weights(node):
            site = next(unlike_softmax(node), None)
            if site is not None:
                yield site.weighing.nodes[-1], site


def _sort(node: Node, found: list[Found], missed: list[NotFound], other: list[NotFound]) -> None:
    why, is_attention = "", True
    try:
        site = next(sites(of_softmax(node)), None)
        if site is None:
            why, is_attention = _why_not(node)
    except Unprovable as problem:
        site, why = None, str(problem)
    if site is None:
        (missed if is_attention else other).append(NotFound(node, why))
        return
    _note(node, site, found, other)


def _note(node: Node, site: Site, found: list[Found], other: list[NotFound]) -> None:
    try:
        read = formula(site, site.scale * site.q.scale * site.k.scale)
        found.append(Found(node, site, roles(site), read))
    except Unprovable as problem:
        other.append(NotFound(node, str(problem)))


def _why_not(softmax: Node) -> tuple[str, bool]:
    """Why no site was found at a softmax, and whether it may be an attention all the same."""
    view, key = axis_views(of_softmax(softmax))
    scores = softmax.inputs[0]
    assert scores is not None
    back, stop = _scores_behind(scores)
    readers = _values_beyond(softmax.outputs[0])
    if not back:
        return f"what it normalizes is made by {_op(stop)}, not of queries and keys", False
    if not readers:
        return f"its weights are read by {_readers(softmax)}, and multiply no values", False
    if next(score_paths(Path(scores, view, key)), None) is None:
        return f"its sizes are not proved to be those of '{_label(back[0])}'", True
    if not list(value_paths(softmax.outputs[0], view)):
        return f"its sizes are not proved to be those of '{_label(readers[0])}'", True
    if any(keys_side(node, path) for node, path in score_paths(Path(scores, view, key))):
        return f"its keys are not proved to be what '{_label(readers[0])}' sums over", True
    return "it does not normalize over keys: their axis is in both factors, or in neither", False


def _scores_behind(value: Value) -> tuple[list[Node], Node | None]:
    """Contractions that a tensor is made of as scores would be, and where the walk stopped."""
    work, seen, found = [value.producer], set[Node](), list[Node]()
    stop = value.producer
    while work and len(seen) < LOOK:
        node = work.pop(0)
        if node is None or node in seen:
            continue
        seen.add(node)
        if contracts(node):
            found.append(node)
        elif node.op in POINTWISE or node.op in STEPS:
            work += [v.producer for v in node.inputs if v is not None]
        else:
            stop = node
    return found, stop


def _values_beyond(value: Value) -> list[Node]:
    """Contractions that read a tensor as weights would be read."""
    work, seen, found = [use.node for use in value.uses], set[Node](), list[Node]()
    while work and len(seen) < LOOK:
        node = work.pop(0)
        if node in seen:
            continue
        seen.add(node)
        if contracts(node):
            found.append(node)
        elif node.op in PASSED:
            work += [use.node for out in node.outputs for use in out.uses]
    return found


def _label(node: Node) -> str:
    return node.name or node.op


def _op(node: Node | None) -> str:
    return "an input" if node is None else node.op


def _readers(node: Node) -> str:
    reading = (use.node.op for use in node.outputs[0].uses)
    ops = dict.fromkeys("an output" if op == "return" else op for op in reading)
    return " and ".join(ops) or "nothing"
