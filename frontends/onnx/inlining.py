"""The bodies of model-local functions put where they are called.

`onnx.inliner` forgets the defaults of a function's attributes, and lets a function stand in for an
operator of ONNX's own that ONNX Runtime would run instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import onnx

from graphwright.frontends.onnx.calls import (
    Key,
    bodies_of,
    called_by,
    domain_of,
    functions_of,
)
from graphwright.frontends.onnx.inference import schema
from graphwright.ir.errors import ModelError

MOST = 10**7  # nodes: functions that call others twice, which do so too, unfold without end


def inline_functions(model: onnx.ModelProto) -> None:
    """Put the body of each function where it is called, and let go of the function.

    A function stays that ONNX Runtime would not call, or whose operators mean something else in
    the model's opsets. Raises ModelError for functions and calls that do not fit.
    """
    opsets = _opsets(model.opset_import)
    functions = functions_of(model)
    unfolded = {
        key: function
        for key, function in functions.items()
        if key[0] and _means_the_same(function.node, _opsets(function.opset_import), opsets)
    }
    _Inliner(unfolded, set(_names(model.graph))).graph(model.graph)
    kept = [function for key, function in functions.items() if key not in unfolded]
    del model.functions[:]
    model.functions.extend(kept)
    for function in unfolded.values():
        for domain, version in _opsets(function.opset_import).items():
            if domain not in opsets:
                opsets[domain] = version
                model.opset_import.add(domain=domain, version=version)


def _opsets(said: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    return {domain_of(o.domain): o.version for o in said}


def _means_the_same(
    nodes: Iterable[onnx.NodeProto], own: Mapping[str, int], opsets: Mapping[str, int]
) -> bool:
    for node in nodes:
        domain = domain_of(node.domain)
        given = own.get(domain, 1)
        if _since(node, domain, given) != _since(node, domain, opsets.get(domain, given)):
            return False
        if not all(_means_the_same(body.node, own, opsets) for body in bodies_of(node)):
            return False
    return True


def _since(node: onnx.NodeProto, domain: str, opset: int) -> int:
    found = schema(node.op_type, domain, opset)
    return opset if found is None else found.since_version


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    """All names of a graph; ONNX Runtime takes no two nodes of one name either."""
    yield from (i.name for i in graph.input)
    yield from (t.name for t in graph.initializer)
    yield from (t.values.name for t in graph.sparse_initializer)
    for node in graph.node:
        yield node.name
        yield from node.output
        for body in bodies_of(node):
            yield from _names(body)


class _Inliner:
    """Unfolds calls; `taken` are the names that stand anywhere in the model."""

    def __init__(self, functions: Mapping[Key, onnx.FunctionProto], taken: set[str]) -> None:
        self.functions, self.taken = functions, taken
        self.made = 0

    def graph(self, graph: onnx.GraphProto) -> None:
        """Unfold the calls in a graph and in its bodies."""
        calls = any(called_by(node) in self.functions for node in graph.node)
        unfolded = [_copy(node) if calls else node for node in self._unfolded(graph.node)]
        if calls:
            del graph.node[:]
            graph.node.extend(unfolded)

    def _unfolded(self, nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
        for node in nodes:
            for body in bodies_of(node):
                self.graph(body)
            function = self.functions.get(called_by(node))
            if function is None:
                yield node
            else:
                yield from self._unfolded(self._instance(node, function))

    def _instance(
        self, call: onnx.NodeProto, function: onnx.FunctionProto
    ) -> Iterator[onnx.NodeProto]:
        label = call.name or f"{call.op_type} of {', '.join(call.output)}"
        if len(call.input) > len(function.input) or len(call.output) > len(function.output):
            raise ModelError(f"the call '{label}' has more inputs or outputs than its function")
        self.made += len(function.node)
        if self.made > MOST:
            raise ModelError(f"the functions of the model unfold to more than {MOST} nodes")
        names = dict.fromkeys([*function.input, ""], "")
        names.update(zip(function.input, call.input, strict=False))
        passed: list[onnx.NodeProto] = []
        for inside, outside in zip(function.output, call.output, strict=False):
            if outside and inside in names:  # an input that is given back, or given twice
                given = [names[inside]]
                passed.append(onnx.NodeProto(op_type="Identity", input=given, output=[outside]))
            elif outside:
                names[inside] = outside
        attrs = {a.name: a for a in (*function.attribute_proto, *call.attribute)}
        prefix = call.name or next((name for name in call.output if name), call.op_type)
        instance = _Instance(self.taken, attrs, f"{prefix}/", function.name)
        yield from instance.nodes(function.node, names)
        yield from passed


class _Instance:
    """One call of a function: what its nodes are in the model that calls it."""

    def __init__(
        self,
        taken: set[str],
        attrs: Mapping[str, onnx.AttributeProto],
        prefix: str,
        function: str,
    ) -> None:
        self.taken, self.attrs, self.prefix, self.function = taken, attrs, prefix, function

    def nodes(self, nodes: Iterable[onnx.NodeProto], names: dict[str, str]) -> list[onnx.NodeProto]:
        """Copies of nodes; `names` says what those that are known are called in the model."""
        nodes = list(nodes)
        for node in nodes:
            for name in node.output:
                if name not in names:
                    names[name] = self._fresh(name)
        return [self._node(node, names) for node in nodes]

    def _node(self, node: onnx.NodeProto, names: dict[str, str]) -> onnx.NodeProto:
        copy = _copy(node)
        copy.name = self._fresh(node.name or node.op_type)
        del copy.input[:], copy.output[:], copy.attribute[:]
        copy.input.extend(self._known(name, names) for name in node.input)
        copy.output.extend(names[name] for name in node.output)
        for attr in node.attribute:
            given = self.attrs.get(attr.ref_attr_name) if attr.ref_attr_name else attr
            if given is not None:  # what is not given and has no default is left out
                copy.attribute.append(given)
                copy.attribute[-1].name = attr.name
        for body in bodies_of(copy):
            self._body(body, dict(names))
        return copy

    def _body(self, graph: onnx.GraphProto, names: dict[str, str]) -> None:
        sparse = [s.values for s in graph.sparse_initializer]
        own = [*graph.input, *graph.initializer, *sparse]
        inside = {each.name for each in own} | {n for node in graph.node for n in node.output}
        for name in sorted(inside - {""}):
            names[name] = self._fresh(name)
        for each in own:
            each.name = names[each.name]
        nodes = self.nodes(graph.node, names)
        del graph.node[:], graph.value_info[:]
        graph.node.extend(nodes)
        for info in graph.output:
            info.name = self._known(info.name, names)

    def _known(self, name: str, names: Mapping[str, str]) -> str:
        if name not in names:
            raise ModelError(f"the function '{self.function}' reads '{name}', which it has not")
        return names[name]

    def _fresh(self, name: str) -> str:
        made, n = f"{self.prefix}{name}", 1
        while made in self.taken:
            n += 1
            made = f"{self.prefix}{name}_{n}"
        self.taken.add(made)
        return made


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy
