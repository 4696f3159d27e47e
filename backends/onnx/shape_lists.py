"""Lists of sizes: numbers where they tell enough, else nodes that compute them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from graphwright.backends.onnx.draft import Draft
from graphwright.backends.onnx.tensors import list_of
from graphwright.ir.dims import Atom, Dim, Floor, Least, Sym, sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, Node, Value
from graphwright.ir.ops import node_of
from graphwright.ir.own_sizes import numbers_of
from graphwright.ir.types import TensorType

SizeOf: TypeAlias = "Callable[[Sym], Value | None]"


def write_sizes(dims: Attr, draft: Draft, splice: Callable[[Value, Draft], None]) -> Value:
    """Sizes as a value that the draft has; those that were asked for before are not made again."""
    known = draft.lists.get(dims)
    if known is None:
        known = draft.lists[dims] = _computed(dims, lambda dim: _size(dim, draft))
        splice(known, draft)
    return known


def is_computed(node: Node) -> bool:
    """Whether somebody reads the sizes that `node` gives who is not content with numbers."""
    return any(
        use.node.op != "Reshape" or use.index != 1 or reshape_list(use.node) is None
        for use in node.outputs[0].uses
    )


def _size(dim: Sym, draft: Draft) -> Value | None:
    """A list of one size, read off an input; None where no input has it."""
    found = draft.sizes.get(dim)
    if found is None:
        if dim not in draft.model.sizes:
            return None
        source, axis = draft.model.sizes[dim]
        given = draft.top().scope.names[source]
        found = draft.sizes[dim] = Value(TensorType("i64", (1,)))
        shape = draft.scope.fresh("shape")
        if draft.model.opset >= 15:
            draft.append("Shape", "", [given], [shape], {"start": axis, "end": axis + 1})
            draft.scope.names[found] = shape
        else:
            draft.append("Shape", "", [given], [shape], {})
            at = draft.name(list_of([axis]))
            draft.append("Gather", "", [shape, at], [draft.scope.give(found, "size")], {"axis": 0})
    return found


def _computed(dims: Attr, size_of: SizeOf) -> Value:
    """Sizes as nodes that compute them; `size_of` gives a list of one for what can be read."""
    if not isinstance(dims, tuple):
        return _op("Squeeze", _vector(_dim(dims), size_of), axes=(0,))
    parts: list[Value] = []
    numbers: list[int] = []
    for dim in dims:
        if isinstance(dim, int):
            numbers.append(dim)
            continue
        if numbers:
            parts.append(list_of(numbers))
            numbers = []
        parts.append(_vector(_dim(dim), size_of))
    if numbers or not parts:
        parts.append(list_of(numbers))
    return parts[0] if len(parts) == 1 else _op("Concat", *parts, axis=0)


def _dim(attr: object) -> Dim:
    if isinstance(attr, int | Sym):
        return attr
    raise TypeError(f"{attr!r} is no size")


def _op(name: str, *inputs: Value, **attrs: Attr) -> Value:
    return node_of(name, inputs, attrs).outputs[0]


def _vector(dim: Dim, size_of: SizeOf) -> Value:
    if isinstance(dim, int):
        return list_of([dim])
    total = size_of(dim)
    if total is not None:
        return total
    for atoms, n in dim.terms:
        factors = [_atom(atom, size_of) for atom in atoms]
        if n != 1 or not atoms:
            factors.append(list_of([n]))
        term = factors[0]
        for factor in factors[1:]:
            term = _op("Mul", term, factor)
        total = term if total is None else _op("Add", total, term)
    assert total is not None, "a polynomial has terms"
    return total


def _atom(atom: Atom, size_of: SizeOf) -> Value:
    if isinstance(atom, str):
        found = size_of(sym(atom))
        if found is None:
            raise ModelError(f"no input has the size '{atom}', which a rewrite asks for")
        return found
    if isinstance(atom, Floor):
        return _op("Div", _vector(atom.dim, size_of), _vector(atom.by, size_of))
    if isinstance(atom, Least):  # Min takes no integers before opset 12
        a, b = _vector(atom.dim, size_of), list_of([atom.bound])
        return _op("Where", _op("Less", a, b), a, b)
    a, b = _vector(atom.a, size_of), _vector(atom.b, size_of)
    return _op("Where", _op("Equal", a, list_of([1])), b, a)


def reshape_list(node: Node) -> list[int] | None:
    """The numbers that tell a Reshape its shape without computing sizes; None where they can't.

    As `numbers_of` gives them.
    """
    x, shape = node.inputs[:2]
    made = None if shape is None or shape.producer is None else shape.producer
    dims = made.attrs["dims"] if made is not None and made.op == "Sizes" else None
    if not isinstance(dims, tuple) or node.attrs.get("allowzero"):
        return None
    have = x.type.shape if x is not None and isinstance(x.type, TensorType) else None
    return numbers_of(have or (), tuple(_dim(d) for d in dims))
