"""Sizes that are equal whatever they are called, and what the operators of a graph prove of them.

Proved is what holds whenever the operators run at all, as ONNX defines them: a MatMul checks the
axis that it sums over, a Concat those that it does not join. Where two sizes broadcast nothing is
proved, since one may be 1, unless both are surely larger. Sizes may be 0, so that `S*T == S*U` says
nothing of `T`. What a file declares of its outputs proves nothing, as no runtime holds it to that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from math import gcd

from graphwright.ir.dims import Atom, Dim, Sym, at_least, atoms_in, atoms_of, sym
from graphwright.ir.errors import ModelError, TooLarge
from graphwright.ir.graph import Node
from graphwright.ir.lessons import taught
from graphwright.ir.substitution import substitute

DEEP = 16  # steps in which one size leads to what it stands for
Solve = Callable[[Dim, Dim], "tuple[Atom, Dim] | None"]


class Equalities:
    """What sizes stand for, in terms of others.

    `solve` says of two that are equal what an atom of them stands for, if it can.
    """

    def __init__(self, solve: Solve) -> None:
        self.solve = solve
        self.meanings: dict[Atom, Dim] = {}

    def resolve(self, dim: Dim) -> Dim:
        """`dim` with all that stands for something else replaced by that."""
        for _ in range(DEEP):
            if not isinstance(dim, Sym) or not any(a in self.meanings for a in atoms_in(dim)):
                break
            try:
                before, dim = dim, substitute(dim, self.meanings)
            except ModelError:  # too large, or it would divide by 0
                break
            if dim == before:
                break
        return dim

    def join(self, dims: Sequence[Dim]) -> None:
        """Note that all of `dims` are equal, as far as that tells what an atom stands for."""
        for other in dims[1:]:
            if other == dims[0]:
                continue
            with suppress(ModelError):
                found = self.solve(self.resolve(dims[0]), self.resolve(other))
                if found is not None:
                    self.meanings[found[0]] = found[1]


def proofs(readable: Collection[str]) -> Equalities:
    """Nothing known yet; of what is proved, sizes called by a name in `readable` are kept.

    Of two of those the one that comes first is kept.
    """
    order = {name: i for i, name in enumerate(readable)}
    return Equalities(lambda one, other: _proved(one, other, order))


def learn(nodes: Iterable[Node], known: Equalities) -> None:
    """Note what nodes prove that surely run; those of bodies may not."""
    for node in nodes:
        try:
            for dims in taught(node):
                known.join(dims)
        except TooLarge:  # what is no formula to compute with proves nothing
            continue


def _proved(one: Dim, other: Dim, order: dict[str, int]) -> tuple[Atom, Dim] | None:
    """What an atom is that stands in the difference as often as all of that can be divided by."""
    difference = one - other
    if not isinstance(difference, Sym):
        return None
    shared = gcd(*(n for _, n in difference.terms))
    found: list[tuple[tuple[int, int, str], Atom, Dim]] = []
    for atoms, n in difference.terms:
        if len(atoms) == 1 and abs(n) == shared:
            meaning = _left(difference, atoms, n)
            if _may_stand(atoms[0], meaning, order):
                found.append((_rank(atoms[0], order), atoms[0], meaning))
    if not found:
        return None
    _, atom, meaning = max(found, key=lambda each: each[0])
    return atom, meaning


def _left(difference: Sym, atoms: tuple[Atom, ...], n: int) -> Dim:
    """What the product of `atoms` is, which stands `n` times in what comes to 0."""
    left: Dim = 0
    for others, m in difference.terms:
        if others != atoms:
            left = left + (Sym(((others, -m // n),)) if others else -m // n)
    return left


def _may_stand(atom: Atom, meaning: Dim, order: dict[str, int]) -> bool:
    """Whether `meaning` is a size for sure, of others, and is read where `atom` is.

    Of `atom` itself it may speak where that changes nothing: a size may be twice its half.
    """
    if at_least(meaning) < 0:
        return False
    if atom in atoms_in(meaning) and substitute(meaning, {atom: meaning}) != meaning:
        return False
    return atom not in order or all(name in order for name in atoms_of(meaning))


def _rank(atom: Atom, order: dict[str, int]) -> tuple[int, int, str]:
    """How gladly an atom is given up: the most open names, then formulas, inputs' names last."""
    if not isinstance(atom, str):
        return 1, 0, str(Sym((((atom,), 1),)))
    if atom in order:
        return 0, order[atom], atom
    return 3 if atom.startswith("_") else 2, 0, atom


def named(dim: Dim) -> str | None:
    """The name that `dim` is, if it is nothing more."""
    names = atoms_of(dim) if isinstance(dim, Sym) else set()
    return next((name for name in names if dim == sym(name)), None)
