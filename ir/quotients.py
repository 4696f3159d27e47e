"""Quotients of sizes that are sizes."""

from __future__ import annotations

from graphwright.ir.dims import Atom, Dim, Floor, Sym, atoms_in, terms_of
from graphwright.ir.errors import TooLarge


def exact_quotient(dim: Dim, by: Dim) -> Dim | None:
    """`dim / by` where that is surely a whole size, else None."""
    if dim == by:
        return 1 if by != 0 else None
    if by == 0:
        return None
    try:
        return _divided(dim, by)
    except TooLarge:
        return None


def quotient(dim: Dim, by: Dim) -> Dim:
    """`dim // by` as a formula where it is surely a whole size, else as a size of its own."""
    exact = exact_quotient(dim, by)
    return dim // by if exact is None else exact


def needed(dim: Dim) -> frozenset[str]:
    """The names that have to be known to compute `dim`.

    A quotient by a size counts as a name of its own, which nothing has: that size may be 0, where
    no node may divide by it that did not before.
    """
    found: set[str] = set()
    for atom in atoms_in(dim):
        if isinstance(atom, str) or (isinstance(atom, Floor) and isinstance(atom.by, Sym)):
            found.add(str(atom))
    return frozenset(found)


def _divided(dim: Dim, by: Dim) -> Dim | None:
    lead, divisor = terms_of(by)[0]
    quotient: Dim = 0
    rest = dim
    while rest != 0:  # long division: each step takes the leading term away
        atoms, n = terms_of(rest)[0]
        left = _without(atoms, lead)
        if left is None or n % divisor:
            return None
        term: Dim = Sym(((left, n // divisor),)) if left else n // divisor
        quotient, rest = quotient + term, rest - by * term
    return quotient


def _without(atoms: tuple[Atom, ...], gone: tuple[Atom, ...]) -> tuple[Atom, ...] | None:
    left = list(atoms)
    for atom in gone:
        if atom not in left:
            return None
        left.remove(atom)
    return tuple(left)
