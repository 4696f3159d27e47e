"""Inputs of a model given fixed shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from graphwright.frontends.onnx.named_sizes import dims_of, number_named
from graphwright.ir.errors import ModelError


def fix_shapes(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> None:
    """Give inputs the shapes named; a size that has a name becomes the same number everywhere.

    Raises ModelError for an input that is not there, and for shapes that do not fit.
    """
    graph = model.graph
    inputs = {i.name: i for i in graph.input}
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        if name not in inputs:
            listed = ", ".join(f"'{n}'" for n in inputs)
            raise ModelError(f"there is no input '{name}' to give a shape to; there are {listed}")
        _fix(inputs[name], tuple(shape), sizes)
    for info in (*graph.input, *graph.output, *graph.value_info):
        for dim in dims_of(info):
            size = number_named(dim.dim_param, sizes)
            if size is not None:
                dim.dim_value = size


def _fix(info: onnx.ValueInfoProto, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    if not info.type.HasField("tensor_type"):
        raise ModelError(f"the input '{info.name}' is no tensor, so it has no shape to fix")
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        for _ in shape:
            tensor.shape.dim.add()
    said = f"the input '{info.name}' cannot have the shape {'x'.join(map(str, shape))}"
    dims = list(dims_of(info))
    if len(dims) != len(shape):
        raise ModelError(f"{said}: it has {len(dims)} axes")
    for dim, size in zip(dims, shape, strict=True):
        if dim.HasField("dim_value") and dim.dim_value != size:
            raise ModelError(f"{said}: a {size} stands where the model has {dim.dim_value}")
        if dim.dim_param and sizes.setdefault(dim.dim_param, size) != size:
            other = sizes[dim.dim_param]
            raise ModelError(f"{said}: the size '{dim.dim_param}' is {other} elsewhere")
    for dim, size in zip(dims, shape, strict=True):
        dim.dim_value = size
