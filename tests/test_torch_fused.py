"""What others have fused runs in PyTorch too: it is written out on the way there."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.test_native_attention import FUSED, ONNX, Form, tolerance  # noqa: E402

import graphwright as gw  # noqa: E402
from graphwright.frontends.onnx import from_proto  # noqa: E402
from graphwright.runtime import Runtime  # noqa: E402


@pytest.mark.parametrize("form", [*ONNX, *FUSED], ids=str)
def test_it_computes_what_onnx_runtime_does(form: Form) -> None:
    graph, feed = from_proto(form.model()), form.feed()
    given = [torch.from_numpy(feed[v.name]) for v in graph.inputs]
    with torch.no_grad():
        found = gw.to_torch(graph)(*given)
    found = [found] if isinstance(found, torch.Tensor) else list(found)
    (wanted,) = Runtime(isolated=False).evaluate(graph, [feed])
    for a, b in zip(wanted, found, strict=True):
        np.testing.assert_allclose(b.numpy(), a, atol=tolerance(form))


def test_weights_come_back_into_the_operator_that_was_fused() -> None:
    graph = gw.parse(
        "def f(x: f32[B, 4]):\n"
        '    return call("com.microsoft::FusedMatMul", x, f32([[1.0], [2.0], [3.0], [4.0]]))'
    )
    module = gw.to_torch(graph)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(2)
    back = gw.from_torch(module, graph)
    assert [node.op for node in back.nodes()] == ["com.microsoft::FusedMatMul"]
    (weight,) = (v.const for n in back.nodes() for v in n.inputs if v is not None and v.const)
    assert weight is not None
    assert weight.load().tolist() == [[2.0], [4.0], [6.0], [8.0]]
