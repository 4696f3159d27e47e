"""What each factor of an attention is: batch, head, group, query, key or width."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphwright.ir.dims import Dim, product
from graphwright.ir.graph import Value
from graphwright.passes.attention.contractions import contraction
from graphwright.passes.attention.factors import Factor, Unprovable, View, all_leaves, leaves
from graphwright.passes.attention.search import Site, step_forward
from graphwright.passes.attention.steps import shape, step_back

FORWARD = 16


@dataclass(frozen=True)
class Roles:
    """The factors of an attention by what they are for."""

    batch: tuple[Factor, ...]
    heads: tuple[Factor, ...]  # heads of keys and values
    groups: tuple[Factor, ...]  # query heads that share one of those
    queries: tuple[Factor, ...]
    keys: tuple[Factor, ...]
    width: tuple[Factor, ...]
    value_width: tuple[Factor, ...]


def count(factors: tuple[Factor, ...]) -> Dim:
    """The product of the sizes."""
    return product(f.size for f in factors)


def roles(site: Site) -> Roles:
    """The roles of all factors, from the tensors that they live in.

    Raises Unprovable for what is no attention: keys that a query's own position chooses.
    """
    seen = [f for axis in site.probabilities for f in leaves(axis) if f.segment is None]
    q, k, v = (all_leaves(s.view) for s in (site.q, site.k, site.v))
    keys = set(site.key)
    inner = [f for f in seen if f not in keys]
    if any(f in q and f in v and f not in k for f in inner):
        raise Unprovable("the values depend on the query, and the keys do not")
    width = tuple(f for f in _ordered(site.q.view) if f in k and f not in seen)
    # Beside sinks the keys are a part of an axis of the weights, and not among its factors.
    beside_keys = [f for f in _ordered(site.v.view) if f not in seen and f not in keys]
    value_width = tuple(f for f in beside_keys if f.index is None)
    if not keys <= k or not keys <= v or not width:
        raise Unprovable("keys or widths are missing from what they should be part of")
    head_like = _beside_width(site, set(inner), set(width), set(value_width))
    shared = [f for f in inner if f in k or f in v]
    if not head_like and len(shared) > 1:
        head_like = {shared[-1]}  # nothing tells them apart: heads stand behind batches
    alone = [f for f in inner if f not in k and f not in v]
    return Roles(
        tuple(f for f in shared if f not in head_like),
        tuple(f for f in shared if f in head_like),
        tuple(f for f in alone if f in head_like),
        tuple(f for f in alone if f not in head_like),
        site.key,
        width,
        value_width,
    )


def _ordered(view: View) -> list[Factor]:
    return [f for axis in view for f in leaves(axis)]


def _beside_width(
    site: Site, inner: set[Factor], width: set[Factor], value_width: set[Factor]
) -> set[Factor]:
    """The factors that stand in one axis with the width somewhere: the heads.

    The first evidence that shows any counts: the result on its way on, then q, k and v.
    """
    for views, wide in (
        (_onward(site), value_width),
        (_backward(site.q.value, site.q.view), width),
        (_backward(site.k.value, site.k.view), width),
        (_backward(site.v.value, site.v.view), value_width),
    ):
        for view in views:
            found = {f for axis in view if wide & set(leaves(axis)) for f in leaves(axis)} & inner
            if found:
                return found
    return set()


def _onward(site: Site) -> Iterator[View]:
    """The views of the result, as it is reshaped on its way on."""
    work = [(site.values.outputs[0], site.result)]
    for _ in range(FORWARD):
        if not work:
            return
        value, view = work.pop()
        yield view
        for use in value.uses:
            try:
                moved = step_forward(use.node, use.index, value, view)
            except Unprovable:
                continue
            if moved is not None:
                work.append((use.node.outputs[0], moved))


def _backward(value: Value, view: View) -> Iterator[View]:
    """The views of a tensor and of what it is made of, element by element or by rotation."""
    yield view
    for _ in range(FORWARD):
        node = value.producer
        if node is None or contraction(node) is not None:
            return
        try:
            value, view = step_back(value, view)
        except Unprovable:
            same = [v for v in node.inputs if v is not None and _alike(v, value)]
            if not same:
                return
            value = same[0]
        yield view


def _alike(value: Value, other: Value) -> bool:
    try:
        return value.const is None and shape(value) == shape(other)
    except Unprovable:
        return False
