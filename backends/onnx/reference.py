"""The float64 answer: what a graph means as a function of real numbers.

Every float of 16 or 32 bits becomes one of 64: inputs, constants, what is cast to. What is left of
the distance between this and what a runtime gives is that runtime's rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from graphwright.backends.onnx.fused import FUSED
from graphwright.backends.onnx.meanings import MEANINGS
from graphwright.backends.onnx.single import one_node
from graphwright.backends.onnx.sizes import read_sizes
from graphwright.ir import operators as _rows  # noqa: F401, importing them fills the table
from graphwright.ir.const import Array
from graphwright.ir.dims import Dim, Sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, AttrRef, Function, Graph, Node, Value
from graphwright.ir.normalizers import BODY as NORMALIZER
from graphwright.ir.ops import OPS
from graphwright.ir.order import reachable
from graphwright.ir.substitution import evaluate
from graphwright.ir.types import NUMPY

Feed = Mapping[str, Any]
Compute = Callable[..., Any]
NARROW = frozenset(NUMPY[name] for name in ("f16", "bf16", "f32"))
KEPT = 1 << 24  # bytes: larger constants are widened anew for each set of inputs


def evaluate64(graph: Graph, feeds: Sequence[Feed]) -> list[list[Any]]:
    """The outputs of `graph` for each set of inputs, computed in float64.

    Raises ModelError for control flow, random numbers, and operators whose meaning is not known.
    """
    run = _Run(graph.functions, 21 if graph.header is None else graph.header.opsets.get("", 21))
    return [run.outputs(graph, _given(graph, feed), read_sizes(graph, feed), {}) for feed in feeds]


def widened(found: Any) -> Any:
    """`found` with every narrow float made one of 64 bits."""
    if isinstance(found, list | tuple):
        return [widened(each) for each in found]
    if found is None:
        return None
    array = np.asarray(found)
    if array.dtype.kind in "US":
        return array.astype(object)
    return array.astype(np.float64) if array.dtype in NARROW else array


def _given(graph: Graph, feed: Feed) -> list[Any]:
    found = []
    for value in graph.inputs:
        if value.name in feed:
            found.append(widened(feed[value.name]))
        elif value in graph.defaults:
            found.append(widened(graph.defaults[value].load()))
        else:
            raise ModelError(f"the input '{value.name}' is not given")
    return found


@dataclass
class _Run:
    """What the graphs of one model share while they are computed."""

    functions: Mapping[str, Function]
    opset: int
    constants: dict[Value, Any] = field(default_factory=dict)
    prepared: dict[Node, Compute] = field(default_factory=dict)

    def outputs(
        self,
        graph: Graph,
        given: Sequence[Any],
        sizes: Mapping[str, int],
        bound: Mapping[str, Attr],
    ) -> list[Any]:
        """The outputs of one graph; `bound` are the attributes of the function that it is."""
        found: dict[Value, Any] = dict(zip(graph.inputs, given, strict=True))
        nodes = reachable([graph.result])[:-1]
        dead = _last_reads(nodes, graph.result)
        for node in nodes:
            operands = [self._operand(v, found) for v in node.inputs]
            results = self._node(node, operands, sizes, bound)
            found.update(zip(node.outputs, results, strict=False))
            for value in dead.get(node, ()):
                found.pop(value, None)
        return [self._operand(v, found) for v in graph.outputs]

    def _operand(self, value: Value | None, found: Mapping[Value, Any]) -> Any:
        if value is None or value.const is None:
            return None if value is None else found[value]
        if value in self.constants:
            return self.constants[value]
        array = widened(value.const.load())
        if array.nbytes <= KEPT:
            self.constants[value] = array
        return array

    def _node(
        self, node: Node, operands: list[Any], sizes: Mapping[str, int], bound: Mapping[str, Attr]
    ) -> Sequence[Any]:
        if node.op == "Sizes":
            return [_sizes(node.attrs["dims"], sizes)]
        attrs = {name: _bound(attr, bound, node) for name, attr in node.attrs.items()}
        function = self.functions.get(node.op)
        if function is not None:
            return self.outputs(function.body, _padded(operands, function), {}, attrs)
        compute = self.prepared.get(node)
        if compute is None or bound:
            compute = self.prepared[node] = self._compute(node, attrs)
        try:
            with np.errstate(all="ignore"):
                found = compute(*operands, **attrs)
        except (ArithmeticError, ValueError, TypeError, IndexError, RuntimeError) as error:
            said = " ".join(str(error).split())[:200]
            raise ModelError(f"{_label(node)} cannot be computed in float64: {said}") from None
        several = isinstance(found, tuple)
        return [widened(each) for each in found] if several else [widened(found)]

    def _compute(self, node: Node, attrs: Mapping[str, Any]) -> Compute:
        normalizer = node.bodies.get(NORMALIZER) if node.op == "Attention" else None
        if normalizer is not None:
            weights = partial(self._weights, normalizer)
            return partial(self._table(node, attrs), normalizer=weights)
        if node.bodies:
            raise ModelError(f"{_label(node)} has bodies, which are not computed in float64")
        return self._table(node, attrs)

    def _weights(self, normalizer: Graph, scores: Array) -> Array:
        return np.asarray(self.outputs(normalizer, [scores], {}, {})[0])

    def _table(self, node: Node, attrs: Mapping[str, Any]) -> Compute:
        if node.op in FUSED:
            return FUSED[node.op]
        row = OPS.get(node.op)
        meaning = MEANINGS.get(node.op) or (None if row is None else row.numpy)
        single_output = all(not v.uses for v in node.outputs[1:])
        if meaning is not None and (single_output or node.op == "Split"):
            return lambda *operands, **given: meaning(*operands, **_widely(given))
        return one_node(node, attrs, self.opset)


def _last_reads(nodes: Sequence[Node], result: Node) -> dict[Node, list[Value]]:
    """The values that are read no more after each node."""
    last = {v: n for n in (*nodes, result) for v in n.inputs if v is not None and v.const is None}
    found: dict[Node, list[Value]] = {}
    for value, node in last.items():
        found.setdefault(node, []).append(value)
    return found


def _label(node: Node) -> str:
    named = node.name or next(iter(node.origin.sources), "")
    return f"the node '{named}' ({node.op})" if named else f"a node {node.op}"


def _widely(attrs: Mapping[str, Any]) -> dict[str, Any]:
    to = attrs.get("to")
    narrow = isinstance(to, str) and NUMPY[to] in NARROW
    return {**attrs, "to": "f64"} if narrow else dict(attrs)


def _bound(attr: Attr, bound: Mapping[str, Attr], node: Node) -> Attr:
    if not isinstance(attr, AttrRef):
        return attr
    if attr.name not in bound:
        raise ModelError(f"{_label(node)} needs the attribute '{attr.name}', which is not given")
    return bound[attr.name]


def _padded(operands: list[Any], function: Function) -> list[Any]:
    return [*operands, *[None] * (len(function.body.inputs) - len(operands))]


def _sizes(dims: Attr, sizes: Mapping[str, int]) -> Array:
    try:
        if isinstance(dims, tuple):
            return np.array([evaluate(_dim(d), sizes) for d in dims], np.int64)
        return np.array(evaluate(_dim(dims), sizes), np.int64)
    except KeyError as missing:
        raise ModelError(f"the size {missing} cannot be read off the inputs") from None


def _dim(attr: object) -> Dim:
    if isinstance(attr, int | Sym):
        return attr
    raise TypeError(f"{attr!r} is no size")
