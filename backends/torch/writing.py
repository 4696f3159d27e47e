"""A graph as one of torch.fx, whose calls are of functions in `operators`."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch

from graphwright.backends.torch.gradients import choice, finite, rounded, straight_softmax, truth
from graphwright.backends.torch.operators.creating import cast, listed, plain
from graphwright.backends.torch.registry import DTYPES, Lowering, lowerings
from graphwright.backends.torch.sizes import Sizes, larger, smaller
from graphwright.backends.torch.straight import (
    call_of,
    is_float,
    is_in_integers,
    may_derive_to_none,
)
from graphwright.backends.torch.weights import Weights, identifier
from graphwright.ir.const import Const
from graphwright.ir.dims import Sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, AttrRef, Function, Graph, Node, Value
from graphwright.ir.normalizers import BODY, inlined
from graphwright.ir.operators.attention import written_out
from graphwright.ir.ops import contents_of, node_of, scalar
from graphwright.ir.types import FLOATS, TensorType

WRITTEN_HERE = ("Sizes",)
MARKER = "float_type"


def refuse_unknown(graph: Graph) -> None:
    """Raise one ModelError for all operators that are not known here."""
    known = lowerings()
    unknown: Counter[str] = Counter()

    def look(part: Graph) -> None:
        for node in part.everything():
            if node.op in graph.functions:
                look(graph.functions[node.op].body)
            elif node.op not in known and node.op not in WRITTEN_HERE:
                unknown[node.op] += 1
            elif node.op in known and any(v.uses for v in node.outputs[known[node.op].results :]):
                unknown[f"{node.op} with {len(node.outputs)} results"] += 1

    look(graph)
    if unknown:
        listing = ", ".join(f"{op} ({n} times)" for op, n in sorted(unknown.items()))
        raise ModelError(f"these operators have no form in PyTorch here: {listing}")


def main_float(graph: Graph) -> str:
    """The float type that a graph mostly works in, which a module may be brought from."""
    counts: Counter[str] = Counter()
    for value in (*graph.inputs, *(v for n in graph.everything() for v in n.operands() if v)):
        if isinstance(value.type, TensorType) and value.type.dtype in FLOATS:
            counts[value.type.dtype] += 1
    return counts.most_common(1)[0][0] if counts else "f32"


class Tracer(torch.fx.Tracer):  # type: ignore[misc]  # torch is not followed by mypy
    """Traces a module anew where it is unpickled, with the functions of operators whole."""

    def __init__(self) -> None:
        rows = [row.function for row in lowerings().values()]
        trained = (choice, finite, rounded, straight_softmax, truth)
        super().__init__(autowrap_functions=(*rows, *trained, listed, plain, larger, smaller))


class Writer:
    """Writes one graph, and the bodies in it, as graphs of torch.fx over one set of weights."""

    def __init__(
        self, graph: Graph, weights: Weights, straight: bool, calls: Mapping[Node, str]
    ) -> None:
        self.graph, self.weights, self.straight, self.calls = graph, weights, straight, calls
        self.rows = lowerings()
        self.float = main_float(graph)
        self.marker = weights.add(MARKER, torch.empty(0, dtype=DTYPES[self.float]))

    def whole(self) -> Any:
        """The graph of torch.fx."""
        sheet = torch.fx.Graph(owning_module=self.weights.root, tracer_cls=Tracer)
        part = _Part(self, sheet)
        part.inputs(self.graph)
        given = [part.value(v) for v in part.results(self.graph)]
        sheet.output(given[0] if len(given) == 1 else tuple(given))
        sheet.eliminate_dead_code()
        sheet.lint()
        return sheet


class _Part:
    """Writes nodes into one graph of torch.fx, and remembers which of its nodes is which value."""

    def __init__(self, writer: Writer, sheet: Any) -> None:
        self.writer, self.sheet = writer, sheet
        self.values: dict[Value, Any] = {}
        self.attributes: dict[str, Any] = {}
        self.sizes = Sizes(sheet)
        self.caller: Mapping[str, Attr] = {}

    def inputs(self, graph: Graph) -> None:
        """Write what the graph takes."""
        for value in graph.inputs:
            default = graph.defaults.get(value)
            if default is not None:
                self.values[value] = self.attribute(
                    self.writer.weights.name_of(Value(default.type, None, default, value.name))
                )
                continue
            node = self.sheet.placeholder(identifier(value.name))
            self.values[value] = node
            self.sizes.learn(value, node)

    def results(self, graph: Graph) -> list[Value]:
        """Write all nodes; the values that the graph gives."""
        for node in graph.nodes():
            self.node(node)
        return [v for v in graph.outputs if v is not None]

    def value(self, value: Value | None) -> Any:
        """A value as a tensor."""
        if value is None:
            return None
        if value not in self.values:
            assert value.const is not None
            self.values[value] = self.attribute(self.writer.weights.name_of(value))
        return self.values[value]

    def read(self, node: Node, value: Value | None) -> Any:
        """A value as a node reads it: where it may derive to no number, gradients stay numbers."""
        given = self.value(value)
        if value is None or value.const or not is_float(value) or not may_derive_to_none(node):
            return given
        return self.sheet.call_function(finite, (given,))

    def attribute(self, name: str) -> Any:
        """A parameter or a buffer."""
        if name not in self.attributes:
            self.attributes[name] = self.sheet.get_attr(name)
        return self.attributes[name]

    def numbers(self, value: Value | None) -> Any:
        """A small value as plain numbers: known ones, sizes of inputs, or read when it runs."""
        if value is None:
            return None
        if value.const is not None:
            return value.const.load().tolist()
        contents = contents_of(value)
        if contents is not None:
            written = self.sizes.written(contents)
            if written is not None:
                return written
        return self.sheet.call_function(plain, (self.value(value),))

    def node(self, node: Node) -> None:
        """Write one node."""
        function = self.writer.graph.functions.get(node.op)
        if function is not None:
            self._inline(node, function)
            return
        if node.op == "Sizes":
            dims: Any = node.attrs["dims"]
            written = self.sizes.written(dims)
            if written is None:
                raise ModelError(f"the sizes {dims} cannot be read off the inputs")
            made = self.sheet.call_function(listed, (written, self._marker()))
            self.values[node.outputs[0]] = made
            return
        if node in self.writer.calls:
            given = tuple(self.value(v) for v in node.inputs if v is not None)
            made = self.sheet.call_module(self.writer.calls[node], given)
            self.values[node.outputs[0]] = made
            return
        passing = call_of(node) if self.writer.straight else None
        if passing is not None:
            call, values, settings = passing
            read = tuple(self.read(node, v) for v in values)
            made = self.sheet.call_function(call, read, settings)
            if node.op == "Cast":
                like = self._like(node.outputs[0], node.attrs["to"])
                made = self.sheet.call_function(cast, (made, like))
            self.values[node.outputs[0]] = made
            return
        if node.op == "Attention" and node.bodies:
            self._written_out(node)
            return
        row = self.writer.rows[node.op]
        root = node.inputs[0].producer if node.op == "Reciprocal" and node.inputs[0] else None
        if root is not None and root.op == "Sqrt":  # as PyTorch itself rounds and derives it
            given = self.value(root.inputs[0])
            self.values[node.outputs[0]] = self.sheet.call_function(torch.rsqrt, (given,))
            return
        args = [
            self.numbers(v) if i in row.numbers or _is_power(node, i) else self.read(node, v)
            for i, v in enumerate(node.inputs)
        ]
        self._bind(
            node, self.sheet.call_function(row.function, tuple(args), self._attrs(node, row))
        )

    def _written_out(self, node: Node) -> None:
        """Write an attention whose weights a body makes as the operators it is made of."""
        body, made = node.bodies[BODY], list[Node]()
        rows: list[tuple[Value, Value]] = []

        def make(op: str, *inputs: Value | float | None, **attrs: Attr) -> Value:
            made.append(node_of(op, inputs, attrs))
            return made[-1].outputs[0]

        def normalized(scores: Value) -> Value:
            rows.append((scores, inlined(make, body, scores)))
            return rows[-1][1]

        fields: dict[str, Any] = dict(node.attrs)
        operands: list[Any] = list(node.inputs)
        y = written_out(make, *operands, normalizer=normalized, **fields)
        in_integers = self.writer.straight and is_in_integers(body)
        for each in made:
            self.node(each)
            for scores, weights in rows if in_integers else ():
                if each is weights.producer:
                    pair = (self.values[weights], self.values[scores])
                    self.values[weights] = self.sheet.call_function(straight_softmax, pair)
        self.values[node.outputs[0]] = self.value(y)
        for each in reversed(made):
            each.detach()

    def _marker(self) -> Any:
        return self.attribute(self.writer.marker)

    def _attrs(self, node: Node, row: Lowering) -> dict[str, Any]:
        attrs = {key: self._attr(a) for key, a in node.attrs.items() if key != "to"}
        if row.creates:
            attrs["like"] = self._like(node.outputs[0], node.attrs.get("to"))
        return attrs

    def _attr(self, attr: Attr) -> Any:
        if isinstance(attr, AttrRef):
            return self._attr(self.caller[attr.name])
        if isinstance(attr, Const):
            return attr.load().reshape(-1)[0].item()
        if isinstance(attr, bytes):
            return attr.decode()
        if isinstance(attr, Sym):
            raise ModelError("a size is an attribute of an operator that has none")
        return attr

    def _like(self, value: Value, to: Attr | None) -> Any:
        """A tensor of the type that `value` is to have: the module's float type follows it."""
        known = value.type.dtype if isinstance(value.type, TensorType) else "i64"
        dtype = str(to) if isinstance(to, str) else known
        if dtype == self.writer.float:
            return self._marker()
        if dtype not in DTYPES:
            raise ModelError(f"PyTorch has no tensors of {dtype}")
        call = torch.Tensor.new_empty
        return self.sheet.call_function(call, (self._marker(), 0), {"dtype": DTYPES[dtype]})

    def _bind(self, node: Node, made: Any) -> None:
        if self.writer.rows[node.op].results == 1:
            self.values[node.outputs[0]] = made
            return
        for i, value in enumerate(node.outputs):
            if value.uses:
                self.values[value] = self.sheet.call_function(operator.getitem, (made, i))

    def _inline(self, node: Node, function: Function) -> None:
        """Write the body of a function where it is called."""
        body = function.body
        outer, self.caller = self.caller, node.attrs
        for inside, outside in zip(body.inputs, node.inputs, strict=False):
            self.values[inside] = self.value(outside)
        for each in body.nodes():
            self.node(each)
        self.caller = outer
        for value, result in zip(node.outputs, body.outputs, strict=True):
            self.values[value] = self.value(result)


def _is_power(node: Node, index: int) -> bool:
    """Whether an input is the exponent, one number, by which PyTorch chooses how to compute."""
    value = node.inputs[index]
    return node.op == "Pow" and index == 1 and value is not None and scalar(value) is not None
