"""Sizes as formulas of the shapes that a module's inputs have when it runs."""

from __future__ import annotations

import operator
from typing import Any

import torch

from graphwright.ir.dims import Atom, Dim, Floor, Joint, Least, Sym, only_atom
from graphwright.ir.graph import Contents, Value
from graphwright.ir.types import TensorType


def larger(a: Any, b: Any) -> Any:
    """Of two sizes that are equal unless one is 1, the one that is not."""
    return b if isinstance(a, int) and a == 1 else a


def smaller(a: Any, b: int) -> Any:
    """The smaller of a size and a number, also while the size is a symbol."""
    return a if isinstance(a, int) and a <= b else b if isinstance(a, int) else torch.sym_min(a, b)


class Sizes:
    """Writes sizes into a graph of torch.fx, each once."""

    def __init__(self, sheet: Any) -> None:
        self.sheet = sheet
        self.places: dict[str, tuple[Any, int]] = {}
        self.found: dict[Dim, Any] = {}

    def learn(self, value: Value, node: Any) -> None:
        """Note which sizes can be read off an input."""
        if isinstance(value.type, TensorType):
            for axis, dim in enumerate(value.type.shape or ()):
                name = only_atom(dim)
                if isinstance(name, str):
                    self.places.setdefault(name, (node, axis))

    def written(self, contents: Contents) -> Any:
        """Sizes as numbers and nodes; None where one cannot be read off the inputs."""
        try:
            if isinstance(contents, tuple):
                return [self._dim(d) for d in contents]
            return self._dim(contents)
        except KeyError:
            return None

    def _dim(self, dim: Dim) -> Any:
        if isinstance(dim, int):
            return dim
        if dim not in self.found:
            self.found[dim] = self._sum(dim)
        return self.found[dim]

    def _sum(self, dim: Sym) -> Any:
        total: Any = None
        for atoms, n in dim.terms:
            term: Any = None
            for atom in atoms:
                factor = self._atom(atom)
                term = factor if term is None else self._call(operator.mul, term, factor)
            if term is None:
                term = n
            elif n != 1:
                term = self._call(operator.mul, term, n)
            total = term if total is None else self._call(operator.add, total, term)
        return total

    def _atom(self, atom: Atom) -> Any:
        match atom:
            case Floor(dim, by):
                return self._call(operator.floordiv, self._dim(dim), self._dim(by))
            case Least(dim, bound):
                return self._call(smaller, self._dim(dim), bound)
            case Joint(a, b):
                return self._call(larger, self._dim(a), self._dim(b))
        node, axis = self.places[atom]
        return self.sheet.call_method("size", (node, axis))

    def _call(self, function: Any, *args: Any) -> Any:
        return self.sheet.call_function(function, args)
