"""Graphs as text that is Python to read: `show` writes it, `graphwright.ir.parse` reads it.

    def attention(q: f32[B, 8, S, 64], k: f32[B, 8, S, 64], v: f32[B, 8, S, 64]):
        s = q @ Transpose(k, perm=(0, 1, 3, 2)) * 0.125
        return Softmax(s, axis=-1) @ v

- A line is a node; one that nothing reads is a node that the graph keeps. `show` writes one node a
  line, `parse` takes nested ones too.
- `+ - * / ** @` and the sign are Add, Sub, Mul, Div, Pow, MatMul and Neg. A bare number beside one
  of them has the other operand's type; elsewhere constants are written `f32(0.5)`, `i64([1, 2])`,
  or `weight("encoder.weight", f32[768, 768])` where they are large.
- `call("com.microsoft::FusedMatMul", x, alpha=1.0)` is for operators that are no identifiers. An
  input left out is `None`, a result left out is `_`.
- Sizes are formulas of names: `B*S+1`, `(S+3)//4`, `min(S, 64)`, `joint(S, T)` where two sizes
  meet; `sym("past + 1")` where a name is none. A rank that is unknown is `f32[...]`, a type that
  is unknown is left out.
- A type stands at a result, `y: f32[B, 4] = call("foo::Bar", x)`, where it does not follow from the
  operands; at one of several results it stands on a line before.
- `return {"logits": y}` names the outputs, where they are called otherwise than their values.
- A body of If, Loop or Scan is a function before its node, which passes it by name:
  `If(test, captures=(x,), then_branch=body, else_branch=other)`. It reads nothing from around it;
  `captures` are its last arguments.
- A model-local function stands before the graph, under `@function("domain::name", "attribute")`;
  `ref("attribute", 1)` inside is the attribute's value, of ONNX's type 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from types import MappingProxyType

from graphwright.ir.const import Const, content
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, Contents, Graph, Node, Value
from graphwright.ir.ops import contents_made, infer
from graphwright.ir.types import UNKNOWN, TensorType, Type
from graphwright.ir.written import (
    as_name,
    attr_text,
    is_name,
    literal,
    number_of,
    quoted,
    symbol,
    tuple_text,
    type_text,
)

INFIX = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "Pow": "**", "MatMul": "@"}


def show(graph: Graph, remarks: Mapping[Node, str] = MappingProxyType({})) -> str:
    """The graph as text that `parse` reads back; each of `remarks` stands behind its node."""
    return _module(graph, _Weights(), remarks=remarks)


def weights_of(graph: Graph) -> dict[str, Const]:
    """The constants that `show` does not write out, by the names it gives them."""
    weights = _Weights()
    _module(graph, weights)
    return weights.by_name


def same(a: Graph, b: Graph) -> bool:
    """Whether two graphs are equal up to the names and the order of what is in them."""
    return _normal(a) == _normal(b)


def _normal(graph: Graph) -> str:
    return _module(graph, _Contents(), normal=True)


def _module(
    graph: Graph,
    weights: _Weights,
    normal: bool = False,
    remarks: Mapping[Node, str] = MappingProxyType({}),
) -> str:
    lines: list[str] = []
    for name in sorted(graph.functions):
        function = graph.functions[name]
        about = ", ".join(map(quoted, (name, *function.attributes)))
        lines += [f"@function({about})", *_Text(weights, normal).graph(function.body, ""), "", ""]
    text = _Text(weights, normal, remarks)
    return "\n".join(lines + text.graph(graph, "graph" if normal else ""))


class _Names:
    """Names already given, and for each how often it was wanted again."""

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}

    def give(self, wanted: str) -> str:
        """A name that is not taken, made from `wanted`."""
        found, n = wanted, self.taken.get(wanted, 0)
        while found in self.taken:
            n += 1
            found = f"{wanted}_{n}"
        self.taken[wanted] = n
        self.taken.setdefault(found, 0)
        return found


class _Weights:
    """The names of the constants that are not written out, each its own or a similar one."""

    def __init__(self) -> None:
        self.by_name: dict[str, Const] = {}
        self.names: dict[Const, str] = {}
        self.given = _Names()

    def name(self, const: Const, wanted: str) -> str:
        found = self.names.get(const)
        if found is None:
            found = self.names[const] = self.given.give(wanted or "w")
            self.by_name[found] = const
        return found


class _Contents(_Weights):
    """Names that are the same for constants of the same content, if that can be looked at."""

    def name(self, const: Const, wanted: str) -> str:
        found = self.names.get(const)
        if found is None:
            try:
                found = content(const.load()).hex()
            except (ModelError, OSError):
                found = f"missing {wanted}"
            self.names[const] = found
        return found


class _Text:
    """The text of one graph, without that of the graphs around it."""

    def __init__(
        self, weights: _Weights, normal: bool, remarks: Mapping[Node, str] = MappingProxyType({})
    ) -> None:
        self.weights, self.normal, self.remarks = weights, normal, remarks
        self.given = _Names()
        self.names: dict[Value, str] = {}
        self.unnamed = 0
        self.bodies: set[str] = set()
        self.typed: dict[Value, Value] = {}  # what `parse` will know of each value

    def graph(self, graph: Graph, called: str) -> list[str]:
        """The lines of a function that is the graph."""
        name = called or as_name(graph.name, "graph")
        given = [self._input(value, graph.defaults.get(value)) for value in graph.inputs]
        star = next((i for i, text in enumerate(given) if " = " in text), len(given))
        if any(" = " not in text for text in given[star:]):
            given.insert(star, "*")  # Python wants it where one without a default follows
        lines = [f"def {name}({', '.join(given)}):"]
        for node in graph.reachable() if self.normal else graph.nodes():
            lines += [f"    {line}" for line in self._node(node)]
            if remark := self.remarks.get(node):
                lines[-1] += f"  # {remark}"
        return [*lines, f"    return {self._outputs(graph)}"]

    def _input(self, value: Value, default: Const | None) -> str:
        self.typed[value] = Value(value.type)
        typed = "" if value.type == UNKNOWN else f": {type_text(value.type)}"
        held = "" if default is None else f" = {self._const(default, value.name)}"
        return f"{self._name(value)}{typed}{held}"

    def _outputs(self, graph: Graph) -> str:
        values = [self._operand(v) for v in graph.outputs]
        names = graph.result.attrs.get("names", ())
        named = [str(n) for n in names] if isinstance(names, tuple) else []
        if self.normal or (named == values and all(v in self.names for v in graph.outputs)):
            return ", ".join(values) or "()"
        pairs = zip_longest(named[: len(values)], values, fillvalue="")
        return f"{{{', '.join(f'{quoted(name)}: {value}' for name, value in pairs)}}}"

    def _name(self, value: Value) -> str:
        found = self.names.get(value)
        if found is None:
            if self.normal or not value.name:
                wanted, self.unnamed = f"t{self.unnamed}", self.unnamed + 1
            else:
                wanted = as_name(value.name, "t")
            found = self.names[value] = self.given.give(wanted)
        return found

    def _const(self, const: Const, name: str) -> str:
        text = literal(const)
        if text is None:
            text = f"weight({quoted(self.weights.name(const, name))}, {type_text(const.type)})"
        return text

    def _operand(self, value: Value | None) -> str:
        if value is None:
            return "None"
        return self._name(value) if value.const is None else self._const(value.const, value.name)

    def _node(self, node: Node) -> list[str]:
        lines: list[str] = []
        bodies: dict[str, str] = {}
        for key, body in node.bodies.items():
            bodies[key] = name = self.given.give(as_name(key, "body"))
            self.bodies.add(name)
            lines += _Text(self.weights, self.normal).graph(body, name)
        made = self._infix(node) or self._call(node, bodies)
        targets = [self._target(value) for value in node.outputs]
        typed = self._annotations(node)
        if len(targets) == 1:
            made = f"{targets[0]}{typed.get(0, '')} = {made}"
        elif targets:
            lines += [f"{targets[i]}{text}" for i, text in typed.items()]
            made = f"{', '.join(targets)} = {made}"
        return [*lines, made]

    def _target(self, value: Value) -> str:
        unread = not value.uses and (self.normal or (not value.name and value.type == UNKNOWN))
        return "_" if unread else self._name(value)

    def _annotations(self, node: Node) -> dict[int, str]:
        """The types of outputs that do not follow from the operands, by the output."""
        given = [None if v is None else self.typed.get(v, v) for v in node.inputs]
        types: tuple[Type, ...] = (UNKNOWN,) * len(node.outputs)
        contents: Contents | None = None
        try:
            types = infer(node.op, given, node.attrs, len(node.outputs))
            contents = contents_made(node.op, given, node.attrs)
        except (TypeError, ValueError):
            pass  # the graph is broken, which `problems` tells
        found: dict[int, str] = {}
        for i, (value, inferred) in enumerate(zip(node.outputs, types, strict=True)):
            self.typed[value] = Value(value.type, contents=None if i else contents)
            if value in self.names and value.type != inferred:
                found[i] = f": {type_text(value.type)}"
        return found

    def _infix(self, node: Node) -> str | None:
        if node.attrs or node.bodies or len(node.outputs) != 1:
            return None
        match node.op, node.inputs:
            case "Neg", (Value() as x,):
                return f"-{self._operand(x)}"
            case op, (Value() as a, Value() as b) if op in INFIX:
                left, right = self._operand(a), self._operand(b)
                if (number := _bare(b, a)) is not None:
                    right = number
                elif (number := _bare(a, b)) is not None:
                    left = f"({number})" if op == "Pow" and number[0] == "-" else number
                return f"{left} {INFIX[op]} {right}"
        return None

    def _call(self, node: Node, bodies: dict[str, str]) -> str:
        given = [] if is_name(node.op) else [quoted(node.op)]
        given += map(self._operand, node.inputs)
        if node.captures:
            given.append(f"captures={tuple_text(map(self._operand, node.captures))}")
        named = {key: self._attr(key, node.attrs[key]) for key in sorted(node.attrs)} | bodies
        given += [f"{k}={v}" for k, v in named.items() if _is_keyword(k)]
        others = [f"{quoted(k)}: {v}" for k, v in named.items() if not _is_keyword(k)]
        given += [f"**{{{', '.join(others)}}}"] if others else []
        return f"{node.op if is_name(node.op) else 'call'}({', '.join(given)})"

    def _attr(self, key: str, attr: Attr) -> str:
        return attr_text(attr, lambda const: self._const(const, key), self._symbol)

    def _symbol(self, name: str) -> str:
        return f"sym({quoted(name)})" if name in self.bodies else symbol(name)


def _bare(value: Value, other: Value) -> str | None:
    """A scalar constant as a number, where `other` tells its type."""
    if value.const is None or not isinstance(other.type, TensorType):
        return None
    return number_of(value.const, other.type.dtype)


def _is_keyword(name: str) -> bool:
    return is_name(name) and name != "captures"
