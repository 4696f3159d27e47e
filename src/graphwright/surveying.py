"""The attentions of a model as rows of a table, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from graphwright.backends.onnx.reference import evaluate64
from graphwright.ir.cut import cut
from graphwright.ir.dims import Dim
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.normalizers import BODY
from graphwright.ir.renaming import one_name_each
from graphwright.ir.text import show
from graphwright.native_rows import ADDED, Fields, mask_of, native_fields
from graphwright.passes.attention.factors import Factor, View, leaves
from graphwright.passes.attention.formula import Formula, Term
from graphwright.passes.attention.raise_attention import raise_attention
from graphwright.passes.attention.roles import Roles, count
from graphwright.passes.attention.search import Site
from graphwright.passes.attention.steps import REGROUPING
from graphwright.passes.attention.survey import Found, NotFound, survey
from graphwright.passes.hiding import HIDDEN, most_negative
from graphwright.passes.rule import Budget, NoMatch
from graphwright.verification.feeds import make_feeds

SCHEMA = 1
LAYOUT = REGROUPING | {"Transpose", "Expand", "Cast"}


@dataclass(frozen=True)
class Row:
    """One attention: where it is, and what it computes. What is not known is None.

    `heads` are those of the queries, `groups` how many share one of keys and values; sizes known
    only at run time are written as formulas. `causal` and `window` were read off the mask as it
    comes out where nothing is padded. `dead_rows` says what a row without any key gives, and `left`
    why the attention is left as it is written, where it is. `normalizer` is what makes weights of
    scores where that is not softmax.
    """

    id: str
    path: str
    form: str
    heads: int | str | None = None
    groups: int | str | None = None
    head_width: int | str | None = None
    value_width: int | str | None = None
    scale: float | None = None
    mask: str | None = None
    causal: bool | None = None
    window: int | None = None
    cap: float | None = None
    bias: bool | None = None
    sinks: bool | None = None
    cache: bool | None = None
    dead_rows: str | None = None
    left: str | None = None
    normalizer: str | None = None


@dataclass(frozen=True)
class Missed:
    """A softmax that is no attention, or one that was not followed, and why."""

    id: str
    path: str
    why: str


@dataclass(frozen=True)
class Attentions:
    """Every attention of a model, those that were missed, and the softmaxes that are none."""

    found: tuple[Row, ...]
    missed: tuple[Missed, ...]
    other_softmax: tuple[Missed, ...]

    def as_json(self) -> dict[str, Any]:
        """The table as plain data, in a form that only grows."""
        return {"schema": SCHEMA, **asdict(self)}


def attentions(graph: Graph, budget: Budget) -> Attentions:
    """The attentions of a graph; best asked of one that the default rules have simplified.

    `budget` is what rules may know of the graph, to tell what would be raised.
    """
    with one_name_each(graph):
        seen = survey(graph)
        feed = _unpadded(graph)
        rows = [
            replace(_row(f"attention-{i}", found, graph, feed), **_raised(found, budget))
            for i, found in enumerate(seen.found)
        ]
    return Attentions(tuple(rows), _others("missed", seen.missed), _others("softmax", seen.other))


def _raised(found: Found, budget: Budget) -> Fields:
    """What makes the weights of an attention, and why it would not become one operator."""
    if found.site is None:
        return _normalizer(found.node)
    if _is_bare(found.site):
        why = "no maximum is taken off before its exponential, so that large scores give NaN"
        return {"left": why}
    try:
        _, _, builder = raise_attention.at(found.site.values.outputs[0], budget)
    except NoMatch as reason:
        return {"left": str(reason)}
    made = next((node for node in builder.made if node.op == "Attention"), found.node)
    said = _normalizer(made)
    builder.discard()
    return said


def _normalizer(node: Node) -> Fields:
    body = node.bodies.get(BODY)
    if body is None:
        return {}
    return {"normalizer": "; ".join(line.strip() for line in show(body).splitlines()[1:])}


def _is_bare(site: Site) -> bool:
    """Whether the softmax stands in the model as exponentials that nothing keeps from overflow."""
    return any("fuse-bare-softmax" in n.origin.rules for n in site.weighing.nodes)


def _others(kind: str, found: Sequence[NotFound]) -> tuple[Missed, ...]:
    return tuple(Missed(f"{kind}-{i}", _path(f.node), f.why) for i, f in enumerate(found))


def _path(node: Node) -> str:
    return ", ".join(node.origin.sources) or node.name or node.op


def _row(id_: str, found: Found, graph: Graph, feed: Mapping[str, Any] | None) -> Row:
    site, roles, done = found.site, found.roles, found.formula
    if site is None or roles is None or done is None:
        return _native(id_, found.node, graph, feed)
    added = [(term, most_negative(term.value)) for term in done.biases]
    hiding = [term for term, low in added if low is not None]
    masks = [term for term, _ in done.masks] + hiding
    causal, window = _pattern(masks, roles, graph, feed)
    return Row(
        id_,
        _path(found.node),
        "written out",
        _size(count(roles.heads) * count(roles.groups)),
        _size(count(roles.groups)),
        _size(count(roles.width)),
        _size(count(roles.value_width)),
        None if done.factors else done.scale,
        " and ".join(["additive"] * bool(hiding) + ["boolean"] * bool(done.masks)) or "none",
        causal,
        window,
        done.cap or None,
        len(hiding) < len(added),
        done.sink is not None,
        _is_cached(site, graph),
        _dead_rows(done, site, [low for _, low in added if low is not None]),
    )


def _native(id_: str, node: Node, graph: Graph, feed: Mapping[str, Any] | None) -> Row:
    fields, mask = native_fields(node), mask_of(node)
    if node.op == "Attention":
        fields["cache"] = _joins(_before_layout(node.inputs[1]), graph)
    if mask is not None and not fields.get("causal"):
        seen = None if feed is None else _computed(mask, graph, feed)
        fields["causal"] = fields["window"] = None
        if seen is not None and seen.ndim > 1 and min(seen.shape[-2:]) > 1:
            seen = seen if seen.dtype == bool else seen > HIDDEN
            pattern = _triangle(seen.reshape(-1, *seen.shape[-2:])[0])
            fields["causal"], fields["window"] = pattern
    return Row(id_, _path(node), node.op, **fields)


def _size(dim: Dim) -> int | str:
    return dim if isinstance(dim, int) else str(dim)


def _dead_rows(done: Formula, site: Site, added: Sequence[float]) -> str | None:
    if not done.masks and not added:
        return None
    fillers = [*added, *([done.filler] if done.masks else [])]
    if -np.inf not in fillers and not _is_bare(site):  # of a bare row 0 is divided by 0
        return ADDED  # also under a guard, which sees no NaN there
    return "zero" if done.guard else "NaN"


def _is_cached(site: Site, graph: Graph) -> bool:
    """Whether keys join a tensor that the model was given with those that it made."""
    node = site.k.value.producer
    if node is None or not _joins(site.k.value, graph):
        return False
    axis = node.attrs["axis"]
    along = site.k.view[axis] if isinstance(axis, int) else []
    return bool(set(leaves(along)) & set(site.key))


def _joins(value: Value | None, graph: Graph) -> bool:
    """Whether a value joins a tensor that the model was given with another."""
    node = None if value is None else value.producer
    return node is not None and node.op == "Concat" and any(v in graph.inputs for v in node.inputs)


def _before_layout(value: Value | None) -> Value | None:
    """What stands before the operators that give a value another layout."""
    while value is not None and value.producer is not None and value.producer.op in LAYOUT:
        value = value.producer.inputs[0]
    return value


def _unpadded(graph: Graph) -> Mapping[str, Any] | None:
    try:
        feeds = make_feeds(graph)
    except ModelError:
        return None
    plain = [f for f in feeds if "no padding" in f.about] or feeds
    return max(plain, key=lambda f: sum(np.size(array) for array in f.values()), default=None)


def _pattern(
    masks: Sequence[Term], roles: Roles, graph: Graph, feed: Mapping[str, Any] | None
) -> tuple[bool | None, int | None]:
    """Whether the masks hide what comes later, and the width of the window that they leave."""
    if not masks:
        return False, None
    if not roles.queries or feed is None:
        return None, None
    seen: Any = np.bool_(True)
    for mask in masks:
        array = _computed(mask.value, graph, feed)
        first = None if array is None else _first(array, mask.view, roles)
        if first is None:
            return None, None
        seen = seen & (first if first.dtype == bool else first > HIDDEN)
    return (None, None) if min(seen.shape) < 2 else _triangle(seen)


def _first(array: Any, view: View, roles: Roles) -> Any:
    """The mask of the first batch, head and group: a row for each query, a column for each key.

    Either is 1 where the mask has no such axis. None where other factors stand behind them.
    """
    wanted = (roles.queries, roles.keys)
    axes = [_axis_of(view, each) for each in wanted]
    kept = [axis for axis in axes if axis is not None]
    if len(set(kept)) < len(kept):
        return None
    for axis, factors in zip(axes, wanted, strict=True):
        if axis is not None:
            before = _before(view[axis], factors)
            if not isinstance(before, int) or not before:
                return None
            array = array.take(range(array.shape[axis] // before), axis)
    others = [axis for axis in range(array.ndim) if axis not in kept]
    moved = array.transpose(*others, *kept)[(0,) * len(others)]
    return moved.reshape([1 if axis is None else array.shape[axis] for axis in axes])


def _axis_of(view: View, factors: tuple[Factor, ...]) -> int | None:
    found = (axis for axis, each in enumerate(view) if set(leaves(each)) & set(factors))
    return next(found, None)


def _before(axis: list[Factor], factors: tuple[Factor, ...]) -> Dim | None:
    """How often `factors` are repeated in an axis by what stands before them; None if not so."""
    found = leaves(axis)
    front = len(found) - len(factors)
    return count(tuple(found[:front])) if tuple(found[front:]) == factors else None


def _triangle(seen: np.ndarray[Any, Any]) -> tuple[bool, int | None]:
    queries, keys = seen.shape
    behind = np.arange(queries)[:, None] + keys - queries - np.arange(keys)[None, :]
    causal = bool(seen.any()) and not seen[behind < 0].any()
    widest = int(behind[seen].max(initial=0)) + 1
    whole = bool(seen[(behind >= 0) & (behind < widest)].all())
    return causal, widest if causal and whole and widest < min(queries, keys) else None


def _computed(value: Value, graph: Graph, feed: Mapping[str, Any]) -> Any:
    part = cut([value], graph.inputs)
    given = {v.name: feed[w.name] for v, w in zip(part.inputs, graph.inputs, strict=True)}
    try:
        return evaluate64(part, [given])[0][0]
    except ModelError:
        return None
