"""Each reading of an ATen operator computes what PyTorch does, through ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.aten_cases import FAMILIES, Call  # noqa: E402  needs torch

from graphwright.frontends.aten import Builder, read  # noqa: E402
from graphwright.frontends.aten.readings import READINGS, is_known  # noqa: E402
from graphwright.frontends.torch.tensors import dtype_of  # noqa: E402
from graphwright.ir.graph import Graph, Header, Value  # noqa: E402
from graphwright.ir.ops import return_node  # noqa: E402
from graphwright.ir.types import TensorType  # noqa: E402
from graphwright.runtime import Runtime  # noqa: E402

UNTRIED = {
    "aten.empty.memory_format",  # what these hold is chance
    "aten.empty_like.default",
    "aten.new_empty.default",
    "aten.max_pool1d_with_indices.default",  # PyTorch has only what it is made of
    "aten._adaptive_avg_pool1d.default",
}


class Sheet:
    """Calls of operators read into one graph; each tensor that is an argument is an input."""

    def __init__(self) -> None:
        self.builder = Builder()
        self.inputs: dict[int, tuple[Value, Any]] = {}
        self.outputs: list[tuple[str, Value, Any]] = []

    def value(self, arg: Any) -> Any:
        if isinstance(arg, torch.Tensor):
            if id(arg) not in self.inputs:
                type_ = TensorType(dtype_of(arg.dtype), tuple(arg.shape))
                self.inputs[id(arg)] = (Value(type_, name=f"x{len(self.inputs)}"), arg)
            return self.inputs[id(arg)][0]
        if isinstance(arg, list):
            return [self.value(a) for a in arg]
        return dtype_of(arg) if isinstance(arg, torch.dtype) else arg

    def add(self, call: Call) -> None:
        wanted = call.in_torch()
        wanted = [wanted] if isinstance(wanted, torch.Tensor) else list(wanted)
        results = [TensorType(dtype_of(t.dtype), tuple(t.shape)) for t in wanted]
        args = [self.value(a) for a in call.args]
        kwargs = {key: self.value(a) for key, a in call.kwargs.items()}
        found = read(call.whole, self.builder, args, kwargs, results)
        for i, (value, tensor) in enumerate(zip(found, wanted, strict=False)):
            if value is not None and tensor.numel():
                self.outputs.append((f"{call.whole}#{len(self.outputs)}.{i}", value, tensor))

    def graph(self) -> Graph:
        names = [name for name, _, _ in self.outputs]
        result = return_node([value for _, value, _ in self.outputs], names)
        inputs = tuple(value for value, _ in self.inputs.values())
        return Graph("calls", inputs, result, header=Header(10, {"": 21}))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reading_computes_what_pytorch_does(family: str) -> None:
    sheet = Sheet()
    for call in FAMILIES[family]:
        sheet.add(call)
    feed = {value.name: tensor.numpy() for value, tensor in sheet.inputs.values()}
    with Runtime(isolated=False) as runtime:
        (found,) = runtime.evaluate(sheet.graph(), [feed])
    for (name, _, wanted), array in zip(sheet.outputs, found, strict=True):
        assert array.dtype == wanted.numpy().dtype, name
        np.testing.assert_allclose(array, wanted.numpy(), rtol=1e-5, atol=2e-6, err_msg=name)


def test_every_reading_is_tried() -> None:
    assert is_known("aten.linear.default")
    tried = {call.whole for family in FAMILIES.values() for call in family}
    assert set(READINGS) - tried == UNTRIED
