"""What makes weights of scores, whatever it is, if it works on rows: a normalizer's body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphwright.ir.const import from_array
from graphwright.ir.graph import Attr, Graph, Node, Value
from graphwright.ir.normalizers import ALONG_ROW, BODY, REDUCTIONS
from graphwright.ir.ops import infer, node_of, return_node
from graphwright.ir.rows import POINTWISE, faults
from graphwright.ir.types import TensorType
from graphwright.passes.attention.factors import Unprovable
from graphwright.passes.attention.steps import REGROUPING, shape
from graphwright.passes.rule import need

LOOK = 64  # nodes of a normalizer, at most
PASSED = REGROUPING | {"Identity", "Cast", "Dropout", "Transpose", "Slice"}
LINEAR = frozenset({"Add", "Sub", "Mul", "Div", "Neg", "Cast", "Identity"})
REDUCING = REDUCTIONS | ALONG_ROW


@dataclass(frozen=True)
class Weighing:
    """What makes `weights` of `scores`, whose rows lie along `axis`: `nodes`, producers first."""

    scores: Value
    weights: Value
    axis: int
    nodes: tuple[Node, ...]

    @property
    def is_softmax(self) -> bool:
        """Whether it is what an Attention does by itself."""
        return len(self.nodes) == 1 and self.nodes[0].op == "Softmax"


def of_softmax(softmax: Node) -> Weighing:
    """A softmax as what makes weights. Raises Unprovable for one over several axes."""
    axis = softmax.attrs.get("axis")
    scores = softmax.inputs[0]
    if softmax.op != "Softmax" or not isinstance(axis, int) or scores is None:
        raise Unprovable("it normalizes several axes at once, as softmax did before opset 13")
    return Weighing(scores, softmax.outputs[0], axis % len(shape(scores)), (softmax,))


def may_weigh(product: Node) -> bool:
    """Whether what a product reads may be weights that something else than softmax made."""
    return any(_starts(product))


def weighings(product: Node) -> Iterator[Weighing]:
    """Every way to read what a product reads as weights: of as many nodes as is needed."""
    for weights in _starts(product):
        yield from _ending_in(weights)


def _starts(product: Node) -> Iterator[Value]:
    """The values that may be weights: the product is with something that is computed."""
    a, b = product.inputs[:2]
    for value, other in ((a, b), (b, a)):
        if value is not None and other is not None and other.const is None:
            yield from _behind(value)


def _behind(value: Value) -> Iterator[Value]:
    """What works on rows and becomes `value` by steps that may follow a normalizer."""
    waiting, seen = [value], {value}
    for each in waiting:  # which grows
        node = each.producer
        if node is None or node.outputs[0] is not each or len(seen) > LOOK:
            continue
        if node.op in POINTWISE or node.op in REDUCING:
            yield each
        for before in _passed(node):
            if before not in seen:
                seen.add(before)
                waiting.append(before)


def _passed(node: Node) -> list[Value]:
    """What a step that may follow a normalizer passes on."""
    if node.op in PASSED:
        return [v for v in node.inputs[:1] if v is not None]
    if node.op == "Mul":
        return [v for v in node.inputs if v is not None and v.type == node.outputs[0].type]
    return [v for v in node.inputs[2:] if v is not None] if node.op == "Where" else []


def _ending_in(weights: Value) -> Iterator[Weighing]:
    try:
        rank = len(shape(weights))
        region = _region(weights, rank)
        axis = _axis(region, rank)
    except Unprovable:
        return
    if all(node.op in LINEAR for node in region):
        return
    for scores in _narrow(region, weights):
        nodes = tuple(_between(scores, weights, region))
        if any(node.op not in LINEAR for node in nodes):
            yield Weighing(scores, weights, axis, nodes)


def _region(weights: Value, rank: int) -> list[Node]:
    """The nodes that work on rows and lead to the weights, producers first."""
    order: list[Node] = []
    seen: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(weights.producer, False)] if weights.producer else []
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen and _works_on_rows(node, rank):
            seen.add(node)
            if len(seen) > LOOK:
                raise Unprovable("a normalizer of many nodes")
            stack.append((node, True))
            made = [v.producer for v in node.inputs if v is not None and v.producer is not None]
            stack += [(each, False) for each in made]
    return order


def _works_on_rows(node: Node, rank: int) -> bool:
    if node.op in REDUCTIONS and (node.attrs.get("keepdims", 1) != 1 or "axes" not in node.attrs):
        return False
    known = node.op in POINTWISE or node.op in REDUCING
    try:
        return known and len(shape(node.outputs[0])) == rank
    except Unprovable:
        return False


def _axis(region: list[Node], rank: int) -> int:
    """The axis that all reductions are along; the last, where there are none."""
    found: set[object] = set()
    for node in region:
        if node.op in ALONG_ROW:
            found.add(_counted(node.attrs.get("axis"), rank))
        elif node.op in REDUCTIONS:
            axes = node.attrs["axes"]
            found |= {_counted(a, rank) for a in axes} if isinstance(axes, tuple) else {None}
    if len(found) > 1 or None in found:
        raise Unprovable("a normalizer along several axes")
    axis = found.pop() if found else rank - 1
    assert isinstance(axis, int)
    return axis


def _counted(axis: object, rank: int) -> int | None:
    return axis % rank if isinstance(axis, int) else None


def _narrow(region: list[Node], weights: Value) -> Iterator[Value]:
    """The values that all of the weights is made of, the nearest to the weights first."""
    inside = set(region)
    read = [value for node in reversed(region) for value in node.inputs if value is not None]
    for value in dict.fromkeys(read):
        if value.const is None and _is_all(value, weights, inside):
            yield value


def _is_all(scores: Value, weights: Value, inside: set[Node]) -> bool:
    """Whether nothing but `scores` and constants leads to the weights."""
    stack, seen = [weights], {weights}
    while stack:
        value = stack.pop()
        if value is scores or value.const is not None:
            continue
        if value.producer is None or value.producer not in inside:
            return False
        for each in value.producer.inputs:
            if each is not None and each not in seen:
                seen.add(each)
                stack.append(each)
    return True


def _between(scores: Value, weights: Value, region: list[Node]) -> Iterator[Node]:
    needed = {weights}
    found = []
    for node in reversed(region):
        if node.outputs[0] in needed and node.outputs[0] is not scores:
            found.append(node)
            needed.update(v for v in node.inputs if v is not None)
    yield from reversed(found)


def scores_type(operands: Sequence[Value | None], attrs: Mapping[str, Attr]) -> TensorType:
    """The type of the scores of an Attention as its normalizer sees them, a sink's column too.

    Refuses where it is not known.
    """
    (result,) = infer("Attention", operands, attrs)
    q, k = (value.type if value is not None else None for value in operands[:2])
    known = isinstance(q, TensorType) and isinstance(k, TensorType) and k.shape is not None
    need(known and isinstance(result, TensorType) and result.shape, "its shapes are not known")
    assert isinstance(q, TensorType)
    assert isinstance(k, TensorType)
    assert isinstance(result, TensorType)
    assert k.shape is not None
    assert result.shape is not None
    sinks = 1 if len(operands) > 5 and operands[5] is not None else 0
    dtype = str(attrs["precision"]) or q.dtype
    return TensorType(dtype, (*result.shape[:-1], k.shape[-2] + sinks))


def body_of(weighing: Weighing, scores: TensorType) -> Graph:
    """The nodes as a body for scores of such a type. Refuses what no body can be made of."""
    s = Value(scores, name="s")
    known = {weighing.scores: s}
    for node in weighing.nodes:
        inputs = [None if v is None else known.get(v) or _scalar(v) for v in node.inputs]
        attrs = dict(node.attrs)
        if node.op in REDUCTIONS:
            attrs["axes"] = (-1,)
        elif node.op in ALONG_ROW:
            attrs["axis"] = -1
        made = node_of(node.op, inputs, attrs, origin=node.origin)
        known[node.outputs[0]] = made.outputs[0]
    weights = known[weighing.weights]
    weights.name = "w"
    body = Graph(BODY, (s,), return_node([weights], ["w"]))
    for fault in faults(body):
        need(False, f"its normalizer is none that works on rows: {fault}")
    return body


def _scalar(value: Value) -> Value:
    """A constant of one element, whatever its rank."""
    need(value.const is not None, "its normalizer reads something beside the scores")
    assert value.const is not None
    held = value.const.load()
    need(held.size == 1, "its normalizer reads a constant that is no single number")
    const = from_array(np.array(held.reshape(-1)[0], held.dtype))
    return Value(const.type, const=const)
