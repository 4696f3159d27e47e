"""What is wrong with a graph, a sentence for each invariant that it breaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from graphwright.ir.const import Const
from graphwright.ir.dims import Sym
from graphwright.ir.graph import AttrRef, Carried, Contents, Graph, Node, Use, Value
from graphwright.ir.ops import infer
from graphwright.ir.types import OptionalType, SequenceType, TensorType, Type

ELEMENTS = frozenset({int, bool, float, str, bytes, Sym})
KINDS = ELEMENTS | {tuple, Const, Carried, AttrRef}


def problems(graph: Graph) -> Iterator[str]:
    """Each invariant that the graph, its bodies and functions break; nothing for a sound graph."""
    model = _Model()
    model.add(graph, "")
    for name, function in graph.functions.items():
        if function.name != name:
            yield f"the function '{function.name}' stands under the name '{name}'"
        model.add(function.body, f"in the function '{name}': ")
    yield from model.cycles
    for part in model.parts:
        for found in part.problems():
            yield part.where + found


class _Model:
    """All graphs of a model, each node in the first graph that it was met in."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.home: dict[Node, _Part] = {}
        self.cycles: list[str] = []

    def add(self, graph: Graph, where: str) -> None:
        """Add a graph and its bodies; one with a cycle is only noted."""
        try:
            nodes = graph.nodes()
        except ValueError as error:
            self.cycles.append(f"{where}{error}")
            return
        part = _Part(graph, nodes, where, self.home)
        self.parts.append(part)
        for node in (*nodes, graph.result):
            self.home.setdefault(node, part)
        for node in nodes:
            for name, body in node.bodies.items():
                self.add(body, f"{where}in {name} of {_label(node)}: ")


class _Part:
    """One graph of a model."""

    def __init__(
        self, graph: Graph, nodes: list[Node], where: str, home: dict[Node, _Part]
    ) -> None:
        self.graph, self.nodes, self.where, self.home = graph, nodes, where, home
        self.all = [*nodes, graph.result]
        self.values: dict[Value, None] = dict.fromkeys(graph.inputs)
        for node in self.all:
            self.values.update(dict.fromkeys(v for v in node.operands() if v is not None))
            self.values.update(dict.fromkeys(node.outputs))

    def problems(self) -> Iterator[str]:
        yield from self._interface()
        inputs = set(self.graph.inputs)
        for node in self.all:
            if self.home[node] is not self:
                yield f"{_label(node)} stands in another graph too"
            for index, value in enumerate(node.operands()):
                if value is not None:
                    yield from _read(node, index, value, inputs)
            yield from _results(node)
            yield from _attributes(node)
            yield from _bodies(node)
        for value in self.values:
            yield from self._uses(value)
            yield from _value(value)

    def _interface(self) -> Iterator[str]:
        graph = self.graph
        yield from _repeated("inputs", [v.name for v in graph.inputs if v.name])
        if len(set(graph.inputs)) < len(graph.inputs):
            yield "one value is two inputs"
        for value in graph.inputs:
            if value.producer is not None or value.const is not None:
                yield f"the input {_name(value)} is made by a node, or is a constant"
        for value, const in graph.defaults.items():
            if value not in graph.inputs:
                yield f"{_name(value)} has a default and is no input"
            elif why := _contradiction(value.type, const.type):
                yield f"the default of {_name(value)} does not fit it: {why}"
        if graph.result.op != "return" or graph.result.outputs:
            yield f"the graph ends with {_label(graph.result)}, which is no return"
        names = graph.result.attrs.get("names")
        if not isinstance(names, tuple) or len(names) != len(graph.outputs):
            yield f"{len(graph.outputs)} outputs are called {names!r}"
        else:
            yield from _repeated("outputs", [str(n) for n in names])
        if len(set(graph.kept)) < len(graph.kept) or graph.result in graph.kept:
            yield "a node is kept twice"

    def _uses(self, value: Value) -> Iterator[str]:
        for use in value.uses:
            home = self.home.get(use.node)
            if home is None or (home is not self and value.const is None):
                yield f"{_name(value)} is said to be read by {_label(use.node)}, which is elsewhere"
            elif not _reads(use, value):
                yield f"{_name(value)} is said to be read by {_label(use.node)}, which does not"


