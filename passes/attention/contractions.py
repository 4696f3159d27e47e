"""Contractions as labels: which axes of two operands are summed over, and where the others go."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache

from graphwright.ir.graph import Node, Value
from graphwright.passes.attention.factors import Factor, Unprovable, View, new_axis, size
from graphwright.passes.attention.steps import shape


@dataclass(frozen=True)
class Contraction:
    """A label for each axis of two operands and of the result, which `scale` multiplies."""

    operands: tuple[tuple[Hashable, ...], tuple[Hashable, ...]]
    result: tuple[Hashable, ...]
    scale: float = 1.0


def contraction(node: Node) -> Contraction | None:
    """A node as a contraction of its first two inputs; None where it is none."""
    match node.op:
        case "MatMul":
            return _matmul(node)
        case "com.microsoft::FusedMatMul":
            return _fused(node)
        case "Gemm":
            return _gemm(node)
        case "Einsum":
            return _einsum(node)
    return None


def _ranks(node: Node) -> tuple[int, int]:
    return len(shape(node.inputs[0])), len(shape(node.inputs[1]))


def _matmul(node: Node) -> Contraction | None:
    return _product(*_ranks(node))


@cache
def _product(a: int, b: int) -> Contraction | None:
    """A matrix product of tensors of these ranks."""
    if a < 2 or b < 2:
        return None
    batch = tuple(range(max(a, b) - 2))
    return Contraction(
        ((*batch[len(batch) - a + 2 :], "m", "c"), (*batch[len(batch) - b + 2 :], "c", "n")),
        (*batch, "m", "n"),
    )


def _fused(node: Node) -> Contraction | None:
    plain = _matmul(node)
    if plain is None or node.attrs.get("transBatchA") or node.attrs.get("transBatchB"):
        return None
    a, b = plain.operands
    if node.attrs.get("transA"):
        a = (*a[:-2], a[-1], a[-2])
    if node.attrs.get("transB"):
        b = (*b[:-2], b[-1], b[-2])
    return Contraction((a, b), plain.result, _alpha(node))


def _gemm(node: Node) -> Contraction | None:
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        return None
    a = ("c", "m") if node.attrs["transA"] else ("m", "c")
    b = ("n", "c") if node.attrs["transB"] else ("c", "n")
    return Contraction((a, b), ("m", "n"), _alpha(node))


def _alpha(node: Node) -> float:
    alpha = node.attrs.get("alpha", 1.0)
    return float(alpha) if isinstance(alpha, int | float) else 1.0


def _einsum(node: Node) -> Contraction | None:
    left, arrow, result = str(node.attrs["equation"]).replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow or len(terms) != 2 or "." in left or any(len(set(t)) < len(t) for t in terms):
        return None
    return Contraction((tuple(terms[0]), tuple(terms[1])), tuple(result))


def operand_views(
    node: Node, found: Contraction, known: dict[Hashable, list[Factor]]
) -> tuple[View, View]:
    """The views of both operands, where `known` says what the factors of some labels are.

    Labels that are not known get new factors. Raises Unprovable where sizes disagree.
    """
    for value, labels in zip(node.inputs, found.operands, strict=False):
        for label, dim in zip(labels, shape(value), strict=True):
            if dim != 1 and not known.get(label):
                known[label] = new_axis(dim)
    a, b = (_view(node.inputs[i], labels, known) for i, labels in enumerate(found.operands))
    return a, b


def _view(
    value: Value | None, labels: tuple[Hashable, ...], known: dict[Hashable, list[Factor]]
) -> View:
    view: View = []
    for label, dim in zip(labels, shape(value), strict=True):
        axis = list(known[label]) if dim != 1 else []
        if size(axis) != dim:
            raise Unprovable(f"an axis of {dim} stands where {size(axis)} was")
        view.append(axis)
    return view
