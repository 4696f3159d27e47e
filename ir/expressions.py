"""The expressions of the graph language, each a node or a constant."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NoReturn

from graphwright.ir.const import Const
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, Graph, Node, Value
from graphwright.ir.ops import NO_BODIES, OPS, node_of
from graphwright.ir.reading import read_attr, read_const, source, wrong
from graphwright.ir.types import TensorType
from graphwright.ir.written import NUMBERS

INFIX: dict[type[ast.operator], tuple[str, Callable[[float, float], float]]] = {
    ast.Add: ("Add", operator.add),
    ast.Sub: ("Sub", operator.sub),
    ast.Mult: ("Mul", operator.mul),
    ast.Div: ("Div", operator.truediv),
    ast.Pow: ("Pow", operator.pow),
    ast.MatMult: ("MatMul", operator.matmul),
}
NO_ATTRS: Mapping[str, Attr] = MappingProxyType({})
Operand = Value | float | None


class Expressions:
    """What names mean in one graph, and the nodes that expressions have made so far."""

    def __init__(self, weights: dict[str, Const]) -> None:
        self.weights = weights
        self.values: dict[str, Value] = {}
        self.bodies: dict[str, Graph | None] = {}  # None: a node has it already
        self.nodes: list[Node] = []
        self.named: dict[str, Value] = {}  # the weights read so far

    def value(self, at: ast.expr) -> Value:
        """The value that an expression is."""
        found = self.operand(at)
        if found is None:
            raise wrong(at, "None is no value")
        return found

    def operand(self, at: ast.expr) -> Value | None:
        """The value that an expression is, or None where it is left out."""
        found = self._expression(at)
        if isinstance(found, int | float):
            raise wrong(at, f"what type has {source(at)}? Write f32({source(at)})", TypeError)
        return found

    def _expression(self, at: ast.expr) -> Operand:
        match at:
            case ast.Name(name) if name in self.values:
                return self.values[name]
            case ast.Name(name) if name in NUMBERS:
                return NUMBERS[name]
            case ast.Name(name):
                raise wrong(at, f"nothing is called {name} here")
            case ast.Constant(None | int() | float() as plain):
                return plain
            case ast.UnaryOp(ast.USub(), inner):
                found = self._expression(inner)
                if isinstance(found, int | float):
                    return -found
                return self._made(at, "Neg", [found]).outputs[0]
            case ast.BinOp():
                return self._chain(at)
            case ast.Call():
                const = self.constant(at)
                return const if const is not None else self.call(at, 1).outputs[0]
        raise wrong(at, f"{source(at)} is no expression of graphs")

    def _chain(self, at: ast.BinOp) -> Operand:
        """The value of `a + b + c + ...`, which nests to the left as deep as it is long."""
        chain, left = [at], at.left
        while isinstance(left, ast.BinOp):
            chain.append(left)
            left = left.left
        found = self._expression(left)
        for each in reversed(chain):
            found = self._infix(each, found, self._expression(each.right))
        return found

    def _infix(self, at: ast.BinOp, left: Operand, right: Operand) -> Operand:
        if type(at.op) not in INFIX:
            raise wrong(at, f"{source(at)} is no expression of graphs")
        op, compute = INFIX[type(at.op)]
        if left is None or right is None:
            raise wrong(at, f"{source(at)}: None is no operand")
        if isinstance(left, Value) or isinstance(right, Value):
            return self._made(at, op, [left, right]).outputs[0]
        try:
            return compute(left, right)
        except (ArithmeticError, TypeError) as error:
            raise wrong(at, f"{source(at)}: {error}", TypeError) from None

    def call(self, at: ast.Call, count: int) -> Node:
        """The node, with `count` results, that a call of an operator makes."""
        if not isinstance(at.func, ast.Name):
            raise wrong(at, f"{source(at.func)} is no operator")
        op, given = at.func.id, at.args
        if op == "call":
            match given:
                case [ast.Constant(str(op)), *given]:
                    pass
                case _:
                    raise wrong(at, 'call wants an operator first: call("com.microsoft::Gelu", x)')
        inputs = [self._expression(e) for e in given]
        self._check_numbers(at, op, inputs)
        captures: list[Value] = []
        bodies: dict[str, Graph] = {}
        attrs: dict[str, Attr] = {}
        for keyword in at.keywords:
            if keyword.arg == "captures" and isinstance(keyword.value, ast.Tuple):
                captures = [self.value(e) for e in keyword.value.elts]
                continue
            for name, held in _named(keyword):
                if isinstance(held, ast.Name) and held.id in self.bodies:
                    bodies[name] = self._body(held)
                else:
                    attrs[name] = read_attr(held, self._weight)
        return self._made(at, op, inputs, attrs, count, captures, bodies)

    def _check_numbers(self, at: ast.Call, op: str, inputs: Sequence[Operand]) -> None:
        row = OPS.get(op)
        first = len(inputs) if row is None or row.alike is None else row.alike
        typed = any(isinstance(v, Value) for v in inputs[first:])
        for i, found in enumerate(inputs):
            if isinstance(found, int | float) and not (typed and i >= first):
                raise wrong(
                    at.args[i - len(inputs)],
                    f"what type has {found}? Write f32({found})",
                    TypeError,
                )

    def _body(self, at: ast.Name) -> Graph:
        found = self.bodies[at.id]
        if found is None:
            raise wrong(at, f"the body {at.id} is used twice")
        self.bodies[at.id] = None
        return found

    def _made(
        self,
        at: ast.expr,
        op: str,
        inputs: Sequence[Operand],
        attrs: Mapping[str, Attr] = NO_ATTRS,
        count: int = 1,
        captures: Sequence[Value] = (),
        bodies: Mapping[str, Graph] = NO_BODIES,
    ) -> Node:
        place = float(len(self.nodes))
        try:
            node = node_of(
                op, inputs, attrs, count, place=place, captures=tuple(captures), bodies=bodies
            )
        except (TypeError, ValueError) as error:
            raise wrong(at, f"{source(at)}: {error}", TypeError) from None
        self.nodes.append(node)
        return node

    def constant(self, at: ast.expr) -> Value | None:
        """A constant, a weight the same one wherever it is read; None for anything else."""
        if not isinstance(at, ast.Call):
            return None
        const = read_const(at, self._weight)
        if const is None:
            return None
        match at:
            case ast.Call(ast.Name("weight"), [ast.Constant(str(name)), _]):
                return self.named.setdefault(name, Value(const.type, const=const, name=name))
        return Value(const.type, const=const)

    def _weight(self, name: str, kind: TensorType) -> Const:
        found = self.weights.get(name)
        if found is None:
            found = self.weights[name] = Const(kind, lambda: _missing(name))
        if found.type != kind:
            raise TypeError(f"the weight '{name}' is {found.type}, not {kind}")
        return found


def _missing(name: str) -> NoReturn:
    raise ModelError(f"the weight '{name}' was not given with the text that speaks of it")


def _named(keyword: ast.keyword) -> Iterator[tuple[str, ast.expr]]:
    """Attributes by name, `axis=1` or `**{"axis": 1}`."""
    match keyword:
        case ast.keyword(str(name), held):
            yield name, held
        case ast.keyword(None, ast.Dict(keys, values)):
            for key, held in zip(keys, values, strict=True):
                if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
                    raise wrong(held, "the names of attributes are strings")
                yield key.value, held
        case _:
            raise wrong(keyword.value, "attributes are written name=value")