def _reads(use: Use, value: Value) -> bool:
    operands = use.node.operands()
    return use.index < len(operands) and operands[use.index] is value


def _read(node: Node, index: int, value: Value, inputs: set[Value]) -> Iterator[str]:
    if Use(node, index) not in value.uses:
        yield f"{_label(node)} reads {_name(value)}, which does not know of it"
    if value.producer is not None:
        if not any(v is value for v in value.producer.outputs):
            yield f"{_name(value)} is made by {_label(value.producer)}, which does not know of it"
    elif value.const is None and value not in inputs:
        yield f"{_label(node)} reads {_name(value)}, which nothing in its graph gives"


def _results(node: Node) -> Iterator[str]:
    if len(set(node.outputs)) < len(node.outputs):
        yield f"{_label(node)} gives one value twice"
    for value in node.outputs:
        if value.producer is not node:
            other = "nothing" if value.producer is None else _label(value.producer)
            yield f"{_label(node)} gives {_name(value)}, which is said to be made by {other}"
    try:
        types = infer(node.op, node.inputs, node.attrs, len(node.outputs))
    except (TypeError, ValueError) as error:
        yield f"{_label(node)} does not fit what it reads: {error}"
        return
    for value, inferred in zip(node.outputs, types, strict=True):
        if why := _contradiction(value.type, inferred):
            yield f"the type of {_name(value)} is not what {_label(node)} gives: {why}"


def _contradiction(stated: Type, other: Type) -> str | None:
    """Why no value has both types, or None where one may."""
    differ = f"{stated} is not {other}"
    match stated, other:
        case TensorType(dtype, shape), TensorType(other_dtype, other_shape):
            if dtype != other_dtype:
                return differ
            if shape is None or other_shape is None:
                return None
            if len(shape) != len(other_shape):
                return differ
            sizes = zip(shape, other_shape, strict=True)
            clash = any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in sizes)
            return differ if clash else None
        case (SequenceType(a), SequenceType(b)) | (OptionalType(a), OptionalType(b)):
            return _contradiction(a, b)
        case (TensorType(), SequenceType()) | (SequenceType(), TensorType()):
            return differ
    return None


def _attributes(node: Node) -> Iterator[str]:
    for name, attr in node.attrs.items():
        plain = type(attr) in KINDS
        if isinstance(attr, tuple):
            plain = all(type(element) in ELEMENTS for element in attr)
        if not plain or not isinstance(name, str):
            yield f"the attribute {name} of {_label(node)} is {attr!r}, which is no attribute"


def _bodies(node: Node) -> Iterator[str]:
    if node.captures and not node.bodies:
        yield f"{_label(node)} captures {len(node.captures)} values and has no body"
    for name, body in node.bodies.items():
        own = len(body.inputs) - len(node.captures)
        if own < 0:
            yield (
                f"{_label(node)} captures {len(node.captures)} values "
                f"and its body {name} has {len(body.inputs)} inputs"
            )
            continue
        for inside, outside in zip(body.inputs[own:], node.captures, strict=True):
            if why := _contradiction(inside.type, outside.type):
                yield f"{name} of {_label(node)} captures {_name(outside)}: {why}"


def _value(value: Value) -> Iterator[str]:
    if value.const is not None:
        if value.producer is not None:
            yield f"{_name(value)} is a constant and is made by {_label(value.producer)}"
        if value.type != value.const.type:
            yield f"{_name(value)} is {value.type} and holds {value.const.type}"
    if value.contents is not None and not _holds(value.type, value.contents):
        yield f"{_name(value)} is {value.type}, which cannot hold {value.contents}"


def _holds(type_: Type, contents: Contents) -> bool:
    if not isinstance(type_, TensorType):
        return False
    shape = (len(contents),) if isinstance(contents, tuple) else ()
    return _contradiction(type_, TensorType(type_.dtype, shape)) is None


def _repeated(what: str, names: Sequence[str]) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{count} {what} are called '{name}'"


def _name(value: Value) -> str:
    if value.name:
        return f"'{value.name}'"
    return "a constant" if value.producer is None else f"a result of {_label(value.producer)}"


def _label(node: Node) -> str:
    name = node.name or next((v.name for v in node.outputs if v.name), "")
    return f"{node.op} '{name}'" if name else node.op
