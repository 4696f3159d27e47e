"""What depends on no input is computed once, here."""

from __future__ import annotations

import numpy as np

from graphwright.ir.const import Array, Const, from_array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import OPS, is_pure
from graphwright.ir.types import FLOATS, NUMPY, TensorType
from graphwright.passes.application import any_node
from graphwright.passes.rule import Builder, Exact, Example, Match, NoMatch, need, rule
from graphwright.passes.shapes import dtype_of

LARGEST = 1 << 20  # bytes
QUANTIZED = ("QuantizeLinear", "DequantizeLinear")


def _is_constant(node: Node) -> bool:
    """Whether it reads constants alone, at least one, and is no quantizing of weights."""
    some = False
    for value in node.inputs:
        if value is not None:
            if value.const is None:
                return False
            some = True
    op = node.op.partition("@")[0]
    return some and op not in QUANTIZED and not node.bodies and is_pure(node)


@rule(
    any_node(when=_is_constant),
    Exact(),
    Example("x: f32[B]", "x * (f32(3.0) * f32([2.0]))", "x * f32([6.0])"),
    Example(
        "x: f32[2, 2]",
        "x @ Transpose(f32([[1, 2], [3, 4]]), perm=(1, 0))",
        "x @ f32([[1, 3], [2, 4]])",
    ),
    Example("x: f32[B]", "Expand(f32(1.0), i64([400000]))", because="larger than"),
    Example("x: f32[B]", "Expand(f32(1.0), i64([40000]))", because="grow"),
    Example("x: f32[B]", "x + x", because="does not fit"),
)
def fold_constants(m: Match, op: Builder) -> Value:
    """f(constants)  ->  a constant

    With NumPy where every runtime gives the same bits, else on the runtime itself. What is larger
    than 1 MiB stays, and so does what would make the file grow: a weight that others read too is
    not stored twice. Weights that are quantized stay so.
    """
    kind = m.root.type
    if not isinstance(kind, TensorType):
        raise NoMatch("its type is not known, or no tensor's")
    freed = _freed(m.node)
    _afford(kind.nbytes or 0, freed, op.budget.spare)
    try:
        array = _computed(m.node, m.node.outputs.index(m.root), op)
    except (ModelError, TypeError, ValueError, ArithmeticError, IndexError) as error:
        raise NoMatch(f"it cannot be computed: {error}") from None
    need(isinstance(array, np.ndarray), "the result is no tensor")
    const = from_array(array)
    size = const.type.nbytes or 0
    need(const.type.dtype == kind.dtype, "the runtime computes another type than was promised")
    _afford(size, freed, op.budget.spare)
    op.budget.afford(size - freed)
    return Value(const.type, const=const)


def _afford(size: int, freed: int, spare: int) -> None:
    if size > LARGEST:
        raise NoMatch(f"the result is larger than {LARGEST >> 20} MiB")
    need(size - freed <= spare, "the model would grow too much")


def _freed(node: Node) -> int:
    """The bytes of constants that nothing else reads."""
    read = [v for v in dict.fromkeys(node.inputs) if v is not None and v.const is not None]
    alone = [v.const for v in read if all(reader is node for reader, _ in v.uses)]
    return sum(const.type.nbytes or 0 for const in alone if const is not None)


def _computed(node: Node, output: int, op: Builder) -> Array:
    row = OPS.get(node.op)
    if row is None or row.numpy is None or not (row.exact or _casts_alike(node)):
        need(output == 0, "only its first result can be computed alone")
        return op.budget.evaluate(node)
    arrays = [None if v is None else _data(v.const) for v in node.inputs]
    with np.errstate(all="ignore"):
        found = row.numpy(*arrays, **node.attrs)
    array = np.asarray(found[output] if isinstance(found, tuple) else found)
    dtype = dtype_of(node.outputs[output])
    return array.astype(NUMPY[dtype]) if array.dtype == object and dtype == "str" else array


def _data(const: Const | None) -> Array:
    assert const is not None
    return const.load()


def _casts_alike(node: Node) -> bool:
    """Whether it is a Cast that every runtime does alike: between floats, integers and booleans.

    A float that no integer is near enough to becomes whatever the machine makes of it.
    """
    if node.op != "Cast" or node.inputs[0] is None:
        return False
    kind, to = dtype_of(node.inputs[0]), str(node.attrs["to"])
    plain = kind in FLOATS or NUMPY[kind].kind in "iub"
    if not plain or not (to in FLOATS or to == "bool" or NUMPY[to].kind in "iu"):
        return False
    if kind not in FLOATS or to in FLOATS or to == "bool":
        return True
    data, limits = _data(node.inputs[0].const), np.iinfo(NUMPY[to])
    wide = data.astype(np.float64)
    return bool(np.all((wide > limits.min) & (wide < limits.max)))
