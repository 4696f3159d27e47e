"""Types, sizes, constants and attributes out of Python's syntax tree, for `ir.parse`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from graphwright.ir.const import Array, Const, from_array
from graphwright.ir.dims import Dim, Sym, joint, least, sym
from graphwright.ir.graph import Attr, AttrRef, Carried
from graphwright.ir.types import (
    NUMPY,
    OpaqueType,
    OptionalType,
    SequenceType,
    TensorType,
    Type,
)
from graphwright.ir.written import NUMBERS, single

Weight = Callable[[str, TensorType], Const]
"""The constant that a text calls by a name."""


def wrong(at: ast.AST, what: str, kind: type[Exception] = SyntaxError) -> Exception:
    """The error that says in which line something is wrong."""
    return kind(f"line {getattr(at, 'lineno', 1)}: {what}")


def source(at: ast.AST) -> str:
    """How messages quote a part of the text."""
    text = ast.unparse(at).partition("\n")[0]
    return text if len(text) <= 60 else f"{text[:57]}..."


def read_type(at: ast.expr) -> Type:
    """A type: `f32[B, 4]`, `f32`, `f32[...]`, `Seq[f32]`, `Opt[f32]`, `Opaque["map"]`."""
    match at:
        case ast.Name(dtype) if dtype in NUMPY:
            return TensorType(dtype, ())
        case ast.Subscript(ast.Name(dtype), ast.Constant(value)) if (
            dtype in NUMPY and value is Ellipsis
        ):
            return TensorType(dtype)
        case ast.Subscript(ast.Name(dtype), inner) if dtype in NUMPY:
            dims = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return TensorType(dtype, tuple(read_dim(d) for d in dims))
        case ast.Subscript(ast.Name("Seq"), inner):
            return SequenceType(read_type(inner))
        case ast.Subscript(ast.Name("Opt"), inner):
            return OptionalType(read_type(inner))
        case ast.Subscript(ast.Name("Opaque"), ast.Constant(str(note))):
            return OpaqueType(note)
    raise wrong(at, f"{source(at)} is no type; one is written f32[B, 4]")


def read_tensor_type(at: ast.expr) -> TensorType:
    """A type that is a tensor's."""
    found = read_type(at)
    if not isinstance(found, TensorType):
        raise wrong(at, f"{source(at)} is no type of a tensor")
    return found


def read_dim(at: ast.expr) -> Dim:
    """A size: `B*S+1`, `(S+3)//4`, `sym("past + 1")`."""
    match at:
        case ast.Constant(int(number)) if not isinstance(number, bool):
            return number
        case ast.Name(name):
            return sym(name)
        case ast.Call(ast.Name("sym"), [ast.Constant(str(name))], []):
            return sym(name)
        case ast.Call(ast.Name("min"), [dim, ast.Constant(int(bound))], []):
            return least(read_dim(dim), bound)
        case ast.Call(ast.Name("joint"), [a, b], []):
            return joint(read_dim(a), read_dim(b))
        case ast.UnaryOp(ast.USub(), inner):
            return -read_dim(inner)
        case ast.BinOp(left, ast.Add(), right):
            return read_dim(left) + read_dim(right)
        case ast.BinOp(left, ast.Sub(), right):
            return read_dim(left) - read_dim(right)
        case ast.BinOp(left, ast.Mult(), right):
            return read_dim(left) * read_dim(right)
        case ast.BinOp(left, ast.FloorDiv(), right):
            by = read_dim(right)
            if isinstance(by, int) and by <= 0:
                raise wrong(at, f"{source(at)}: sizes are divided by positive numbers only")
            return read_dim(left) // by
    raise wrong(at, f"{source(at)} is no size")


def read_literal(at: ast.Call, dtype: str) -> Const:
    """A constant that is written out: `f32(0.5)`, `i64([1, 2])`, `f32([], shape=(0, 3))`."""
    if len(at.args) != 1:
        raise wrong(at, f"{source(at)}: a constant is one number, or one list of them")
    elements = _elements(at.args[0])
    try:
        array = _array(elements, dtype)
        for named in at.keywords:
            if named.arg != "shape":
                raise wrong(at, f"{source(at)}: a constant has no '{named.arg}'")
            array = array.reshape(ast.literal_eval(named.value))
    except (ValueError, ArithmeticError) as error:
        raise wrong(at, f"{source(at)}: {error}", TypeError) from None
    return from_array(array)


def _array(elements: Any, dtype: str) -> Array:
    kinds: tuple[type, ...] = (int, float)
    if dtype in ("bool", "str"):
        kinds = (bool,) if dtype == "bool" else (str,)
    elif dtype[0] in "iu":
        kinds = (int,)
    if not all(type(element) in kinds for element in _flat(elements)):
        raise ValueError(f"that is no {dtype}")
    with np.errstate(over="raise"):
        return np.asarray(elements, NUMPY[dtype])


def _flat(elements: Any) -> Iterator[object]:
    if not isinstance(elements, list):
        yield elements
        return
    for element in elements:
        yield from _flat(element)


def _elements(at: ast.expr) -> Any:
    match at:
        case ast.List(elements):
            return [_elements(e) for e in elements]
        case ast.Constant(int() | float() | str() as plain):
            return plain
        case ast.Name(name) if name in NUMBERS:
            return NUMBERS[name]
        case ast.UnaryOp(ast.USub(), inner):
            found = _elements(inner)
            if isinstance(found, int | float):
                return -found
    raise wrong(at, f"{source(at)} is no number")


def read_const(at: ast.Call, weight: Weight) -> Const | None:
    """The constant that a call writes out or names; None where it is another call."""
    match at:
        case ast.Call(ast.Name(dtype)) if dtype in NUMPY:
            return read_literal(at, dtype)
        case ast.Call(ast.Name("weight"), [ast.Constant(str(name)), kind], []):
            try:
                return weight(name, read_tensor_type(kind))
            except TypeError as error:
                raise wrong(at, str(error), TypeError) from None
        case ast.Call(ast.Name("weight")):
            raise wrong(at, f'{source(at)}: a weight is written weight("name", f32[4, 4])')
    return None


def read_attr(at: ast.expr, weight: Weight) -> Attr:
    """An attribute: a number, a string, bytes, a size, a tuple of those, a tensor."""
    match at:
        case ast.Constant(float(number)):
            return single(number)
        case ast.Constant(int() | str() | bytes() as plain):
            return plain
        case ast.Name(name) if name in NUMBERS:
            return NUMBERS[name]
        case ast.UnaryOp(ast.USub(), inner):
            found = read_attr(inner, weight)
            if isinstance(found, int | float | Sym) and not isinstance(found, bool):
                return -found
        case ast.Tuple(elements) | ast.List(elements):
            return tuple(_plain(e, read_attr(e, weight)) for e in elements)
        case ast.Call(ast.Name("carried"), [ast.Constant(str(kind)), ast.Constant(bytes(data))]):
            return Carried(kind, data)
        case ast.Call(ast.Name("ref"), [ast.Constant(str(name)), ast.Constant(int(number))]):
            return AttrRef(name, number)
        case ast.Call() if (const := read_const(at, weight)) is not None:
            return const
        case ast.Name() | ast.BinOp() | ast.Call(ast.Name("sym" | "min" | "joint")):
            return read_dim(at)
    raise wrong(at, f"{source(at)} is no attribute")


def _plain(at: ast.expr, attr: Attr) -> int | float | str | bytes | Sym:
    if isinstance(attr, int | float | str | bytes | Sym):
        return attr
    raise wrong(at, f"{source(at)} does not stand in a tuple")
