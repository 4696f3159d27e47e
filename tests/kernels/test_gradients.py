"""Kernels of gradients give what PyTorch derives in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.kernels.cases import Array, Case, varied
from tests.kernels.interpreted import LEARNT, Child

from graphwright.backends.triton import kernel_source
from graphwright.ir.contracts import Tolerance
from graphwright.verification.judge import holds

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

SOFTMAX = Case("softmax", queries=19, keys=37)
DEFAULT = [
    varied(SOFTMAX, "padding", bias="whole"),
    varied(SOFTMAX, "sinks, causal", sink=True, causal=True, mask="none", queries=37, width=16),
    varied(SOFTMAX, "no guard, three batch axes", guard=False, mask="keys", batch=(1, 2, 1)),
]
REST = [
    varied(SOFTMAX, "all hidden", mask="dead", heads=4),
    varied(SOFTMAX, "large scores", large=30.0, mask="none"),
    varied(SOFTMAX, "a window", causal=True, window=6, queries=30, mask="none"),
    varied(SOFTMAX, "more queries than keys", causal=True, queries=40, keys=33, mask="none"),
    varied(SOFTMAX, "a causal mask", mask="causal", heads=6, shared=3, width=40, value_width=72),
    varied(SOFTMAX, "sinks under padding", sink=True, large=5.0),
]


@pytest.mark.parametrize(
    "case", [*DEFAULT, *(pytest.param(each, marks=pytest.mark.full) for each in REST)], ids=str
)
def test_gradients_are_those_of_pytorch(case: Case, interpreter: Child) -> None:
    given = case.given()
    change = np.random.default_rng(9).normal(size=case.computed("f32").shape).astype(np.float32)
    found = interpreter.gradients(kernel_source(case.facts), given, change)
    before, truth = (derived(case, given, change, t) for t in (torch.float32, torch.float64))
    for a, b, exact in zip(before, found, truth, strict=True):
        verdict = holds(Tolerance(), a, b, exact)
        assert verdict.ok, verdict.why


def derived(case: Case, given: dict[str, Array], change: Array, dtype: Any) -> list[Array]:
    """What PyTorch derives, rows without keys giving 0."""
    tensors = {n: torch.from_numpy(x) for n, x in given.items()}
    tensors = {n: x if x.dtype == torch.bool else x.to(dtype) for n, x in tensors.items()}
    wanted = [tensors[name].requires_grad_() for name in LEARNT if name in tensors]
    q, k, v = (tensors[name] for name in "qkv")
    k, v = (x.repeat_interleave(case.heads // case.shared, -3) for x in (k, v))
    s = case.scale * (q @ k.mT)
    s = s + tensors["bias"] if "bias" in tensors else s
    seen = tensors.get("mask", torch.tensor(True))
    if case.causal:
        seen = seen & torch.from_numpy(case.seen())
    s = torch.where(seen, s, -torch.inf)
    if case.sink:
        s = torch.cat([s, tensors["sink"].expand(*s.shape[:-1], 1)], -1)
    dead = (s == -torch.inf).all(-1, keepdim=True)
    p = torch.where(dead, 0.0, torch.where(dead, 0.0, s).softmax(-1))[..., : case.keys]
    (p @ v).backward(torch.from_numpy(change).to(dtype))
    return [x.grad.numpy() for x in wanted]


def test_a_body_and_a_cap_are_computed_once_more_for_gradients() -> None:
    for case in (varied(SOFTMAX, "relu", formula="Relu(s)"), varied(SOFTMAX, "a cap", cap=5.0)):
        assert "launch_backward" not in kernel_source(case.facts)
