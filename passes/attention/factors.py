"""Axes as products of named factors, and the views of tensors that layout operators make of them.

A view says for each axis of a tensor which factors it is made of, the slowest first; an axis of
size 1 has none. Every layout operator turns the view of its output into that of its input. A factor
may be split in two; all views read through to its parts, so what one path finds out all know.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from graphwright.ir.dims import Dim, product
from graphwright.ir.quotients import exact_quotient
from graphwright.passes.rule import NoMatch


class Unprovable(NoMatch):
    """What a step cannot prove: the walk stops there, and nothing is guessed."""


@dataclass(eq=False, slots=True)
class Factor:
    """One factor of an axis, of `size`; `parts` once it was split, the slower part first.

    One part alone is a factor that this one was found to be equal to.

    `index` is set for one index into a factor that an operator chose: a block of packed heads, say.
    `segment` marks an axis that was put together from several tensors, which must not be split:
    where the one that was followed begins, and the factors of its axis.
    """

    size: Dim
    parts: tuple[Factor, ...] | None = None
    index: int | None = None
    segment: tuple[Dim, list[Factor]] | None = None


View: TypeAlias = "list[list[Factor]]"


def leaves(factors: Iterable[Factor]) -> list[Factor]:
    """The factors that are not split any further."""
    found: list[Factor] = []
    for factor in factors:
        found += leaves(factor.parts) if factor.parts else [factor]
    return found


def all_leaves(view: View) -> set[Factor]:
    """The factors of all axes."""
    return {leaf for axis in view for leaf in leaves(axis)}


def size(factors: Iterable[Factor]) -> Dim:
    """The size of an axis made of `factors`."""
    return product(f.size for f in factors)


def new_axis(dim: Dim) -> list[Factor]:
    """An axis of a size, of one new factor."""
    return [] if dim == 1 else [Factor(dim)]


def split(factor: Factor, slow: Dim, fast: Dim) -> None:
    """Split a factor in two, for every view that holds it."""
    if factor.segment is not None:
        raise Unprovable("an axis joined from several tensors would be split")
    if factor.index is None:
        factor.parts = (Factor(slow), Factor(fast))
        return
    if not isinstance(fast, int):
        raise Unprovable("one index into a block whose size is known only at run time")
    major, minor = divmod(factor.index, fast)
    factor.parts = (Factor(slow, index=major), Factor(fast, index=minor))


def join(one: Iterable[Factor], other: Iterable[Factor]) -> None:
    """Note that two axes are the same, factor by factor, as far as their cuts agree."""
    left, right = leaves(one), leaves(other)
    while left and right:
        a, b = left.pop(0), right.pop(0)
        if a is not b and not _meet(a, b):
            return
        # What was joined or split may stand in an axis twice.
        left, right = leaves([a, *left]), leaves([b, *right])
        while left and right and left[0] is right[0]:
            left, right = left[1:], right[1:]


def _meet(a: Factor, b: Factor) -> bool:
    """Make the beginning of the larger of two factors the smaller one, if that is known."""
    if a.size == b.size:
        b.parts = (a,)
        return True
    for large, small in ((a, b), (b, a)):
        rest = exact_quotient(large.size, small.size)
        if rest is not None:
            large.parts = (small, Factor(rest))
            return True
    return False


def regroup(factors: Iterable[Factor], dims: Sequence[Dim]) -> View:
    """The factors, in their order, cut into axes of the sizes `dims`.

    Raises Unprovable where a cut falls inside a factor that does not divide.
    """
    waiting = [f for f in leaves(factors) if f.size != 1]
    axes: View = []
    for dim in dims:
        axis: list[Factor] = []
        need = dim
        while need != 1:
            if not waiting:
                raise Unprovable(f"there is nothing left to make an axis of {dim} of")
            need = _take(waiting, axis, need)
        axes.append(axis)
    if waiting:
        raise Unprovable(f"an axis of {size(waiting)} is left over")
    return axes


def _take(waiting: list[Factor], axis: list[Factor], need: Dim) -> Dim:
    """Move the first factor, or as much of it as is needed, into `axis`; what is needed still."""
    first = waiting[0]
    rest = exact_quotient(need, first.size)
    if rest is None:
        inner = exact_quotient(first.size, need)
        if inner is None:
            raise Unprovable(f"{need} and {first.size} have no common cut")
        split(first, need, inner)
        assert first.parts is not None
        waiting[:1] = first.parts
        rest = 1
    axis.append(waiting.pop(0))
    return rest


def broadcast_view(view: View, result: Sequence[Dim], operand: Sequence[Dim]) -> View:
    """The view of an operand whose shape broadcasts to that of the result."""
    tail = view[len(view) - len(operand) :]
    wide = result[len(result) - len(operand) :]
    found: View = []
    for axis, have, want in zip(tail, operand, wide, strict=True):
        if have != want and have != 1:
            raise Unprovable(f"an axis of {have} meets one of {want}")
        found.append(list(axis) if have == want else [])
    return found
