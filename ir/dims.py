"""Sizes: integers, or polynomials over sizes that are known only at run time.

A polynomial has one normal form, so that `B*S == S*B` and `(2*S + 4) // 2 == S + 2`; two sizes that
compare equal are equal, and two that do not may still be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import gcd
from typing import TypeAlias

from graphwright.ir.errors import TooLarge

Dim: TypeAlias = "int | Sym"
Atom: TypeAlias = "str | Floor | Least | Joint"
Term: TypeAlias = "tuple[tuple[Atom, ...], int]"
DEGREE = 8  # factors that a product in a size has
LIMIT = 256  # that the weight of a size has
NESTED = 4  # that an atom which holds sizes weighs beside them


@dataclass(frozen=True)
class Floor:
    """A quotient that is not known to be exact: `dim // by`, one atom of a polynomial."""

    dim: Dim
    by: Dim

    def __str__(self) -> str:
        return _written_atom(self, str)


@dataclass(frozen=True)
class Least:
    """The smaller of a size and a number, as where a slice ends."""

    dim: Sym
    bound: int

    def __str__(self) -> str:
        return _written_atom(self, str)


@dataclass(frozen=True)
class Joint:
    """The size of an axis where two meet that are equal, or of which one is 1."""

    a: Sym
    b: Sym

    def __str__(self) -> str:
        return _written_atom(self, str)


@dataclass(frozen=True)
class Sym:
    """A size unknown until run time: a sum of products of atoms, `2*B*S + 1`.

    Raises TooLarge for one that would take long to compute with, or that no tensor can have.
    """

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        wide = any(len(atoms) > DEGREE or abs(n) >= 1 << 63 for atoms, n in self.terms)
        if wide or self.weight > LIMIT:
            raise TooLarge("a size is too large a formula to compute with")

    @property
    def weight(self) -> int:
        """How much has to be looked at to know what it is."""
        return sum(
            [1 if isinstance(a, str) else _weight(a) for atoms, _ in self.terms for a in atoms]
        )

    def __add__(self, other: Dim) -> Dim:
        return _normal([*self.terms, *terms_of(other)])

    def __sub__(self, other: Dim) -> Dim:
        return _normal([*self.terms, *((atoms, -n) for atoms, n in terms_of(other))])

    def __rsub__(self, other: int) -> Dim:
        return -self + other

    def __neg__(self) -> Dim:
        return self * -1

    def __mul__(self, other: Dim) -> Dim:
        return _normal(
            (tuple(sorted(a + b, key=_rank)), m * n)
            for a, m in self.terms
            for b, n in terms_of(other)
        )

    def __floordiv__(self, by: Dim) -> Dim:
        """Rounded down; what divides is taken out: `(2*S + T + 3) // 2 == S + (T+1)//2 + 1`."""
        if isinstance(by, Sym):
            return _named_quotient(self, by)
        if by <= 0:
            raise ValueError(f"{self} // {by}: sizes are divided by positive numbers only")
        whole = _normal((a, n // by) for a, n in self.terms if n % by == 0 or not a)
        rest = _normal((a, n if a else n % by) for a, n in self.terms if n % by)
        return whole + _named_quotient(rest, by) if isinstance(rest, Sym) else whole

    def __rfloordiv__(self, dim: int) -> Dim:
        return _named_quotient(dim, self)

    __radd__, __rmul__ = __add__, __mul__

    @property
    def nonnegative(self) -> bool:
        """Whether it is surely 0 or more, since every size is and no term is subtracted."""
        return all(
            n >= 0 and all(isinstance(a, str) or _parts_nonnegative(a) for a in atoms)
            for atoms, n in self.terms
        )

    def __str__(self) -> str:
        return written(self)

    __repr__ = __str__


def sym(name: str) -> Sym:
    """The size called `name`."""
    return Sym((((name,), 1),))


def written(dim: Dim, name: Callable[[str], str] = str) -> str:
    """`dim` as a formula; `name` says how each name in it is written."""
    if isinstance(dim, int):
        return str(dim)
    parts = [_written_term(atoms, n, name) for atoms, n in dim.terms]
    return parts[0] + "".join(p if p.startswith("-") else f"+{p}" for p in parts[1:])


def _written_term(atoms: tuple[Atom, ...], n: int, name: Callable[[str], str]) -> str:
    factors = [name(a) if isinstance(a, str) else _written_atom(a, name) for a in atoms]
    if abs(n) != 1 or not atoms:
        factors.insert(0, str(abs(n)))
    if len(factors) > 1 or n < 0:
        factors = [f"({f})" if "//" in f else f for f in factors]
    return "-" * (n < 0) + "*".join(factors)


def _written_atom(atom: Floor | Least | Joint, name: Callable[[str], str]) -> str:
    match atom:
        case Least(dim, bound):
            return f"min({written(dim, name)}, {bound})"
        case Joint(a, b):
            return f"joint({written(a, name)}, {written(b, name)})"
        case Floor():
            return _written_floor(atom, name)


def _written_floor(floor: Floor, name: Callable[[str], str]) -> str:
    dim, by = (
        written(d, name) if _is_plain(d) else f"({written(d, name)})" for d in (floor.dim, floor.by)
    )
    return f"{dim}//{by}"


def _is_plain(dim: Dim) -> bool:
    return isinstance(dim, int) or isinstance(only_atom(dim), str)


def product(dims: Iterable[Dim]) -> Dim:
    """The product of sizes; 1 of none."""
    number = 1
    rest: Dim | None = None
    for dim in dims:
        if isinstance(dim, int):
            number *= dim
        else:
            rest = dim if rest is None else rest * dim
    return number if rest is None else rest if number == 1 else rest * number


def atoms_of(dim: Dim) -> set[str]:
    """The names that `dim` depends on."""
    return {atom for atom in atoms_in(dim) if isinstance(atom, str)}


def atoms_in(dim: Dim) -> Iterator[Atom]:
    """The atoms of a size, and those that they are made of."""
    for atoms, _ in dim.terms if isinstance(dim, Sym) else ():
        for atom in atoms:
            yield atom
            if not isinstance(atom, str):
                for part in parts_of(atom):
                    yield from atoms_in(part)


def is_open(dim: Dim) -> bool:
    """Whether `dim` depends on a size that the model does not name: those begin with `_`."""
    return isinstance(dim, Sym) and any(name.startswith("_") for name in atoms_of(dim))


def parts_of(atom: Floor | Least | Joint) -> tuple[Dim, ...]:
    """The sizes that an atom is made of."""
    match atom:
        case Joint(a, b):
            return a, b
        case Floor(dim, by):
            return dim, by
        case Least(dim):
            return (dim,)


def least(dim: Dim, bound: int) -> Dim:
    """The smaller of a size and a number."""
    if isinstance(dim, int):
        return min(dim, bound)
    if isinstance(atom := only_atom(dim), Least):
        return least(atom.dim, min(atom.bound, bound))
    if 0 <= bound <= at_least(dim):
        return bound
    return Sym((((Least(dim, bound),), 1),))


def joint(a: Dim, b: Dim) -> Dim:
    """The size of an axis where `a` and `b` meet: they are equal, or one of them is 1.

    One that is 2 or more is it: the other is equal or 1. `S` beside `min(S, 64)` is `S`: were they
    not equal, the latter would be 64.
    """
    if a == b or b == 1:
        return a
    if a == 1 or (isinstance(b, int) and not isinstance(a, int)):
        return b
    if isinstance(a, int) or isinstance(b, int):
        return a
    for one, other in ((a, b), (b, a)):
        atom = only_atom(one)
        if isinstance(atom, Least) and atom.dim == other and atom.bound > 1:
            return other
        if (isinstance(atom, Joint) and other in (atom.a, atom.b)) or at_least(one) > 1:
            return one
    first, second = sorted((a, b), key=str)
    return Sym((((Joint(first, second),), 1),))


def at_least(dim: Dim) -> int:
    """A number that `dim` is surely not below, since sizes are 0 or more; -1 for none known."""
    if isinstance(dim, int):
        return dim
    if not dim.nonnegative:
        return -1
    return sum(n for atoms, n in dim.terms if not atoms)


def only_atom(dim: Dim) -> Atom | None:
    """The atom that a size is, if it is nothing more."""
    ((atoms, n), *others) = terms_of(dim)
    return atoms[0] if not others and n == 1 and len(atoms) == 1 else None


def _named_quotient(dim: Dim, by: Dim) -> Dim:
    """One atom; numbers that divide both are taken out, so that two spellings are the same."""
    if dim == by or dim == 0:
        return 1 if dim == by else 0
    common = gcd(*(n for _, n in (*terms_of(dim), *terms_of(by))))
    whole, part = (_normal((atoms, n // common) for atoms, n in terms_of(d)) for d in (dim, by))
    return whole if part == 1 else Sym((((Floor(whole, part),), 1),))


def _weight(atom: Floor | Least | Joint) -> int:
    return NESTED + sum([1 if isinstance(d, int) else d.weight for d in parts_of(atom)])


def _parts_nonnegative(atom: Floor | Least | Joint) -> bool:
    sizes = [d >= 0 if isinstance(d, int) else d.nonnegative for d in parts_of(atom)]
    return all(sizes) and not (isinstance(atom, Least) and atom.bound < 0)


def terms_of(dim: Dim) -> tuple[Term, ...]:
    """The terms of a size; a number is one without names."""
    return dim.terms if isinstance(dim, Sym) else (((), dim),)


def _rank(atom: Atom) -> tuple[bool, str]:
    return (False, atom) if isinstance(atom, str) else (True, _written_atom(atom, repr))


def _normal(terms: Iterable[Term]) -> Dim:
    total: dict[tuple[Atom, ...], int] = {}
    for atoms, n in terms:
        total[atoms] = total.get(atoms, 0) + n
    kept = [term for term in total.items() if term[1]]
    if not kept:
        return 0
    if len(kept) == 1 and not kept[0][0]:
        return kept[0][1]
    if len(kept) > 1:
        kept.sort(key=lambda t: (-len(t[0]), *map(_rank, t[0])))
    return Sym(tuple(kept))
