"""Contractions and attention: which axes they share, and which they sum over."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeAlias

from graphwright.ir.dims import Dim
from graphwright.ir.graph import Node, Value
from graphwright.ir.quotients import exact_quotient
from graphwright.passes.attention.factors import Factor, Unprovable, View, new_axis
from graphwright.passes.attention.steps import shape
from graphwright.passes.axes.working import How, Working, meeting

Labels: TypeAlias = "tuple[Hashable, ...]"


def labelled(node: Node, operands: Sequence[Labels], result: Labels) -> Working:
    """A contraction whose axes have labels: an axis that the result lacks is summed over."""
    factors: dict[Hashable, list[Factor]] = {}
    sizes: dict[Hashable, Dim] = {}
    found = Working([], [])
    for value, labels in zip(node.inputs, operands, strict=False):
        dims = shape(value)
        if len(labels) != len(dims) or len(set(labels)) < len(labels):
            raise Unprovable("an operand of other axes")
        for label, dim in zip(labels, dims, strict=True):
            if sizes.get(label, 1) == 1:
                sizes[label], factors[label] = dim, new_axis(dim)
    for value, labels in zip(node.inputs, operands, strict=False):
        whole = [factors[each] for each in labels]
        found.inputs.append(meeting(found, whole, [sizes[each] for each in labels], value))
    found.inputs += [None] * (len(node.inputs) - len(operands))
    found.outputs.append([factors[each] for each in result])
    for label, axis in factors.items():
        if label not in result:
            found.treats(axis, How.REDUCES)
    return found


def matmul(node: Node) -> Working:
    """MatMul, of vectors as well, and ONNX Runtime's FusedMatMul."""
    a, b = (len(shape(v)) for v in node.inputs[:2])
    if node.attrs.get("transBatchA") or node.attrs.get("transBatchB") or not a or not b:
        raise Unprovable("a FusedMatMul whose batches stand inside")
    batch = tuple(range(max(a, b, 2) - 2))
    left: Labels = ("c", "m") if node.attrs.get("transA") else ("m", "c")
    right: Labels = ("n", "c") if node.attrs.get("transB") else ("c", "n")
    left, right = (left if a > 1 else ("c",)), (right if b > 1 else ("c",))
    one, other = (batch[len(batch) - max(rank - 2, 0) :] for rank in (a, b))
    rows: Labels = (*batch, *(("m",) if a > 1 else ()), *(("n",) if b > 1 else ()))
    return labelled(node, ((*one, *left), (*other, *right)), rows)


def gemm(node: Node) -> Working:
    """Gemm, whose third operand broadcasts to the result."""
    a: Labels = ("c", "m") if node.attrs["transA"] else ("m", "c")
    b: Labels = ("n", "c") if node.attrs["transB"] else ("c", "n")
    return _with_bias(node, labelled(node, (a, b), ("m", "n")))


def linear(node: Node) -> Working:
    """Linear: a matrix, and a vector that is added."""
    lead = tuple(range(len(shape(node.inputs[0])) - 1))
    weight: Labels = ("n", "c") if node.attrs.get("transposed") else ("c", "n")
    return _with_bias(node, labelled(node, ((*lead, "c"), weight), (*lead, "n")))


def _with_bias(node: Node, found: Working) -> Working:
    result = found.outputs[0]
    if len(node.inputs) > 2 and result is not None:
        found.inputs[2] = meeting(found, result, shape(node.outputs[0]), node.inputs[2])
    return found


def einsum(node: Node) -> Working:
    """Einsum of letters, of which none stands twice in one operand."""
    left, arrow, result = str(node.attrs["equation"]).replace(" ", "").partition("->")
    if not arrow or "." in left:
        raise Unprovable("an Einsum without an arrow, or with dots")
    return labelled(node, [tuple(term) for term in left.split(",")], tuple(result))


def attention(node: Node) -> Working:
    """Attention is pointwise along queries, heads and the width of the values."""
    q, k, v = (shape(x) for x in node.inputs[:3])
    times = exact_quotient(q[-3], k[-3])
    if times is None:
        raise Unprovable("heads that do not divide")
    lead_dims = shape(node.outputs[0])[:-3]
    lead = [new_axis(dim) for dim in lead_dims]
    shared, group = new_axis(k[-3]), new_axis(times)
    queries, keys = new_axis(q[-2]), new_axis(k[-2])
    width, values = new_axis(q[-1]), new_axis(v[-1])
    heads = [*shared, *group]
    found = Working([], [[*lead, heads, queries, values]])
    found.treats((*keys, *width), How.REDUCES)

    def operand(value: Value | None, axes: View, dims: Sequence[Dim]) -> View | None:
        return meeting(found, [*lead, *axes], [*lead_dims, *dims], value)

    found.inputs = [
        operand(node.inputs[0], [heads, queries, width], q[-3:]),
        operand(node.inputs[1], [shared, keys, width], k[-3:]),
        operand(node.inputs[2], [shared, keys, values], v[-3:]),
    ]
    scores: View = [heads, queries, keys]
    sizes = (q[-3], q[-2], k[-2])
    for i, value in enumerate(node.inputs[3:]):
        sink = i == 2  # it has one column
        axes: View = [*scores[:2], []] if sink else scores
        found.inputs.append(operand(value, axes, (*sizes[:2], 1) if sink else sizes))
    return found
