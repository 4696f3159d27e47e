"""What operators of the torch dialect give that are no tensors: numbers, sizes, lists, nothing."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from graphwright.frontends.aten import NotRead
from graphwright.ir.dims import Dim, Sym
from graphwright.ir.graph import Value
from graphwright.ir.types import TensorType

CONSTANTS: dict[str, Callable[[Any], Any]] = {
    "torch.constant.none": lambda op: None,
    "torch.constant.int": lambda op: int(op.attributes["value"].value),
    "torch.constant.float": lambda op: float(op.attributes["value"].value),
    "torch.constant.bool": lambda op: bool(op.attributes["value"].value),
    "torch.constant.str": lambda op: str(op.attributes["value"].value),
    "torch.constant.device": lambda op: str(op.attributes["value"].value),
    "torch.constant.number": lambda op: op.attributes["value"].value,
}
"""Operators that give what their attribute says."""


def _size(x: Value, axis: int) -> Dim:
    return _shape(x)[axis]


def _shape(x: Value) -> tuple[Dim, ...]:
    if not isinstance(x.type, TensorType) or x.type.shape is None:
        raise NotRead("a size is asked for of a tensor whose rank is not known")
    return x.type.shape


def _known(function: Callable[..., Any], *numbers: Any) -> Any:
    if any(isinstance(n, Sym) for n in numbers):
        raise NotRead("a size is compared that is known only when the model runs")
    return function(*numbers)


def _only(what: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *numbers: _known(what, *numbers)


NUMBERS: dict[str, Callable[..., Any]] = {
    "torch.prim.ListConstruct": lambda *items: list(items),
    "torch.prim.TupleConstruct": lambda *items: list(items),
    "torch.prim.TupleIndex": lambda items, i: items[i],
    "torch.aten.__getitem__.t": lambda items, i: items[i],
    "torch.aten.len.t": len,
    "torch.aten.size": lambda x: list(_shape(x)),
    "torch.aten.size.int": _size,
    "torch.aten.sym_size.int": _size,
    "torch.aten.dim": lambda x: len(_shape(x)),
    "torch.aten.numel": lambda x: _product(_shape(x)),
    "torch.aten.sym_numel": lambda x: _product(_shape(x)),
    "torch.aten.add.int": operator.add,
    "torch.aten.sub.int": operator.sub,
    "torch.aten.mul.int": operator.mul,
    "torch.aten.floordiv.int": operator.floordiv,
    "torch.aten.neg.int": operator.neg,
    "torch.aten.remainder.int": lambda a, b: a - b * (a // b),
    "torch.prim.min.int": _only(min),
    "torch.prim.max.int": _only(max),
    "torch.aten.add": operator.add,
    "torch.aten.sub": operator.sub,
    "torch.aten.mul": operator.mul,
    "torch.aten.div.int": _only(operator.truediv),
    "torch.aten.div": _only(operator.truediv),
    "torch.aten.div.float": operator.truediv,
    "torch.aten.mul.float": operator.mul,
    "torch.aten.mul.int_float": _only(operator.mul),
    "torch.aten.mul.float_int": _only(operator.mul),
    "torch.aten.sub.float": operator.sub,
    "torch.aten.add.float_int": _only(operator.add),
    "torch.aten.sqrt.int": _only(lambda a: a**0.5),
    "torch.aten.pow.int_float": _only(operator.pow),
    "torch.aten.Int.Scalar": _only(int),
    "torch.aten.Int.bool": int,
    "torch.aten.Float.Scalar": _only(float),
    "torch.aten.Float.bool": float,
    "torch.aten.Int.float": int,
    "torch.derefine": lambda x: x,
}
"""Operators on numbers, sizes and lists, by what they give."""


def _product(dims: Sequence[Dim]) -> Dim:
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total
