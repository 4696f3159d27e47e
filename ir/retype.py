"""Types made more precise, after rewrites have made more known."""

from __future__ import annotations

from collections.abc import Iterable

from graphwright.ir.dims import is_open
from graphwright.ir.graph import Node
from graphwright.ir.ops import OPS, contents_made, infer
from graphwright.ir.types import UNKNOWN, TensorType, Type


def retype(nodes: Iterable[Node]) -> int:
    """Infer again what nodes of the table's operators give; how many types are better known now.

    Producers come first. A type only ever becomes more precise: a size that was open becomes one
    that is known.
    """
    better = 0
    for node in nodes:
        row = OPS.get(node.op)
        if row is None:
            continue
        try:
            types = infer(node.op, node.inputs, node.attrs, len(node.outputs))
        except (TypeError, ValueError, IndexError):
            continue  # what was said of it before stands
        for value, type_ in zip(node.outputs, types, strict=True):
            if is_sharper(type_, value.type):
                value.type = type_
                better += 1
        if row.contents is not None:
            found = contents_made(node.op, node.inputs, node.attrs)
            node.outputs[0].contents = node.outputs[0].contents if found is None else found
    return better


def is_sharper(new: Type, old: Type) -> bool:
    """Whether `new` says more than `old` and contradicts nothing."""
    if not isinstance(new, TensorType) or new.shape is None or new == old:
        return False
    if old == UNKNOWN:
        return True
    if not isinstance(old, TensorType) or old.dtype != new.dtype:
        return False
    if old.shape is None:
        return True
    return old.admits(new) and _open(new) < _open(old)


def _open(type_: TensorType) -> int:
    return sum(map(is_open, type_.shape or ()))
