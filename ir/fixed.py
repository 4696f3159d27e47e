"""A graph for inputs of given shapes, or with other sizes in the place of some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphwright.ir.clone import clone
from graphwright.ir.dims import Dim, Sym
from graphwright.ir.equalities import named
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, Contents, Graph, Node, Value
from graphwright.ir.ops import constant
from graphwright.ir.retype import retype
from graphwright.ir.substitution import substitute
from graphwright.ir.types import INTS, OptionalType, SequenceType, TensorType, Type

Sizes = Mapping[str, Dim]


def with_shapes(graph: Graph, shapes: Mapping[str, Sequence[int]]) -> Graph:
    """A copy of `graph` whose inputs have `shapes`, by name; what it computes of sizes is constant.

    Raises ModelError for an input that is not there, and for shapes that do not fit.
    """
    fixed = clone(graph)
    inputs = {value.name: value for value in fixed.inputs}
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        if name not in inputs:
            listed = ", ".join(f"'{known}'" for known in inputs)
            raise ModelError(f"there is no input '{name}' to give a shape to; there are {listed}")
        inputs[name].type = _shaped(inputs[name], tuple(shape), sizes)
    resize(fixed, sizes)
    retype(fixed.reachable())
    for part in fixed.parts():
        for node in part.nodes():
            _settle(part, node)
    return fixed


def resize(graph: Graph, sizes: Sizes) -> None:
    """Put other sizes, or numbers, in the place of those named, in all that a graph says of them.

    What its nodes compute stays what it is, of inputs of the new shapes.
    """
    for part in graph.parts():
        part.source = None  # what a file said of the graph, it said of other sizes
        for value in part.inputs:
            _fix(value, sizes)
        for node in part.reachable():
            if node.op == "Sizes":
                node.attrs = {**node.attrs, "dims": _attr(node.attrs["dims"], sizes)}
            for value in node.outputs:
                _fix(value, sizes)


def _shaped(value: Value, shape: tuple[int, ...], sizes: dict[str, int]) -> TensorType:
    """The type of an input of that shape, whose sizes are noted by their names."""
    said = f"the input '{value.name}' cannot have the shape {'x'.join(map(str, shape)) or '()'}"
    if not isinstance(value.type, TensorType):
        raise ModelError(f"the input '{value.name}' is no tensor, so it has no shape to fix")
    dims = shape if value.type.shape is None else value.type.shape
    if len(dims) != len(shape):
        raise ModelError(f"{said}: it has {len(dims)} axes")
    for dim, size in zip(dims, shape, strict=True):
        name = named(dim)
        if isinstance(dim, int) and dim != size:
            raise ModelError(f"{said}: a {size} stands where the model has {dim}")
        if name is not None and sizes.setdefault(name, size) != size:
            raise ModelError(f"{said}: the size '{name}' is {sizes[name]} elsewhere")
    return TensorType(value.type.dtype, shape)


def _fix(value: Value, sizes: Sizes) -> None:
    value.type = _type(value.type, sizes)
    if value.contents is not None:
        value.contents = _contents(value.contents, sizes)


def _type(type_: Type, sizes: Sizes) -> Type:
    match type_:
        case TensorType(dtype, tuple(dims)):
            return TensorType(dtype, tuple([substitute(dim, sizes) for dim in dims]))
        case SequenceType(element):
            return SequenceType(_type(element, sizes))
        case OptionalType(element):
            return OptionalType(_type(element, sizes))
    return type_


def _contents(contents: Contents, sizes: Sizes) -> Contents:
    if isinstance(contents, tuple):
        return tuple([substitute(dim, sizes) for dim in contents])
    return substitute(contents, sizes)


def _attr(attr: Attr, sizes: Sizes) -> Attr:
    if isinstance(attr, tuple):
        return tuple([substitute(d, sizes) if isinstance(d, Sym) else d for d in attr])
    return substitute(attr, sizes) if isinstance(attr, Sym) else attr


def _settle(part: Graph, node: Node) -> None:
    """Put a constant in the place of what holds sizes that are all numbers now."""
    if not node.outputs:
        return
    value, type_ = node.outputs[0], node.outputs[0].type
    found = value.contents
    if found is None or not value.uses or not isinstance(type_, TensorType):
        return
    numbers: object = list(found) if isinstance(found, tuple) else found
    known = all(isinstance(dim, int) for dim in (found if isinstance(found, tuple) else (found,)))
    if known and type_.dtype in INTS:
        made = constant(numbers, type_.dtype)
        if type_.admits(made.type):
            part.replace(value, made)
