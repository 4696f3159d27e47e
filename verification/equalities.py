"""Which sizes the operators of a graph want to be equal, whatever they are called.

Generous beside what `ir/equalities.py` takes for proved: these are guesses to make inputs from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphwright.ir.dims import Atom, Dim, Sym, atoms_of, product, sym
from graphwright.ir.equalities import Equalities, named
from graphwright.ir.graph import Graph, Node
from graphwright.ir.lessons import (
    ALIKE,
    POINTWISE,
    Lesson,
    Shape,
    aligned,
    alike,
    attended,
    joined,
    known_shapes,
    shape,
)
from graphwright.ir.quotients import exact_quotient
from graphwright.ir.substitution import substitute

BROADCAST = POINTWISE | {"PRelu", "Expand", "LayerNormalization", "RMSNormalization"}


def equalities(graph: Graph) -> Equalities:
    """What the nodes of `graph` say of the sizes of its values; a name stands for a formula."""
    found = Equalities(_wanted)
    for node in graph.nodes():
        for dims in _lessons(node):
            found.join(dims)
    return found


def _wanted(one: Dim, other: Dim) -> tuple[Atom, Dim] | None:
    """A name, and what it has to be for two sizes to be equal."""
    difference = one - other
    if not isinstance(difference, Sym):
        return None
    pure = [name for name in (named(one), named(other)) if name is not None]
    for name in dict.fromkeys([*pure, *sorted(atoms_of(difference))]):
        meaning = _solved(difference, name) or _divided(one, other, name)
        if meaning is not None and name not in atoms_of(meaning):
            return name, meaning
    return None


def _solved(difference: Dim, name: str) -> Dim | None:
    """What `name` is when `difference`, which holds it times a number, is 0."""
    slope = substitute(difference, {name: 1}) - substitute(difference, {name: 0})
    if not isinstance(slope, int) or not slope:
        return None
    return exact_quotient(substitute(difference, {name: 0}) * -1, slope)


def _divided(one: Dim, other: Dim, name: str) -> Dim | None:
    """What `name` is when `one` and `other` are equal products that share their other factors."""
    for dim, by in ((one, other), (other, one)):
        factor = exact_quotient(dim, sym(name))
        quotient = None if factor is None or factor == 1 else exact_quotient(by, factor)
        if quotient is not None:
            return quotient
    return None


def _lessons(node: Node) -> Iterator[Lesson]:
    op = node.op.partition("@")[0]
    shapes, result = known_shapes(node), shape(node.outputs[0])
    results = [] if result is None else [result]
    if op in BROADCAST:
        given = shapes[:1] if op == "Expand" else shapes
        yield from _meeting([*given, *results])
    elif op in ALIKE:
        yield from alike(node)
    elif op == "MatMul" and len(shapes) == 2:
        yield from _multiplied(shapes[0], shapes[1], result)
    elif op == "Concat":
        yield from joined(node)
    elif op == "Reshape" and shapes and result is not None:
        yield from _reshaped(shapes[0], result)
    elif op == "Attention" and len(shapes) >= 3:
        yield from attended(node)
        yield from _meeting([each[:-3] for each in shapes[:3]])
        if len(shapes) == 4 and len(shapes[3]) >= 2:
            yield from _meeting([shapes[3][-2:], (shapes[0][-2], shapes[1][-2])])


def _meeting(shapes: Sequence[Shape]) -> Iterator[Lesson]:
    """Sizes that broadcast are equal, unless they are 1."""
    for dims in aligned(shapes):
        yield [dim for dim in dims if dim != 1]


def _multiplied(a: Shape, b: Shape, result: Shape | None) -> Iterator[Lesson]:
    if len(a) < 2 or len(b) < 2:
        return
    yield a[-1], b[-2]
    yield from _meeting([a[:-2], b[:-2], *([] if result is None else [result[:-2]])])
    if result is not None:
        yield from zip(result[-2:], (a[-2], b[-1]), strict=True)


def _reshaped(given: Shape, result: Shape) -> Iterator[Lesson]:
    """Where the numbers account for each other, the open sizes stay as they are, in order."""
    open_ = [[d for d in dims if not isinstance(d, int)] for dims in (given, result)]
    known = [product(d for d in dims if isinstance(d, int)) for dims in (given, result)]
    if known[0] == known[1] and len(open_[0]) == len(open_[1]):
        yield from zip(open_[0], open_[1], strict=True)
