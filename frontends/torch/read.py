"""An exported program as a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from graphwright.frontends.aten import Builder, NotRead, is_known, read
from graphwright.frontends.torch.export import Names
from graphwright.frontends.torch.origins import name_of, source_of
from graphwright.frontends.torch.outputs import output_names
from graphwright.frontends.torch.tensors import Sizes, const_of, dtype_of
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Value
from graphwright.ir.provenance import Origin
from graphwright.ir.types import Type

INLINED = ("wrap_with_set_grad_enabled", "wrap_with_autocast")
"""Operators that call a graph of their own, and change nothing of what it computes here."""


def read_program(program: Any, names: Names) -> Graph:
    """The graph of a program that was taken apart; `names` are those of sizes of its inputs.

    Raises ModelError: for operators without a reading, all of them in one.
    """
    reader = _Reader(program)
    _refuse_changes(program)
    inputs = reader.inputs(names)
    outputs = [
        (arg, name)
        for arg, name in zip(_output_args(program), output_names(program), strict=True)
        if arg is not None
    ]
    needed = _needed([arg for arg, _ in outputs])
    _refuse_unknown(needed)
    found = [(reader.output(arg), name) for arg, name in outputs]
    if not found:
        raise ModelError("the program gives no tensor")
    return reader.builder.graph(inputs, [v for v, _ in found], [name for _, name in found])


def _output_args(program: Any) -> list[Any]:
    """What the program gives, without what it notes for itself."""
    (node,) = (n for n in program.graph.nodes if n.op == "output")
    specs = program.graph_signature.output_specs
    pairs = zip(specs, node.args[0], strict=True)
    kept = [arg for spec, arg in pairs if spec.kind.name == "USER_OUTPUT"]
    return [arg if isinstance(arg, torch.fx.Node | int | float) else None for arg in kept]


def _refuse_changes(program: Any) -> None:
    specs = program.graph_signature.output_specs
    changed = [str(s.target) for s in specs if s.kind.name.endswith("_MUTATION")]
    if changed:
        raise ModelError(
            f"the module changes {', '.join(changed)} in each call, which a graph cannot; "
            "call eval() on it, or give what it changes as inputs and outputs"
        )


def _is_size(node: Any) -> bool:
    return isinstance(node.meta.get("val"), int | torch.SymInt | torch.SymFloat | torch.SymBool)


def _needed(outputs: Sequence[Any]) -> list[Any]:
    """The operators that outputs depend on; sizes need none, since they are known as formulas."""
    found: dict[Any, None] = {}
    loose = [n for n in outputs if isinstance(n, torch.fx.Node)]
    while loose:
        node = loose.pop()
        if node not in found and not _is_size(node):
            found[node] = None
            loose += node.all_input_nodes
            for inner in _inner_outputs(node):
                loose += [n for n in inner if isinstance(n, torch.fx.Node)]
    return list(found)


def _inner_outputs(node: Any) -> Iterator[Sequence[Any]]:
    """What the graphs give that an inlined operator calls."""
    if _target(node) in INLINED:
        body = _body(node)
        yield from (n.args[0] for n in body.graph.nodes if n.op == "output")


def _body(node: Any) -> Any:
    (getter,) = (a for a in node.args if isinstance(a, torch.fx.Node) and a.op == "get_attr")
    return getattr(getter.graph.owning_module, getter.target)


def _target(node: Any) -> str:
    if node.op != "call_function":
        return str(node.op)
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        return str(target)
    return str(getattr(target, "__name__", target))


def _refuse_unknown(nodes: Sequence[Any]) -> None:
    """Raise one ModelError for all operators without a reading."""
    known = ("getitem", *INLINED)
    calls = [n for n in nodes if n.op == "call_function"]
    unknown = Counter(t for n in calls if (t := _target(n)) not in known and not is_known(t))
    if unknown:
        listed = ", ".join(f"{name} ({count} times)" for name, count in sorted(unknown.items()))
        hint = "; call eval() on the module" if any("dropout" in name for name in unknown) else ""
        raise ModelError(f"there is no reading of these operators of PyTorch: {listed}{hint}")


class _Reader:
    """Reads the operators of one program, each when something needs it."""

    def __init__(self, program: Any) -> None:
        self.program = program
        self.builder = Builder()
        self.sizes = Sizes()
        self.found: dict[Any, Any] = {}
        self.shared: dict[object, Value] = {}

    def inputs(self, names: Names) -> list[Value]:
        """The graph's inputs; parameters and buffers become constants."""
        given: list[tuple[Any, Mapping[int, str]]] = []
        specs = self.program.graph_signature.input_specs
        holders = [n for n in self.program.graph.nodes if n.op == "placeholder"]
        for spec, node in zip(specs, holders, strict=True):
            if spec.kind.name == "USER_INPUT":
                given.append((node, names.get(len(given), {})))
            elif spec.kind.name in ("PARAMETER", "BUFFER", "CONSTANT_TENSOR"):
                self.found[node] = self._constant(str(spec.target))
        for node, named in given:
            self._call_sizes(node, named)
        found: list[Value] = []
        for node, _ in given:
            value = node.meta.get("val")
            if isinstance(value, torch.Tensor):
                read_as = Value(self.sizes.type_of(value), name=node.name)
                self.found[node] = read_as
                found.append(read_as)
            elif isinstance(value, torch.SymInt):
                raise ModelError(f"the input '{node.name}' is a number; make it a tensor")
            else:
                self.found[node] = value
        return found

    def _call_sizes(self, node: Any, named: Mapping[int, str]) -> None:
        """Note what the user calls the sizes of an input; the first name of a size counts."""
        for axis, name in named.items():
            size = node.meta["val"].shape[axis]
            if isinstance(size, torch.SymInt) and size.node.expr.is_Symbol:
                self.sizes.names.setdefault(size.node.expr.name, name)

    def _constant(self, name: str) -> Value:
        held = self.program.state_dict.get(name)
        tensor = self.program.constants.get(name) if held is None else held
        if not isinstance(tensor, torch.Tensor):
            raise ModelError(f"'{name}' is no tensor")
        place = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        key: object = place if tensor.numel() else name
        value = self.shared.get(key)
        if value is None:
            const = const_of(tensor)
            value = self.shared[key] = Value(const.type, const=const, name=name)
        return value

    def output(self, arg: Any) -> Value:
        """A value that the graph gives; a size becomes a tensor."""
        found = self._argument(arg)
        if isinstance(found, Value):
            return found
        if isinstance(found, float):
            return self.builder.constant(found, "f32")
        return self.builder.size(found)

    def _argument(self, arg: Any) -> Any:
        """An argument as readings take it."""
        if isinstance(arg, torch.fx.Node):
            return self._read(arg)
        if isinstance(arg, list | tuple):
            return [self._argument(a) for a in arg]
        if isinstance(arg, torch.dtype):
            return dtype_of(arg)
        if isinstance(arg, torch.SymInt):
            return self.sizes.dim(arg)
        return arg

    def _read(self, node: Any) -> Any:
        if node not in self.found:
            # Producers first, and without recursion: programs are thousands of operators deep.
            pending = [node]
            while pending:
                last = pending[-1]
                before = [n for n in _read_before(last) if n not in self.found]
                if before:
                    pending += before
                else:
                    pending.pop()
                    if last not in self.found:
                        self.found[last] = self._made(last)
        return self.found[node]

    def _made(self, node: Any) -> Any:
        if _is_size(node):
            value = node.meta["val"]
            if isinstance(value, torch.SymFloat | torch.SymBool):
                raise ModelError(f"'{node.name}' is computed of sizes, and is no size: {value}")
            return self.sizes.dim(value)
        target = _target(node)
        if node.op == "get_attr":
            return self._attribute(node)
        if target == "getitem":
            return self.found[node.args[0]][node.args[1]]
        if target in INLINED:
            return self._inlined(node)
        return self._called(node, target)

    def _attribute(self, node: Any) -> Any:
        held = getattr(node.graph.owning_module, node.target)
        if not isinstance(held, torch.Tensor):
            return None  # a graph that an operator calls, which is looked up there
        const = const_of(held)
        return Value(const.type, const=const, name=str(node.target))

    def _called(self, node: Any, target: str) -> Any:
        args = [self._argument(a) for a in node.args]
        kwargs = {key: self._argument(a) for key, a in node.kwargs.items()}
        self.builder.origin = Origin((source_of(node),))
        results = self._results(node)
        try:
            values = read(target, self.builder, args, kwargs, results)
        except NotRead as error:
            raise ModelError(f"at {source_of(node)}: {error}") from error
        first = values[0] if values else None
        if first is not None and first.producer is not None and not first.producer.name:
            first.producer.name = name_of(node)
            first.name = first.name or str(node.name)
        single = isinstance(node.meta.get("val"), torch.Tensor)
        return values[0] if single else list(values)

    def _results(self, node: Any) -> list[Type]:
        value = node.meta.get("val")
        all_ = value if isinstance(value, list | tuple) else [value]
        return [self.sizes.type_of(v) for v in all_ if isinstance(v, torch.Tensor)]

    def _inlined(self, node: Any) -> Any:
        """What the graph gives that a node calls, read where it stands."""
        body = _body(node)
        getter = next(a for a in node.args if getattr(a, "op", "") == "get_attr")
        operands = node.args[node.args.index(getter) + 1 :]
        holders = [n for n in body.graph.nodes if n.op == "placeholder"]
        for holder, operand in zip(holders, operands, strict=True):
            self.found[holder] = self._argument(operand)
        (given,) = (n.args[0] for n in body.graph.nodes if n.op == "output")
        return self._argument(given)


def _read_before(node: Any) -> Iterator[Any]:
    """The operators whose results an operator reads, in order; a size needs none."""
    if not _is_size(node):
        yield from reversed(node.all_input_nodes)
