"""What is known of a normalizer from its body alone; the one place that lowerings ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.normalizers import ALONG_ROW, REDUCTIONS, compute
from graphwright.ir.ops import scalar
from graphwright.ir.types import NUMPY, TensorType

COMPARISONS = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
POINTWISE = COMPARISONS | frozenset(
    {
        *("Abs", "Add", "And", "Cast", "Ceil", "Div", "Erf", "Exp", "Floor", "Gelu", "Identity"),
        *("IsNaN", "Log", "Max", "Min", "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "Relu"),
        *("Round", "Sigmoid", "Sign", "Softplus", "Sqrt", "Sub", "Swish", "Tanh", "Where", "Xor"),
    }
)
"""What works element by element."""


@dataclass(frozen=True)
class Traits:
    """How a normalizer may be computed.

    `sweeps` over the keys are needed, the one that meets the values among them: 1 where no weight
    depends on another key but by a common factor, which may be found on the way (`rescales`: by
    correcting what was summed when a greater score comes, as for softmax). `sums_to_one`: each row
    of weights does. `sees_shift`: not so if a number added to all scores changes nothing. `dead` is
    what a row of hidden keys gives.
    """

    sweeps: int
    rescales: bool
    sums_to_one: bool
    sees_shift: bool
    dead: Literal["zero", "NaN", "other"]


SOFTMAX = Traits(1, rescales=True, sums_to_one=True, sees_shift=False, dead="NaN")
"""Of an Attention without a body."""


def traits(normalizer: Graph | None) -> Traits:
    """What is known of a body, or of the softmax that stands where there is none."""
    if normalizer is None:
        return SOFTMAX
    result = _result(normalizer)
    shared = numerator(result)
    return Traits(
        _sweeps(result, shared),
        shared is not None and _rescales(shared),
        _sums_to_one(result),
        _shift(result, normalizer.inputs[0], {}) != 0,
        _dead(normalizer),
    )


def faults(normalizer: Graph) -> Iterator[str]:
    """Why a graph is no body of a normalizer, as sentences; nothing for one that is."""
    if len(normalizer.inputs) != 1 or len(normalizer.outputs) != 1:
        yield "it has other inputs than the scores, or other outputs than the weights"
    for node in normalizer.nodes():
        if node.op in REDUCTIONS or node.op in ALONG_ROW:
            if not _is_along_row(node):
                yield f"its {node.op} is along another axis than the row, or drops it"
        elif node.op not in POINTWISE:
            yield f"{node.op} neither works element by element nor reduces the row"
        for value in node.inputs:
            if value is not None and value.const is not None and _varies(value):
                yield f"a constant that {node.op} reads differs along the row"


def _is_along_row(node: Node) -> bool:
    x = node.inputs[0]
    rank = x.type.rank if x is not None and isinstance(x.type, TensorType) else None
    last = {-1} if rank is None else {-1, rank - 1}
    if node.op in ALONG_ROW:
        return node.attrs.get("axis") in last
    axes = node.attrs.get("axes")
    one = isinstance(axes, tuple) and len(axes) == 1 and axes[0] in last
    return one and node.attrs.get("keepdims", 1) == 1


def _varies(value: Value) -> bool:
    """Whether a constant has an axis of keys or of queries."""
    shape = value.type.shape if isinstance(value.type, TensorType) else None
    return shape is None or any(dim != 1 for dim in shape[-2:])


def _result(normalizer: Graph) -> Value:
    (result,) = normalizer.outputs
    assert result is not None
    return result


def numerator(result: Value) -> Value | Node | None:
    """What is divided by its own sum to give the weights, a Softmax by name, or None."""
    node = result.producer
    if node is None:
        return None
    if node.op == "Softmax":
        return node
    total = node.inputs[1].producer if node.op == "Div" and node.inputs[1] else None
    if total is not None and total.op == "ReduceSum" and total.inputs[0] is node.inputs[0]:
        return node.inputs[0]
    return None


def _sums_to_one(result: Value) -> bool:
    """Whether rows are divided by their sums, or chosen, a whole row at a time, from such rows."""
    node = result.producer
    if node is None or node.op != "Where":
        return numerator(result) is not None
    test, *branches = node.inputs
    shape = test.type.shape if test is not None and isinstance(test.type, TensorType) else None
    if shape is None or (shape and shape[-1] != 1):
        return False
    return all(branch is not None and _sums_to_one(branch) for branch in branches)


def _sweeps(result: Value, shared: Value | Node | None) -> int:
    if shared is None:
        return _depth(result, {}) + 1
    if _rescales(shared):
        return 1
    below = shared.inputs[0] if isinstance(shared, Node) else shared
    return (_depth(below, {}) if below is not None else 0) + 1


def _rescales(shared: Value | Node) -> bool:
    """Whether the numerators are exp(x - ReduceMax(x)), where x depends on its own score alone."""
    if isinstance(shared, Node):
        x = shared.inputs[0]
        return x is not None and _depth(x, {}) == 0
    x = exponent(shared)
    return x is not None and _depth(x, {}) == 0


def exponent(value: Value) -> Value | None:
    """What x is where the value is exp(x - ReduceMax(x)); None where it is something else."""
    exp = value.producer
    off = exp.inputs[0].producer if exp is not None and exp.op == "Exp" and exp.inputs[0] else None
    if off is None or off.op != "Sub":
        return None
    x, top = off.inputs
    above = None if top is None else top.producer
    same = above is not None and above.op == "ReduceMax" and above.inputs[0] is x
    return x if same else None


def _depth(value: Value, known: dict[Value, int]) -> int:
    """How many reductions stand one above the other below a value."""
    if value in known:
        return known[value]
    node = value.producer
    if node is None:
        return 0
    below = max((_depth(v, known) for v in node.inputs if v is not None), default=0)
    # Of a Softmax the greatest and the sum are found in one sweep, the sum corrected on the way.
    known[value] = below + (node.op in REDUCTIONS or node.op in ALONG_ROW)
    return known[value]


def _shift(value: Value, s: Value, known: dict[Value, float | None]) -> float | None:
    """By how much a value grows when 1 is added to all scores; None for who knows."""
    if value is s:
        return 1.0
    if value.producer is None:
        return 0.0
    if value not in known:
        node = value.producer
        each = [_shift(v, s, known) for v in node.inputs if v is not None]
        known[value] = _shifted(node, each)
    return known[value]


def _shifted(node: Node, each: list[float | None]) -> float | None:
    if all(by == 0 for by in each):
        return 0.0
    if None in each:
        return None
    limits = [scalar(v) for v in node.inputs]
    # An infinite constant is the same whatever is added to it.
    finite = [by for by, n in zip(each, limits, strict=True) if n is None or np.isfinite(n)]
    if node.op in ALONG_ROW:
        return 0.0
    if node.op in ("ReduceMax", "ReduceMin", "ReduceMean", "Max", "Min", "Identity"):
        return _same(finite)
    if node.op in COMPARISONS:
        return None if _same(finite) is None else 0.0
    if node.op == "Where":
        return _same(finite[1:]) if each[0] == 0 else None
    return _sum_shifted(node.op, [by or 0.0 for by in each], limits)


def _same(each: list[float | None]) -> float | None:
    return each[0] if len(set(each)) == 1 else None


def _sum_shifted(op: str, each: list[float], limits: list[float | None]) -> float | None:
    """As `_shifted`, of sums and of products with constants."""
    if op == "Neg":
        return -each[0]
    if op in ("Add", "Sub"):
        return each[0] + each[1] if op == "Add" else each[0] - each[1]
    if op == "Mul" and limits[0] is not None:
        return limits[0] * each[1]
    if op in ("Mul", "Div") and limits[1] is not None:
        return each[0] * limits[1] if op == "Mul" else each[0] / limits[1]
    return None


def _dead(normalizer: Graph) -> Literal["zero", "NaN", "other"]:
    s = normalizer.inputs[0].type
    dtype = s.dtype if isinstance(s, TensorType) else "f32"
    rank = (s.rank if isinstance(s, TensorType) else None) or 1
    heads = s.shape[-3] if isinstance(s, TensorType) and s.shape and len(s.shape) > 2 else 1
    shape = [1] * max(rank - 3, 0) + [heads if isinstance(heads, int) else 1] * (rank > 2)
    row = np.full((*shape, *[1] * min(rank - 1, 1), 4), -np.inf, NUMPY[dtype])
    found = compute(normalizer, row)
    if np.isnan(found).all():
        return "NaN"
    return "zero" if not found.any() else "other"
