"""Each reading of an ATen operator computes what PyTorch does, through ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphwright.runtime import Runtime

torch = pytest.importorskip("torch")
F = torch.nn.functional
A = torch.ops.aten

Functions = dict[str, Callable[..., Any]]


class Several(torch.nn.Module):
    """Many functions of the same inputs, each an output under its name."""

    def __init__(self, functions: Functions) -> None:
        super().__init__()
        self.functions = functions

    def forward(self, **given: Any) -> dict[str, Any]:
        return {name: function(**given) for name, function in self.functions.items()}


PRODUCTS: Functions = {
    "linear": lambda x, y, w, **_: F.linear(x, w),
    "matmul": lambda x, y, **_: x @ y.transpose(-1, -2),
    "softmax": lambda x, **_: torch.softmax(x, -1),
}
INPUTS = {
    "x": torch.linspace(-2, 3, 24).reshape(2, 3, 4),
    "y": torch.linspace(1, -1, 24).reshape(2, 3, 4),
    "w": torch.linspace(-1, 1, 20).reshape(5, 4),
}


def test_products() -> None:
    from graphwright.frontends.torch import load

    module = Several(PRODUCTS)
    graph = load(module, INPUTS)
    feed = {v.name: INPUTS[v.name].numpy() for v in graph.inputs}
    with Runtime(isolated=False) as runtime:
        (found,) = runtime.evaluate(graph, [feed])
    wanted = module(**INPUTS)
    for name, array in zip(graph.result.attrs["names"], found, strict=True):
        np.testing.assert_allclose(array, wanted[name].numpy(), rtol=1e-5, atol=1e-6, err_msg=name)
