"""Normalizers: what makes weights of a row of scores, as the body of an `Attention`.

A body is a graph with one input, the scores [..., T], and one output, the weights [..., T]. It is
made of what works element by element or reduces the row, and of constants that do not differ
along the row. Keys that a mask hides have the score -inf, so that it can tell which are valid.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from textwrap import dedent, indent
from typing import Any

import numpy as np

from graphwright.ir.const import Array
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import OPS
from graphwright.ir.parse import parse
from graphwright.ir.types import NUMPY, TensorType
from graphwright.ir.written import type_text

BODY = "normalizer"
"""The name of the body of an `Attention` that replaces its softmax."""

REDUCTIONS = frozenset({"ReduceMax", "ReduceMin", "ReduceSum", "ReduceMean"})
ALONG_ROW = frozenset({"Softmax", "LogSoftmax"})
COMPARED: dict[type[ast.cmpop], str] = {
    ast.Gt: "Greater",
    ast.GtE: "GreaterOrEqual",
    ast.Lt: "Less",
    ast.LtE: "LessOrEqual",
    ast.Eq: "Equal",
}
KNOWN = {
    "valid": "Greater(s, -inf)",
    "count": "ReduceSum(Cast(Greater(s, -inf), to={dtype!r}), axes=(-1,), keepdims=1)",
}
"""What a formula may speak of beside the scores `s`."""


def body(formula: str, scores: TensorType) -> Graph:
    """The body that a formula in the language of graphs describes, for scores of such a type.

    `s` are the scores, `valid` says which keys count, `count` how many of them there are, and
    `dtype` is what to cast to for the type of the scores. What reduces does so along the row,
    `a > b` may be written for Greater(a, b), and a list of numbers has one for each head. Raises
    SyntaxError or TypeError, with the line, for what is wrong with it.
    """
    tree = _Spelled(scores.dtype).visit(ast.parse(dedent(formula)))
    if not tree.body or not isinstance(tree.body[-1], ast.Expr):
        raise SyntaxError("a normalizer ends with an expression, the weights")
    read = {at.id for at in ast.walk(tree) if isinstance(at, ast.Name)}
    given = [f"{name} = {KNOWN[name].format(dtype=scores.dtype)}" for name in KNOWN if name in read]
    tree.body[-1] = ast.Return(tree.body[-1].value)
    lines = "\n".join([*given, ast.unparse(ast.fix_missing_locations(tree))])
    return parse(f"def {BODY}(s: {type_text(scores)}):\n{indent(lines, '    ')}")


class _Spelled(ast.NodeTransformer):
    """Writes out what formulas of rows leave unsaid."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def visit_Call(self, at: ast.Call) -> ast.Call:
        """Reductions are along the row, and so is Softmax; numbers are what the scores are."""
        name = at.func.id if isinstance(at.func, ast.Name) else ""
        if name in NUMPY:
            return at  # a constant, written out
        self.generic_visit(at)
        said = {keyword.arg for keyword in at.keywords}
        if name in REDUCTIONS and "axes" not in said:
            axes = ast.Tuple([ast.Constant(-1)], ast.Load())
            at.keywords += [ast.keyword("axes", axes), ast.keyword("keepdims", ast.Constant(1))]
        elif name in ALONG_ROW and "axis" not in said:
            at.keywords.append(ast.keyword("axis", ast.Constant(-1)))
        elif name == "Where" and all(isinstance(arg, ast.Constant) for arg in at.args[1:]):
            at.args[1] = ast.Call(ast.Name(self.dtype, ast.Load()), [at.args[1]], [])
        return at

    def visit_List(self, at: ast.List) -> ast.Call:
        """A list has a number for each head, the same along the row and in all rows."""
        rows: list[ast.expr] = [
            ast.List([ast.List([each], ast.Load())], ast.Load()) for each in at.elts
        ]
        return ast.Call(ast.Name(self.dtype, ast.Load()), [ast.List(rows, ast.Load())], [])

    def visit_keyword(self, at: ast.keyword) -> ast.keyword:
        """The name `dtype` is that of the scores."""
        if isinstance(at.value, ast.Name) and at.value.id == "dtype":
            at.value = ast.Constant(self.dtype)
        return at

    def visit_Compare(self, at: ast.Compare) -> ast.expr:
        """`a > b` is an operator, as a + b is."""
        self.generic_visit(at)
        op = COMPARED.get(type(at.ops[0]))
        if len(at.ops) > 1 or op is None:
            raise SyntaxError(f"{ast.unparse(at)} is no comparison of two rows")
        return ast.Call(ast.Name(op, ast.Load()), [at.left, at.comparators[0]], [])


def inlined(make: Callable[..., Value], normalizer: Graph, s: Value) -> Value:
    """The weights that a body makes of the scores `s`, its nodes made anew by `make`."""
    (result,) = normalizer.outputs
    assert result is not None
    known = {normalizer.inputs[0]: s}
    for node in normalizer.nodes():
        inputs = [None if v is None else known.get(v, v) for v in node.inputs]
        known[node.outputs[0]] = make(node.op, *inputs, **node.attrs)
    return known[result]


def compute(normalizer: Graph, scores: Array) -> Array:
    """What a body makes of scores, in NumPy and in the type of the scores. The oracle of others.

    Raises TypeError for an operator that the table gives no meaning to.
    """
    (s,) = normalizer.inputs
    held: dict[Value, Any] = {s: scores}
    with np.errstate(all="ignore"):
        for node in normalizer.nodes():
            held[node.outputs[0]] = _meaning(node)(*(_array(v, held) for v in node.inputs))
    (result,) = normalizer.outputs
    found = _array(result, held)
    return np.broadcast_to(found, scores.shape).astype(scores.dtype)


def _array(value: Value | None, held: dict[Value, Any]) -> Any:
    return value.const.load() if value is not None and value.const is not None else held.get(value)  # type: ignore[arg-type]  # None is no value, and gives None


def _meaning(node: Node) -> Callable[..., Any]:
    row = OPS.get(node.op)
    if row is None or row.numpy is None:
        raise TypeError(f"what {node.op} computes is not known here")
    numpy = row.numpy
    return lambda *arrays: numpy(*arrays, **node.attrs)
