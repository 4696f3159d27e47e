"""Which sizes the operators of a graph force to be equal, whatever they are called."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from graphwright.ir.dims import Dim, Sym, atoms_of, product, sym
from graphwright.ir.errors import TooLarge
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.quotients import exact_quotient
from graphwright.ir.substitution import substitute
from graphwright.ir.types import TensorType

BROADCAST = frozenset(
    {"Add", "Sub", "Mul", "Div", "Pow", "Mod", "Max", "Min", "Sum", "Mean", "And", "Or", "Xor"}
    | {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Where", "PRelu", "Expand"}
    | {"LayerNormalization", "RMSNormalization"}
)
ALIKE = frozenset(
    {"Clip", "Cast", "Identity", "Not", "IsNaN", "IsInf", "Neg", "Abs", "Sign", "Relu", "Dropout"}
    | {"Exp", "Log", "Sqrt", "Erf", "Tanh", "Sigmoid", "Reciprocal", "Sin", "Cos", "Elu"}
    | {"Softmax", "LogSoftmax", "CumSum", "Trilu", "ScatterND", "ScatterElements"}
    | {"RotaryEmbedding", "Gelu", "HardSwish", "HardSigmoid", "LeakyRelu", "Softplus", "Swish"}
)
"""The output has the shape of the first input."""

Shape = tuple[Dim, ...]


class Equalities:
    """What names of sizes stand for, in terms of other names."""

    def __init__(self) -> None:
        self.meanings: dict[str, Dim] = {}

    def resolve(self, dim: Dim) -> Dim:
        """`dim` with every name replaced by what it stands for; equal if the operators say so."""
        while isinstance(dim, Sym) and (known := atoms_of(dim) & self.meanings.keys()):
            try:
                dim = substitute(dim, {name: self.meanings[name] for name in known})
            except TooLarge:
                break
        return dim

    def join(self, dims: Sequence[Dim]) -> None:
        """Note that all of `dims` are equal, as far as that tells what a name stands for."""
        for other in dims[1:]:
            with suppress(TooLarge):
                self._equate(self.resolve(dims[0]), self.resolve(other))

    def _equate(self, one: Dim, other: Dim) -> None:
        difference = one - other
        if not isinstance(difference, Sym):
            return
        pure = [name for name in (_name(one), _name(other)) if name is not None]
        for name in dict.fromkeys([*pure, *sorted(atoms_of(difference))]):
            meaning = _solved(difference, name) or _divided(one, other, name)
            if meaning is not None and name not in atoms_of(meaning):
                self.meanings[name] = meaning
                return


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


def equalities(graph: Graph) -> Equalities:
    """What the nodes of `graph` say of the sizes of its values."""
    found = Equalities()
    for node in graph.nodes():
        _learn(node, found)
    return found


def _name(dim: Dim) -> str | None:
    names = atoms_of(dim) if isinstance(dim, Sym) else set()
    return next((name for name in names if dim == sym(name)), None)


def _learn(node: Node, found: Equalities) -> None:
    op = node.op.partition("@")[0]
    shapes = [shape for v in node.inputs if (shape := _shape(v)) is not None]
    result = _shape(node.outputs[0])
    if op in BROADCAST:
        given = shapes[:1] if op == "Expand" else shapes
        _aligned([*given, *([] if result is None else [result])], found)
    elif op in ALIKE and result is not None and shapes and len(shapes[0]) == len(result):
        _pairwise(shapes[0], result, found)
    elif op == "MatMul" and len(shapes) == 2:
        _matmul(shapes[0], shapes[1], result, found)
    elif op == "Concat":
        _concat([*shapes, *([] if result is None else [result])], node.attrs.get("axis"), found)
    elif op == "Reshape" and shapes and result is not None:
        _reshape(shapes[0], result, found)
    elif op == "Attention" and len(shapes) >= 3:
        _attention(shapes, found)


def _shape(value: Value | None) -> Shape | None:
    return value.type.shape if value is not None and isinstance(value.type, TensorType) else None


def _pairwise(one: Sequence[Dim], other: Sequence[Dim], found: Equalities) -> None:
    for pair in zip(one, other, strict=True):
        found.join(pair)


def _aligned(shapes: Sequence[Sequence[Dim]], found: Equalities) -> None:
    """Sizes that broadcast are equal, unless they are 1."""
    for axis in range(1, max(map(len, shapes), default=0) + 1):
        found.join([s[-axis] for s in shapes if len(s) >= axis and s[-axis] != 1])


def _matmul(a: Shape, b: Shape, result: Shape | None, found: Equalities) -> None:
    if len(a) < 2 or len(b) < 2:
        return
    found.join([a[-1], b[-2]])
    _aligned([a[:-2], b[:-2], *([] if result is None else [result[:-2]])], found)
    if result is not None:
        _pairwise(result[-2:], (a[-2], b[-1]), found)


def _concat(shapes: Sequence[Shape], axis: object, found: Equalities) -> None:
    ranks = {len(shape) for shape in shapes}
    if len(ranks) == 1 and isinstance(axis, int):
        rank = ranks.pop()
        for i in set(range(rank)) - {axis % rank if rank else 0}:
            found.join([shape[i] for shape in shapes])


def _reshape(given: Shape, result: Shape, found: Equalities) -> None:
    """Where the numbers account for each other, the open sizes stay as they are, in order."""
    open_ = [[d for d in shape if not isinstance(d, int)] for shape in (given, result)]
    known = [product(d for d in shape if isinstance(d, int)) for shape in (given, result)]
    if known[0] == known[1] and len(open_[0]) == len(open_[1]):
        _pairwise(open_[0], open_[1], found)


def _attention(shapes: Sequence[Shape], found: Equalities) -> None:
    q, k, v = shapes[:3]
    if not len(q) == len(k) == len(v):
        return
    found.join([q[0], k[0], v[0]])
    found.join([k[-2], v[-2]])
    if len(q) == 4:
        found.join([k[1], v[1]])
        found.join([q[-1], k[-1]])
    if len(shapes) == 4 and len(shapes[3]) >= 2:
        _aligned([shapes[3][-2:], (q[-2], k[-2])], found)
