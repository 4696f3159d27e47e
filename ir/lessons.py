"""Lists of sizes that are equal if an operator runs at all, as its inputs' shapes have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeAlias

from graphwright.ir.dims import Dim, Least, Sym, at_least, atoms_in, least, only_atom, product
from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import contents_of
from graphwright.ir.types import TensorType

ALIKE = frozenset(
    {"Clip", "Cast", "Identity", "Not", "IsNaN", "IsInf", "Neg", "Abs", "Sign", "Relu", "Dropout"}
    | {"Exp", "Log", "Sqrt", "Erf", "Tanh", "Sigmoid", "Reciprocal", "Sin", "Cos", "Elu"}
    | {"Softmax", "LogSoftmax", "CumSum", "Trilu", "ScatterND", "ScatterElements"}
    | {"RotaryEmbedding", "Gelu", "HardSwish", "HardSigmoid", "LeakyRelu", "Softplus", "Swish"}
    | {"com.microsoft::RotaryEmbedding"}
)
"""Operators whose output has the shape of the first input."""

POINTWISE = frozenset(
    {"Add", "Sub", "Mul", "Div", "Pow", "Mod", "Max", "Min", "Sum", "Mean", "And", "Or", "Xor"}
    | {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Where"}
)
"""Operators whose inputs broadcast."""

Shape = tuple[Dim, ...]
Lesson: TypeAlias = "Sequence[Dim]"


def taught(node: Node) -> Iterable[Lesson]:
    """The sizes that `node` proves to be equal."""
    teach = LESSONS.get(node.op)
    return () if teach is None else teach(node)


def shape(value: Value | None) -> Shape | None:
    """The shape of a tensor of known rank."""
    return value.type.shape if value is not None and isinstance(value.type, TensorType) else None


def known_shapes(node: Node) -> list[Shape]:
    """The shapes of the inputs that have one."""
    return [found for value in node.inputs if (found := shape(value)) is not None]


def aligned(shapes: Sequence[Shape]) -> Iterator[list[Dim]]:
    """The sizes that meet on each axis where `shapes` broadcast."""
    for axis in range(1, max(map(len, shapes), default=0) + 1):
        yield [s[-axis] for s in shapes if len(s) >= axis]


def multiplied(node: Node) -> Iterable[Lesson]:
    """The axes that a MatMul sums over, and its batches where none can be 1."""
    a, b = (shape(value) for value in node.inputs[:2])
    attrs = node.attrs
    if not a or not b or attrs.get("transBatchA") or attrs.get("transBatchB"):
        return ()
    left = a[-2] if attrs.get("transA") and len(a) > 1 else a[-1]
    right = b[-2] if len(b) > 1 and not attrs.get("transB") else b[-1]
    return (left, right), *_many([a[:-2], b[:-2]])


def _gemm(node: Node) -> Iterator[Lesson]:
    a, b = (shape(value) for value in node.inputs[:2])
    if a is not None and b is not None and len(a) == len(b) == 2:
        left, right = a[not node.attrs["transA"]], b[bool(node.attrs["transB"])]
        yield left, right


def _linear(node: Node) -> Iterator[Lesson]:
    x, w = (shape(value) for value in node.inputs[:2])
    if x and w is not None and len(w) == 2:
        yield x[-1], w[bool(node.attrs.get("transposed"))]


def _many(shapes: Sequence[Shape]) -> Iterable[Lesson]:
    """Where shapes broadcast, the sizes that are surely 2 or more: they are not 1, so equal."""
    for dims in shapes:
        for dim in dims:
            if isinstance(dim, Sym) and len(dim.terms) > 1:  # any other may be 0
                return [[d for d in met if at_least(d) > 1] for met in aligned(shapes)]
    return ()


def _pointwise(node: Node) -> Iterable[Lesson]:
    shapes = known_shapes(node)
    alike = shapes.count(shapes[0]) == len(shapes) if shapes else True
    if alike or not any(map(_is_formula, chain(*shapes))):
        return ()
    return (*_many(shapes), *_reached(shapes))


def _is_formula(dim: Dim) -> bool:
    """Whether a size is more than a number, a name or a product of names."""
    if isinstance(dim, int):
        return False
    ((first, *_), _), *others = dim.terms
    return bool(others) or not isinstance(first, str)


def _reached(shapes: Sequence[Shape]) -> Iterator[Lesson]:
    """`min(S, 64)` that meets S is S: were it not, it would be 64, and neither would be 1.

    Then no size that is not more than S is cut off at 64 either.
    """
    for dims in aligned(shapes):
        for cut in map(only_atom, dims):
            if isinstance(cut, Least) and cut.bound > 1 and cut.dim in dims:
                atoms = (a for s in shapes for d in s for a in atoms_in(d))
                for each in [a for a in atoms if isinstance(a, Least) and a.bound >= cut.bound]:
                    if at_least(cut.dim - each.dim) >= 0:
                        yield least(each.dim, each.bound), each.dim


def _einsum(node: Node) -> Iterator[Lesson]:
    """Sizes under one letter broadcast, in ONNX Runtime and in NumPy; they need not be equal."""
    terms = str(node.attrs.get("equation")).replace(" ", "").partition("->")[0].split(",")
    found: dict[str, list[Dim]] = {}
    for term, value in zip(terms, node.inputs, strict=False):
        dims = shape(value)
        if dims is not None and "." not in term and len(term) == len(dims):
            for letter, dim in zip(term, dims, strict=True):
                found.setdefault(letter, []).append(dim)
    for dims_ in found.values():
        yield [dim for dim in dims_ if at_least(dim) > 1]


def joined(node: Node) -> Iterator[Lesson]:
    """The axes that a Concat does not join, of inputs that all have one rank."""
    # Of many inputs of one shape, as often, one says it all.
    shapes, axis = list(dict.fromkeys(known_shapes(node))), node.attrs.get("axis")
    ranks = {len(s) for s in shapes}
    if len(ranks) == 1 and isinstance(axis, int) and (rank := ranks.pop()):
        for i in set(range(rank)) - {axis % rank}:
            yield [s[i] for s in shapes]


def _split(node: Node) -> Iterator[Lesson]:
    """The axis that is cut is as long as its parts."""
    whole, axis, parts = shape(node.inputs[0]), node.attrs.get("axis"), node.attrs.get("split")
    if whole and isinstance(axis, int) and isinstance(parts, tuple):
        sizes = [part for part in parts if isinstance(part, int)]
        if len(sizes) == len(parts):
            yield whole[axis], sum(sizes)


def _reshape(node: Node) -> Iterator[Lesson]:
    """The elements are as many as before, if no size asked for may mean another: 0 copies one."""
    given, wanted = shape(node.inputs[0]), contents_of(node.inputs[1])
    if given is None or not isinstance(wanted, tuple):
        return
    least = 0 if node.attrs.get("allowzero") else 1
    result = shape(node.outputs[0])
    if all(at_least(dim) >= least for dim in wanted):
        yield product(given), product(wanted)
    elif result is not None and _only_one_open(given, wanted, result):
        yield product(given), product(result)


def _only_one_open(given: Shape, wanted: Sequence[Dim], result: Shape) -> bool:
    """Whether one size is -1, or was computed, and the others are numbers above 0.

    If what was computed comes to 0, it copies: of so many elements as the other sizes do not allow,
    unless there are none, which 0 says too.
    """
    open_ = [i for i, dim in enumerate(wanted) if dim == -1 or isinstance(dim, Sym)]
    if len(open_) != 1:
        return False
    at = open_[0]
    before, after = (product(dims[:at] + dims[at + 1 :]) for dims in (given, result))
    if not isinstance(after, int) or after < 1:
        return False
    one_meaning = at < len(given) and isinstance(before, int) and before > 0 and before != after
    return wanted[at] == -1 or one_meaning


def attended(node: Node) -> Iterator[Lesson]:
    """What is said of the inputs of Attention: as many keys as values, one width, and one batch.

    ONNX's says the last; the batches of ours broadcast.
    """
    q, k, v = (shape(value) for value in node.inputs[:3])
    if q is None or k is None or v is None or not len(q) == len(k) == len(v) > 2:
        return
    yield k[-2], v[-2]
    if node.op == "Attention":
        yield q[-1], k[-1]
        yield from _many([q[:-3], k[:-3], v[:-3]])
        return
    yield q[0], k[0], v[0]
    if len(q) == 4:
        yield k[1], v[1]
        yield q[-1], k[-1]


def alike(node: Node) -> Iterable[Lesson]:
    """The axes of the first input and of the output, where that has its shape."""
    given, result = shape(node.inputs[0]), shape(node.outputs[0])
    if given is None or result is None or len(given) != len(result) or given == result:
        return ()
    return zip(given, result, strict=True)


LESSONS: dict[str, Callable[[Node], Iterable[Lesson]]] = {
    **dict.fromkeys(ALIKE, alike),
    **dict.fromkeys(POINTWISE, _pointwise),
    **dict.fromkeys(("MatMul", "MatMulInteger", "com.microsoft::FusedMatMul"), multiplied),
    "Gemm": _gemm,
    "Linear": _linear,
    "Einsum": _einsum,
    "Concat": joined,
    "Split": _split,
    "Reshape": _reshape,
    **dict.fromkeys(("Attention", "Attention@23", "Attention@24"), attended),
}
