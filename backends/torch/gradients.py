"""Gradients where PyTorch's own say nothing: through roundings, thresholds and what is no number.

Values are what they are without: only what flows back differs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class _Finite(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed by mypy
    @staticmethod
    def forward(x: Any) -> Any:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        return None

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return torch.where(torch.isfinite(gradient), gradient, 0.0)


def finite(x: Any) -> Any:
    """X, to which no gradient comes back that is NaN or infinite.

    Where a Where chooses the other branch, or a weight is 0, the gradient that comes is 0, and 0
    times the derivative of log 0 is NaN, which would be the gradient of all of the row.
    """
    if not torch.is_grad_enabled() or not x.requires_grad or _is_exporting():
        return x
    return _Finite.apply(x)


_is_exporting: Callable[[], bool] = getattr(torch.compiler, "is_exporting", lambda: False)
"""From PyTorch 2.7 on it can be asked; before, an exported program has a few views more."""


def _passed(hard: Any, soft: Any) -> Any:
    """`hard` with the gradient of `soft` where that is finite, else with its own."""
    apart = torch.where(torch.isfinite(soft), soft, 0.0)
    return hard + (apart - apart.detach())


ROUNDED: dict[str, Callable[[Any], Any]] = {
    "Round": torch.round,
    "Floor": torch.floor,
    "Ceil": torch.ceil,
    "Sign": torch.sign,
}
"""What rounds."""


def rounded(x: Any, op: str) -> Any:
    """X as `op` rounds it; gradients pass as through x itself.

    Source: Bengio, Léonard and Courville 2013, "Estimating or Propagating Gradients Through
    Stochastic Neurons for Conditional Computation", arXiv:1308.3432, section 4.
    """
    return _passed(ROUNDED[op](x), x)


COMPARED: dict[str, tuple[Callable[[Any, Any], Any], bool]] = {
    "Greater": (torch.gt, True),
    "GreaterOrEqual": (torch.ge, True),
    "Less": (torch.lt, False),
    "LessOrEqual": (torch.le, False),
}
"""What compares, and whether it holds above the threshold."""


def _soft(op: str, a: Any, b: Any) -> Any:
    """What rises from 0 to 1 as a comparison begins to hold, within 1/2 of where a is b."""
    apart = a - b if COMPARED[op][1] else b - a
    apart = torch.where(torch.isfinite(apart), apart, 1.0)  # of a hidden key, and as flat
    return torch.clamp(apart + 0.5, 0.0, 1.0)


def truth(a: Any, b: Any, op: str) -> Any:
    """1 where `op` holds of a and b, else 0; near the threshold with the gradient of a - b."""
    soft = _soft(op, a, b)
    return _passed(COMPARED[op][0](a, b).to(soft.dtype), soft)


def choice(a: Any, b: Any, x: Any, y: Any, op: str) -> Any:
    """X where `op` holds of a and b, else y; near the threshold with the step's gradient."""
    soft, step = _soft(op, a, b), (x - y).detach()
    chosen = torch.where(COMPARED[op][0](a, b), x, y)
    return chosen + (soft - soft.detach()) * torch.where(torch.isfinite(step), step, 0.0)


def straight_softmax(weights: Any, scores: Any) -> Any:
    """Weights that were counted in integers, with the gradient of the softmax that they stand for.

    Source: as `rounded`.
    """
    return _passed(weights, torch.softmax(finite(scores), -1))
