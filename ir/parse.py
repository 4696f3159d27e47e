"""Graphs out of text; `graphwright.ir.text` says what is written how."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from textwrap import dedent
from types import MappingProxyType

from graphwright.ir.const import Const
from graphwright.ir.expressions import Expressions
from graphwright.ir.graph import Function, Graph, Node, Value
from graphwright.ir.ops import return_node
from graphwright.ir.reading import read_type, source, wrong
from graphwright.ir.types import UNKNOWN, Type
from graphwright.ir.written import type_text

NO_WEIGHTS: Mapping[str, Const] = MappingProxyType({})


def parse(text: str, weights: Mapping[str, Const] = NO_WEIGHTS) -> Graph:
    """The graph that `text` describes, with types inferred; `weights` holds what it calls weights.

    A weight that is not in `weights` may be moved about, but not looked at: loading it raises
    ModelError. Raises SyntaxError or TypeError, with the line, for what is wrong with the text.
    """
    try:
        return _parsed(text, dict(weights))
    except RecursionError:
        raise SyntaxError("an expression nests too deep to be read; name parts of it") from None


def _parsed(text: str, weights: dict[str, Const]) -> Graph:
    *before, last = ast.parse(dedent(text)).body or [ast.Pass()]
    if not isinstance(last, ast.FunctionDef) or last.decorator_list:
        raise wrong(last, "a graph is written as a function: def name(x: f32[B, 4]):")
    functions = dict(_function(each, weights) for each in before)
    graph = _Reader(weights).graph(last)
    graph.functions = functions
    return graph


def _function(at: ast.stmt, weights: dict[str, Const]) -> tuple[str, Function]:
    match at:
        case ast.FunctionDef(
            decorator_list=[ast.Call(ast.Name("function"), [ast.Constant(str(name)), *others], [])]
        ):
            attributes = [a.value for a in others if isinstance(a, ast.Constant)]
            body = _Reader(weights).graph(at)
            domain = name.partition("::")[0]
            return name, Function(domain, name, tuple(map(str, attributes)), body)
    raise wrong(at, 'before the graph stand functions, each under @function("domain::name")')


class _Reader(Expressions):
    """One graph, as far as it has been read."""

    def __init__(self, weights: dict[str, Const]) -> None:
        super().__init__(weights)
        self.stated: dict[str, Type] = {}  # of results, on the lines before

    def graph(self, at: ast.FunctionDef) -> Graph:
        """The graph that is a function."""
        inputs, defaults = self._inputs(at.args)
        *lines, last = at.body
        for line in lines:
            self._line(line)
        if not isinstance(last, ast.Return):
            raise wrong(last, "a graph ends with a return")
        result = self._result(last)
        for name, body in self.bodies.items():
            if body is not None:
                raise wrong(at, f"no node has the body {name}")
        kept = [n for n in self.nodes if not any(v.uses for v in n.outputs)]
        return Graph(at.name, inputs, result, tuple(kept), defaults=defaults)

    def _inputs(self, args: ast.arguments) -> tuple[tuple[Value, ...], dict[Value, Const]]:
        plain = [*args.posonlyargs, *args.args]
        missing = [None] * (len(plain) - len(args.defaults))
        held: list[ast.expr | None] = [*missing, *args.defaults, *args.kw_defaults]
        defaults: dict[Value, Const] = {}
        for arg, default in zip([*plain, *args.kwonlyargs], held, strict=True):
            kind = UNKNOWN if arg.annotation is None else read_type(arg.annotation)
            value = self.values[arg.arg] = Value(kind, name=arg.arg)
            if default is not None:
                held_by = self.constant(default)
                if held_by is None or held_by.const is None:
                    raise wrong(default, f"{source(default)} is no constant")
                defaults[value] = held_by.const
        return tuple(self.values.values()), defaults

    def _line(self, at: ast.stmt) -> None:
        match at:
            case ast.FunctionDef(name):
                self.bodies[name] = _Reader(self.weights).graph(at)
            case ast.AnnAssign(ast.Name(name), kind, None):
                self.stated[name] = read_type(kind)
            case ast.AnnAssign(ast.Name(name) as target, kind, ast.expr() as made):
                self.stated[name] = read_type(kind)
                self._assign([target], made)
            case ast.Assign([ast.Name() as target], made):
                self._assign([target], made)
            case ast.Assign([ast.Tuple(targets)], made):
                self._assign(targets, made)
            case ast.Expr(ast.Constant(str())):
                pass
            case ast.Expr(ast.Call() as call):
                self.call(call, 0)
            case _:
                raise wrong(at, f"{source(at)}: a line is name = expression, or a, b = Operator(x)")

    def _assign(self, targets: Sequence[ast.expr], made: ast.expr) -> None:
        names = [t.id for t in targets if isinstance(t, ast.Name)]
        if len(names) < len(targets):
            raise wrong(targets[0], "what is assigned to is a name")
        if len(names) == 1:
            results = [self.value(made)]
        elif isinstance(made, ast.Call) and self.constant(made) is None:
            results = list(self.call(made, len(names)).outputs)
        else:
            raise wrong(made, f"{source(made)} has one result, not {len(names)}")
        for name, value in zip(names, results, strict=True):
            self._bind(name, value, made)

    def _bind(self, name: str, value: Value, at: ast.expr) -> None:
        stated = self.stated.pop(name, None)
        fresh = not value.name and (value.producer is not None or value.const is not None)
        if stated is not None and stated != value.type:
            if not fresh or value.const is not None:
                raise wrong(at, f"{source(at)} is {type_text(value.type)}", TypeError)
            value.type = stated
        if name == "_":
            value.type = UNKNOWN if fresh else value.type
            return
        if fresh:
            value.name = name
        self.values[name] = value

    def _result(self, at: ast.Return) -> Node:
        match at.value:
            case ast.Dict(keys, given):
                names = [k.value if isinstance(k, ast.Constant) else None for k in keys]
                if not all(isinstance(name, str) for name in names):
                    raise wrong(at, "the names of outputs are strings")
                return return_node([self.operand(e) for e in given], [str(n) for n in names])
            case ast.Tuple(given):
                values = [self.operand(e) for e in given]
            case None:
                values = []
            case given:
                values = [self.operand(given)]
        return return_node(values, self._output_names(values))

    def _output_names(self, values: Sequence[Value | None]) -> list[str]:
        names: dict[str, None] = {}
        for i, value in enumerate(values):
            name = value.name if value is not None else ""
            if not name or name in names:
                wanted, n = name or ("y" if len(values) == 1 else f"y{i}"), 0
                name = wanted
                while name in self.values or name in names:
                    n += 1
                    name = f"{wanted}_{n}"
                if value is not None and value.const is None and not value.name:
                    self.values[name], value.name = value, name
            names[name] = None
        return list(names)
