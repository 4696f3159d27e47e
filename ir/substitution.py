"""Sizes with other sizes, or numbers, in place of their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphwright.ir.dims import Atom, Dim, Floor, Joint, Least, atoms_of, joint, least, sym
from graphwright.ir.errors import ModelError


def evaluate(dim: Dim, sizes: Mapping[str, int]) -> int:
    """The number `dim` is when each name has the size given; KeyError for a name without."""
    number = substitute(dim, {name: sizes[name] for name in atoms_of(dim)})
    assert isinstance(number, int)
    return number


def substitute(dim: Dim, sizes: Mapping[Any, Dim]) -> Dim:
    """`dim` with the names, or whole atoms, in `sizes` replaced by what they map to."""
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for atoms, n in dim.terms:
        factor: Dim = n
        for atom in atoms:
            known = sizes.get(atom)
            factor = factor * (_substituted(atom, sizes) if known is None else known)
        total = total + factor
    return total


def _substituted(atom: Atom, sizes: Mapping[Any, Dim]) -> Dim:
    match atom:
        case Floor(dim, by):
            divisor = substitute(by, sizes)
            if divisor == 0:
                raise ModelError(f"{atom}: a size is divided by 0")
            return substitute(dim, sizes) // divisor
        case Least(dim, bound):
            return least(substitute(dim, sizes), bound)
        case Joint(a, b):
            return joint(substitute(a, sizes), substitute(b, sizes))
        case str():
            return sym(atom)
