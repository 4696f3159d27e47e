"""What a file says of sizes: the names that it gives them, some of which are formulas."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import onnx

from graphwright.ir.dims import Dim, Sym, product, sym
from graphwright.ir.errors import TooLarge


def dims_of(info: onnx.ValueInfoProto) -> Iterable[onnx.TensorShapeProto.Dimension]:
    """The sizes of a tensor, as far as the file speaks of them."""
    return info.type.tensor_type.shape.dim if info.type.HasField("tensor_type") else ()


def plain_names(model: onnx.ModelProto) -> frozenset[str]:
    """The names that sizes of inputs have which are no formulas."""
    stored = {tensor.name for tensor in model.graph.initializer}
    given = (i for i in model.graph.input if i.name not in stored)
    names = (dim.dim_param for info in given for dim in dims_of(info))
    return frozenset(n for n in names if n and isinstance(n, str) and not _is_formula(n))


def size_named(name: str, plain: Collection[str]) -> Dim:
    """The size that a name stands for: "past + 1" is a sum if `past` is a size of its own.

    Sums and products of the names in `plain` and of whole numbers are read; what holds anything
    more is one size with an odd name.
    """
    if not _is_formula(name):
        return sym(name)
    try:
        found = _formula(name, {each: sym(each) for each in plain if each in name})
    except TooLarge:
        return sym(name)
    return found if isinstance(found, Sym) else sym(name)


def number_named(name: str, sizes: Mapping[str, int]) -> int | None:
    """The number that a name stands for where those of `sizes` stand for theirs."""
    if name in sizes or not _is_formula(name):
        return sizes.get(name)
    found = _formula(name, sizes)
    return found if isinstance(found, int) else None


def _is_formula(name: str) -> bool:
    return "+" in name or "*" in name


def _formula(name: str, sizes: Mapping[str, Dim]) -> Dim | None:
    """None where something in it is neither one of the sizes nor a number."""
    total: Dim = 0
    for term in name.split("+"):
        factors = [factor.strip() for factor in term.split("*")]
        if any(f not in sizes and not f.isdecimal() for f in factors):
            return None
        total = total + product(sizes[f] if f in sizes else int(f) for f in factors)
    return total
