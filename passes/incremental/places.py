"""Where the tokens stand in a tensor, and where in what it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from graphwright.ir.dims import Dim, product
from graphwright.ir.graph import Node
from graphwright.passes.attention.factors import Factor, Unprovable, View, leaves, regroup
from graphwright.passes.axes.table import working
from graphwright.passes.axes.working import Working
from graphwright.passes.rule import NoMatch, need


class Place(NamedTuple):
    """An axis of `before` times the tokens times `after` elements."""

    axis: int
    before: Dim = 1
    after: Dim = 1


class Way(NamedTuple):
    """How a node works token by token: `tokens` is their factor, `inputs` where each has it."""

    node: Node
    worked: Working
    tokens: Factor
    inputs: tuple[Place | None, ...]


def way(node: Node, index: int, place: Place, count: Dim) -> Way:
    """How `node` gives its result `index` token by token, of which there are `count` at `place`.

    Raises NoMatch where it does not.
    """
    worked = working(node)
    view = worked.outputs[index]
    if view is None:
        raise NoMatch("its shape is not known")
    try:
        tokens = _tokens(view[place.axis], place, count)
        how = worked.treatment().get(tokens)
        need(how is None, f"it {how.value if how else ''} the tokens")
        inputs = tuple(None if v is None else _place(v, tokens) for v in worked.inputs)
    except Unprovable as why:
        raise NoMatch(str(why)) from None
    return Way(node, worked, tokens, inputs)


def _tokens(axis: Sequence[Factor], place: Place, count: Dim) -> Factor:
    wanted = [place.before, count, place.after]
    found = leaves(regroup(axis, wanted)[1])
    if len(found) != 1:
        raise Unprovable("its tokens are several factors of an axis")
    return found[0]


def _place(view: View, tokens: Factor) -> Place | None:
    """Where a tensor has its tokens; None where it is the same for all of them."""
    for at, axis in enumerate(view):
        parts = leaves(axis)
        if tokens in parts:
            i = parts.index(tokens)
            before, after = (product(f.size for f in side) for side in (parts[:i], parts[i + 1 :]))
            return Place(at, before, after)
    return None
