"""Where two models begin to differ: values inside them, paired by the nodes they come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graphwright.ir.cut import cut
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.types import TensorType
from graphwright.verification.feeds import Feed
from graphwright.verification.metrics import Distance, measure
from graphwright.verification.runs import Evaluate
from graphwright.verification.verify import runnable

AT_ONCE = 200


@dataclass(frozen=True)
class Step:
    """How far apart a pair of values inside two models is; `source` names the node in the original.

    `rules` are those that made the node of the new model.
    """

    source: str
    op: str
    rules: tuple[str, ...]
    distance: Distance


def drift(
    before: Graph,
    after: Graph,
    evaluate: Evaluate,
    feed: Feed | None = None,
    seed: int = 0,
) -> list[Step]:
    """The distance of each pair of values that stand for the same thing, in the original's order.

    Without a `feed` one is made. Raises ModelError when a model does not run.
    """
    if feed is None:
        feeds = runnable(before, evaluate, seed)
        if not feeds:
            raise ModelError("the original runs on none of the inputs made for it")
        feed = feeds[0]
    pairs = list(paired(before, after))
    steps: list[Step] = []
    for at in range(0, len(pairs), AT_ONCE):
        some = pairs[at : at + AT_ONCE]
        was = evaluate(exposed(before, [a for a, _ in some]), [feed])[0]
        now = evaluate(exposed(after, [b for _, b in some]), [feed])[0]
        steps += [_step(*pair, measure(x, y)) for pair, x, y in zip(some, was, now, strict=True)]
    return steps


def begins(steps: Sequence[Step], relative: float = 1e-5) -> Step | None:
    """The first step that is farther apart than `relative`, or has NaN on one side only."""
    far = (s for s in steps if s.distance.relative > relative or s.distance.nan_mismatch)
    return next(far, None)


def _step(was: Value, now: Value, distance: Distance) -> Step:
    old, new = was.producer, now.producer
    assert old is not None
    assert new is not None
    return Step(_source(old), old.op, new.origin.rules, distance)


def _source(node: Node) -> str:
    return node.name or next(iter(node.origin.sources), node.op)


def paired(before: Graph, after: Graph) -> Iterator[tuple[Value, Value]]:
    """Tensors of both graphs that stand for the same one, in the order of `before`.

    A node that was made of several stands for the last of them: the one that the others feed.
    """
    ends = dict(_ends(after))
    sources = {s: key for key in ends for s in key}
    for key, value in _own(before, sources):
        other = ends[key]
        if _alike(value, other):
            yield value, other


def _ends(graph: Graph) -> Iterator[tuple[tuple[str, ...], Value]]:
    """For each set of sources the value that leaves the nodes made of them, if there is one."""
    groups: dict[tuple[str, ...], list[Node]] = {}
    for node in graph.nodes():
        if node.origin.sources:
            groups.setdefault(node.origin.sources, []).append(node)
    for sources, nodes in groups.items():
        end = _end(nodes)
        if end is not None:
            yield sources, end


def _own(
    before: Graph, sources: dict[str, tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], Value]]:
    groups: dict[tuple[str, ...], list[Node]] = {}
    for node in before.nodes():
        own = node.origin.sources
        key = sources.get(own[0]) if own else None
        if key is not None and set(own) <= set(key):
            groups.setdefault(key, []).append(node)
    for key, nodes in groups.items():
        end = _end(nodes)
        if end is not None:
            yield key, end


def _end(nodes: list[Node]) -> Value | None:
    """The one first output of `nodes` that is read by others, or None where there are several."""
    inside = set(nodes)
    left = [n for n in nodes if any(use.node not in inside for v in n.outputs for use in v.uses)]
    return left[0].outputs[0] if len(left) == 1 and left[0].outputs[0].uses else None


def _alike(one: Value, other: Value) -> bool:
    a, b = one.type, other.type
    if not isinstance(a, TensorType) or not isinstance(b, TensorType):
        return False
    return a.dtype == b.dtype and (a.rank == b.rank or None in (a.rank, b.rank))


def exposed(graph: Graph, values: Sequence[Value]) -> Graph:
    """A copy of `graph` that gives `values` and nothing else."""
    copy = cut(values, graph.inputs)
    for value, original in zip(copy.inputs, graph.inputs, strict=True):
        value.name = original.name
    copy.header, copy.functions = graph.header, graph.functions
    given = dict(zip(graph.inputs, copy.inputs, strict=True))
    copy.defaults = {given[value]: const for value, const in graph.defaults.items()}
    return copy
