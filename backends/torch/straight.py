"""Which nodes round, choose or derive to no number, and how gradients pass through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphwright.backends.torch.gradients import COMPARED, ROUNDED, choice, rounded, truth
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.types import FLOATS, TensorType

SINGULAR = frozenset(
    {
        *("Div", "Erf", "Exp", "Gelu", "Log", "LogSoftmax", "Pow", "Reciprocal", "ReduceMax"),
        *("ReduceMin", "Sigmoid", "Softmax", "Softplus", "Sqrt", "Swish", "Tanh"),
    }
)
"""What derives to NaN or infinity somewhere, of NaN itself at least."""

Call = tuple[Callable[..., Any], tuple[Value | None, ...], dict[str, str]]


def call_of(node: Node) -> Call | None:
    """A function with the gradient that a rounding or a threshold lacks, what it reads, and how.

    None for every other node. A Where is a threshold where it chooses between two numbers for each
    element of a row; where it chooses between elements of rows their own gradients pass.
    """
    if node.op in ROUNDED:
        return rounded, node.inputs[:1], {"op": node.op}
    test = node.inputs[0].producer if node.inputs and node.inputs[0] else None
    if test is None or test.op not in COMPARED or not all(map(is_float, test.inputs)):
        return None
    if node.op == "Cast" and node.attrs["to"] in FLOATS:
        return truth, test.inputs, {"op": test.op}
    if node.op == "Where" and _chooses_numbers(node):
        return choice, (*test.inputs, *node.inputs[1:]), {"op": test.op}
    return None


def may_derive_to_none(node: Node) -> bool:
    """Whether a gradient of 0 that comes to a node may leave it as NaN."""
    if node.op == "Mul":
        return all(v is not None and v.const is None for v in node.inputs)
    return node.op in SINGULAR


def is_float(value: Value | None) -> bool:
    """Whether it is a tensor of floats."""
    kind = None if value is None else value.type
    return isinstance(kind, TensorType) and kind.dtype in FLOATS


def is_in_integers(body: Graph) -> bool:
    """Whether all that a normalizer makes of the scores goes through integers."""
    work, seen = [v for v in body.outputs if v is not None], set[Value]()
    while work:
        value = work.pop()
        if value is body.inputs[0]:
            return False
        known = value.type.dtype if isinstance(value.type, TensorType) else ""
        if value not in seen and value.producer is not None and known in (*FLOATS, "bool"):
            work += [v for v in value.producer.inputs if v is not None]
        seen.add(value)
    return True


def _chooses_numbers(where: Node) -> bool:
    test, x, y = map(_shape, where.inputs)
    if test is None or x is None or y is None:
        return False
    return not _is_one(test) and _is_one(x) and _is_one(y)


def _shape(value: Value | None) -> tuple[Any, ...] | None:
    kind = None if value is None else value.type
    return kind.shape if isinstance(kind, TensorType) else None


def _is_one(shape: tuple[Any, ...]) -> bool:
    """Whether all elements along the last axis are one."""
    return shape[-1:] in ((), (1,))
