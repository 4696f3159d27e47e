"""An attention as a module of PyTorch: the kernel where it can run, written out elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch


class Attention(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Takes q, k, v and what else its kernel takes; gives [*B, H, S, E].

    `plain` computes the same in PyTorch's own operators. It runs where there is no GPU, in other
    element types, where a program is exported, and once more where gradients are wanted.
    """

    def __init__(self, plain: Any, kernel: ModuleType | None) -> None:
        super().__init__()
        self.plain, self.kernel, self.tuning = plain, kernel, False

    def forward(self, q: Any, k: Any, v: Any, *others: Any) -> Any:
        """What the attention gives."""
        if (
            self.kernel is None
            or torch.compiler.is_compiling()
            or not self.kernel.runs_here(q, k, v)
        ):
            return self.plain(q, k, v, *others)
        given = (q, k, v, *others)
        if self.tuning:
            self.kernel.tune(*given)
        if not torch.is_grad_enabled() or not any(x.requires_grad for x in given):
            return self.kernel.launch(*given)
        if self._has_gradients(*given):
            return Differentiable.apply(self.kernel, *given)
        return Recomputed.apply(self.plain, self.kernel.launch, *given)

    def _has_gradients(self, q: Any, k: Any, v: Any, *others: Any) -> bool:
        """Whether there are kernels of the gradients that are wanted: not of a bias."""
        pairwise = any(x.requires_grad and x.shape[-1] > 1 for x in others)
        some = q.numel() > 0 and k.numel() > 0 and v.numel() > 0
        return some and not pairwise and hasattr(self.kernel, "launch_backward")


def tune(model: Any, *inputs: Any) -> None:
    """Measure on this GPU how each kernel of a model is best cut into blocks, for such inputs.

    What was fastest is kept beside the kernel's file, and taken from then on.
    """
    parts = [part for part in model.modules() if isinstance(part, Attention)]
    for part in parts:
        part.tuning = True
    try:
        with torch.no_grad():
            model(*inputs)
    finally:
        for part in parts:
            part.tuning = False


class Differentiable(torch.autograd.Function):  # type: ignore[misc]  # as above
    """A kernel that has kernels of its gradients."""

    @staticmethod
    def forward(ctx: Any, kernel: Any, *given: Any) -> Any:
        """What the kernel gives; what gradients need of each row is kept."""
        ctx.kernel = kernel
        y, lse = kernel.launch(*given, keep=True)
        ctx.save_for_backward(y, lse, *given)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]  # as above
    def backward(ctx: Any, gradient: Any) -> tuple[Any, ...]:
        """The gradients of q, k, v, and of sinks, which come last."""
        y, lse, *given = ctx.saved_tensors
        dq, dk, dv, *sinks = ctx.kernel.launch_backward(gradient, y, lse, *given)
        none = [None] * (len(given) - 3 - len(sinks))
        return (None, dq, dk, dv, *none, *sinks)


class Recomputed(torch.autograd.Function):  # type: ignore[misc]  # as above
    """A kernel whose gradients are those of what is written out, which is run again for them."""

    @staticmethod
    def forward(ctx: Any, plain: Any, launch: Callable[..., Any], *given: Any) -> Any:
        """What the kernel gives."""
        ctx.plain = plain
        ctx.save_for_backward(*given)
        return launch(*given)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]  # as above
    def backward(ctx: Any, gradient: Any) -> tuple[Any, ...]:
        """The gradients of what was given, where they are wanted."""
        wanted = ctx.needs_input_grad[2:]
        with torch.enable_grad():
            given = [
                x.detach().requires_grad_(needed)
                for x, needed in zip(ctx.saved_tensors, wanted, strict=True)
            ]
            y = ctx.plain(*given)
        asked = [x for x in given if x.requires_grad]
        found = iter(torch.autograd.grad(y, asked, gradient, allow_unused=True))
        return (None, None, *(next(found) if needed else None for needed in wanted))
