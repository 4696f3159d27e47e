"""Models of PyTorch become graphs, and graphs modules, that compute what the model does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.torch_models import (  # noqa: E402  needs both
    ATTENTIONS,
    BUILDERS,
    Case,
    built,
    implementations,
)
from tests.torch_running import arrays, feed_of, in_float64, outputs  # noqa: E402

import graphwright as gw  # noqa: E402
from graphwright.ir.contracts import Tolerance  # noqa: E402
from graphwright.ir.graph import Graph  # noqa: E402
from graphwright.runtime import Runtime  # noqa: E402
from graphwright.verification.judge import holds  # noqa: E402

SAMPLE = [("bert", "sdpa", True), ("vit", "eager", False)]
REST = [
    (name, attention, dynamic)
    for name in BUILDERS
    for attention in implementations(name)
    for dynamic in (False, True)
    if (name, attention, dynamic) not in SAMPLE
]
EVERY = [*SAMPLE, *(pytest.param(*each, marks=pytest.mark.full) for each in REST)]
LEARNED = ("bert", "gpt2", "llama_gqa", "vit")


# Transformers and torch.export warn of their own code
pytestmark = pytest.mark.filterwarnings("ignore")


def loaded(case: Case, dynamic: bool) -> Graph:
    shapes = case.shapes if dynamic else None
    return gw.load(case.module, (case.inputs,), dynamic_shapes=shapes)


@pytest.mark.parametrize(("name", "attention", "dynamic"), EVERY)
def test_graph_and_module_compute_what_the_model_does(
    name: str, attention: str, dynamic: bool
) -> None:
    case = built(name, attention)
    graph = loaded(case, dynamic)
    assert [v.name for v in graph.inputs] == [f"given_{name}" for name in case.inputs]
    wanted, truth = arrays(case), arrays(in_float64(name, attention))
    with Runtime(isolated=False) as runtime:
        (by_runtime,) = runtime.evaluate(graph, [feed_of(case)])
    module = gw.to_torch(graph)
    for found in (by_runtime, arrays(case, module)):
        for a, b, exact in zip(wanted, found, truth, strict=True):
            verdict = holds(Tolerance(), a, b, exact)
            assert verdict.ok, verdict.why
    seen = gw.attentions(graph)
    assert len(seen.found) == ATTENTIONS.get(name, 2)
    assert not seen.missed
    named = dict(case.module.named_parameters())
    for key, parameter in module.named_parameters():
        assert torch.equal(parameter, named[key])
    if dynamic:
        hold_for_other_sizes(case, graph, module)


def hold_for_other_sizes(case: Case, graph: Graph, module: Any) -> None:
    """Three in place of two in each batch, and everything longer or shorter, as far as it may."""
    other: dict[str, Any] = {}
    for name, tensor in case.inputs.items():
        named = case.sizes.get(name) or {}
        picks = [torch.arange(n) for n in tensor.shape]
        for axis, size in named.items():
            count = 3 if size == "batch" else max(2, tensor.shape[axis] - 3)
            picks[axis] = torch.arange(count) % tensor.shape[axis]
        other[name] = tensor[torch.meshgrid(*picks, indexing="ij")].contiguous()
    given = Case(case.module, other)
    wanted, found = outputs(given), outputs(given, module)
    with Runtime(isolated=False) as runtime:
        (again,) = runtime.evaluate(graph, [feed_of(given)])
    for a, b, c in zip(wanted, found, again, strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), atol=1e-5)
        np.testing.assert_allclose(c, a.numpy(), atol=1e-5)


def gradients(module: Any, *inputs: Any) -> dict[str, Any]:
    found = module(*inputs)
    first = found if isinstance(found, torch.Tensor) else next(iter(found.values()))
    torch.manual_seed(1)
    loss = (first * torch.randn_like(first)).sum()
    module.zero_grad()
    loss.backward()
    return {name: p.grad for name, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", LEARNED)
def test_gradients_are_those_of_the_model(name: str, attention: str) -> None:
    case = in_float64(name, attention)
    found = gradients(gw.to_torch(loaded(case, dynamic=False)), *case.inputs.values())
    wanted = gradients(case.module, case.inputs)
    assert found.keys() == wanted.keys()
    assert len(found) > 10
    for key, gradient in wanted.items():
        torch.testing.assert_close(found[key], gradient, rtol=1e-9, atol=1e-9)


def test_what_is_optimized_still_learns_and_comes_back() -> None:
    case = built("bert", "eager")
    graph = gw.optimize(loaded(case, dynamic=True)).graph
    module = gw.to_torch(graph)
    before = outputs(case, module)[0]
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        module(*case.inputs.values()).square().mean().backward()
        optimizer.step()
    after = outputs(case, module)[0]
    assert after.square().mean() < before.square().mean()
    with Runtime(isolated=False) as runtime:
        trained, untouched = (
            runtime.evaluate(g, [feed_of(case)])[0][0]
            for g in (gw.from_torch(module, graph), graph)
        )
    np.testing.assert_allclose(trained, after.numpy(), atol=1e-5)
    np.testing.assert_allclose(untouched, before.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "llama_gqa"])
def test_a_module_is_compiled_and_exported(name: str) -> None:
    case = built(name, "eager")
    module = gw.to_torch(loaded(case, dynamic=True)).eval()
    (wanted,) = outputs(case)
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(outputs(case, compiled)[0], wanted, rtol=1e-4, atol=1e-5)
    sizes = [case.sizes[name] for name in case.inputs]
    again = gw.load(module, tuple(case.inputs.values()), dynamic_shapes=sizes)
    torch.testing.assert_close(outputs(case, gw.to_torch(again))[0], wanted, rtol=1e-4, atol=1e-5)


def test_a_module_runs_in_other_float_types() -> None:
    case = built("llama_gqa", "eager")
    (wanted,) = outputs(case)
    graph = loaded(case, dynamic=False)
    wide = outputs(case, gw.to_torch(graph).double())[0]
    half = outputs(case, gw.to_torch(graph).to(torch.bfloat16))[0]
    assert (wide.dtype, half.dtype) == (torch.float64, torch.bfloat16)
    torch.testing.assert_close(wide, wanted.double(), rtol=1e-4, atol=1e-5)
    assert torch.nn.functional.cosine_similarity(half.float(), wanted, -1).min() > 0.999


def test_a_normalizer_is_compiled_and_exported_too() -> None:
    case = built("bert", "eager")
    result = gw.optimize(loaded(case, dynamic=True), apply=["log2-softmax"])
    assert result.report.applied[0].count == 2
    module = gw.to_torch(result.graph, straight_through=True).eval()
    wanted = outputs(case, module)[0]
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    found = compiled(*case.inputs.values())
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    found.square().mean().backward()
    learnt = [p.grad for p in module.parameters() if p.grad is not None]
    assert learnt
    assert all(torch.isfinite(gradient).all() for gradient in learnt)
    sizes = [case.sizes[name] for name in case.inputs]
    again = gw.to_torch(gw.load(module, tuple(case.inputs.values()), dynamic_shapes=sizes))
    torch.testing.assert_close(outputs(case, again)[0], wanted, rtol=1e-4, atol=1e-5)


def test_a_scale_behind_the_product_is_a_module_too() -> None:
    graph = gw.parse("""
def f(q: f32[2, 2, 3, 4], k: f32[2, 1, 5, 4], v: f32[2, 1, 5, 4], m: bool[2, 1, 1, 5]):
    return Attention(q, k, v, None, m, scale=0.3, cap=0.0, filler=-1e4, guard=0, precision="",
                     late=1)
""")
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, heads, n, 4) for heads, n in ((2, 3), (1, 5), (1, 5)))
    m = torch.arange(5) < torch.tensor([5, 2])[:, None, None, None]
    found = gw.to_torch(graph)(q, k, v, m)
    scores = torch.where(m, 0.3 * (q @ k.mT), -1e4)
    torch.testing.assert_close(found, scores.softmax(-1) @ v)
