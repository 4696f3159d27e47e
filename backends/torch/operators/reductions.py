"""Operators that reduce, normalize, sum up and sort along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  everybody calls it so

from graphwright.backends.torch.registry import lower


def _reduction(function: Callable[[Any, tuple[int, ...], bool], Any]) -> Callable[..., Any]:
    def reduced(x: Any, axes: tuple[int, ...] | None = None, keepdims: int = 1) -> Any:
        over = tuple(range(x.dim())) if axes is None else tuple(axes)
        return function(x, over, bool(keepdims)) if over else x

    return reduced


def _product(x: Any, axes: tuple[int, ...], keep: bool) -> Any:
    for axis in sorted((a % x.dim() for a in axes), reverse=True):
        x = torch.prod(x, axis, keepdim=keep, dtype=x.dtype)
    return x


REDUCTIONS: dict[str, Callable[[Any, tuple[int, ...], bool], Any]] = {
    "ReduceSum": lambda x, axes, keep: torch.sum(x, axes, keep, dtype=x.dtype),
    "ReduceMean": lambda x, axes, keep: torch.mean(x, axes, keep),
    "ReduceMax": lambda x, axes, keep: torch.amax(x, axes, keep),
    "ReduceMin": lambda x, axes, keep: torch.amin(x, axes, keep),
    "ReduceProd": _product,
    "ReduceL1": lambda x, axes, keep: torch.sum(torch.abs(x), axes, keep, dtype=x.dtype),
    "ReduceL2": lambda x, axes, keep: torch.sqrt(torch.sum(x * x, axes, keep)),
    "ReduceSumSquare": lambda x, axes, keep: torch.sum(x * x, axes, keep, dtype=x.dtype),
    "ReduceLogSum": lambda x, axes, keep: torch.log(torch.sum(x, axes, keep)),
    "ReduceLogSumExp": lambda x, axes, keep: torch.logsumexp(x, axes, keep),
}
"""Reductions, by their names."""

for _op, _function in REDUCTIONS.items():
    lower(_op)(_reduction(_function))


@lower("Softmax")
def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) over its sum along an axis."""
    return torch.softmax(x, axis)


@lower("LogSoftmax")
def log_softmax(x: Any, axis: int = -1) -> Any:
    """The logarithm of the softmax."""
    return torch.log_softmax(x, axis)


@lower("CumSum", numbers=(1,))
def cum_sum(x: Any, axis: Any, exclusive: int = 0, reverse: int = 0) -> Any:
    """The sums of what stands before, and of each element itself."""
    at = axis[0] if isinstance(axis, list) else axis
    y = torch.flip(x, (at,)) if reverse else x
    found = torch.cumsum(y, at, dtype=x.dtype)
    found = found - y if exclusive else found
    return torch.flip(found, (at,)) if reverse else found


def _best(largest: bool) -> Callable[..., Any]:
    def function(x: Any, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
        pick = torch.argmax if largest else torch.argmin
        if not select_last_index:
            return pick(x, axis, bool(keepdims))
        return x.shape[axis] - 1 - pick(torch.flip(x, (axis,)), axis, bool(keepdims))

    return function


lower("ArgMax")(_best(True))
lower("ArgMin")(_best(False))


@lower("TopK", numbers=(1,), results=2)
def topk(x: Any, k: Any, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Any, Any]:
    """The k largest along an axis, and where they stand."""
    # Of equal ones the first comes first, which torch.topk does not promise.
    values, at = torch.sort(x, dim=axis, descending=bool(largest), stable=True)
    return values.narrow(axis, 0, k[0]), at.narrow(axis, 0, k[0])


@lower("LayerNormalization")
def layer_norm(
    x: Any,
    scale: Any,
    bias: Any = None,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias over the last axes."""
    dims = x.shape[axis % x.dim() :]
    if scale.shape == dims and (bias is None or bias.shape == dims):
        return F.layer_norm(x, dims, scale, bias, epsilon)
    y = F.layer_norm(x, dims, None, None, epsilon) * scale
    return y if bias is None else y + bias


@lower("RMSNormalization")
def rms_norm(x: Any, scale: Any, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> Any:
    """X / sqrt(mean(x x) + epsilon) * scale over the last axes."""
    dims = x.shape[axis % x.dim() :]
    return F.rms_norm(x, dims, None, epsilon).to(scale.dtype) * scale


@lower("com.microsoft::SkipLayerNormalization", results=4)
def skip_layer_norm(
    x: Any, skip: Any, gamma: Any, beta: Any = None, bias: Any = None, epsilon: float = 1e-5
) -> tuple[Any, ...]:
    """The norm of x + skip + bias and, last, that sum."""
    summed = x + skip if bias is None else x + skip + bias
    return F.layer_norm(summed, gamma.shape, gamma, beta, epsilon), None, None, summed


@lower("com.microsoft::SkipSimplifiedLayerNormalization", results=4)
def skip_rms_norm(
    x: Any, skip: Any, gamma: Any, bias: Any = None, epsilon: float = 1e-5
) -> tuple[Any, ...]:
    """The norm of x + skip + bias without its mean and, last, that sum."""
    summed = x + skip if bias is None else x + skip + bias
    return F.rms_norm(summed, gamma.shape, gamma, epsilon), None, None, summed


@lower("BatchNormalization")
def batch_norm(
    x: Any,
    scale: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> Any:
    """Each channel normalized by statistics that are given."""
    if training_mode:
        raise NotImplementedError("a BatchNormalization that learns from each batch")
    return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon)


@lower("InstanceNormalization")
def instance_norm(x: Any, scale: Any, bias: Any, epsilon: float = 1e-5) -> Any:
    """Each channel of each image normalized, then scaled by channel."""
    return F.instance_norm(x, None, None, scale, bias, True, 0.0, epsilon)


@lower("GroupNormalization")
def group_norm(
    x: Any, scale: Any, bias: Any, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Any:
    """Each group of channels normalized, then scaled by channel; before opset 21 by group."""
    each = x.shape[1] // scale.shape[0]
    if each > 1:
        scale, bias = (torch.repeat_interleave(p, each) for p in (scale, bias))
    return F.group_norm(x, num_groups, scale, bias, epsilon)


@lower("LpNormalization")
def lp_norm(x: Any, axis: int = -1, p: int = 2) -> Any:
    """X over its length along an axis."""
    length = torch.linalg.vector_norm(x, p, axis, keepdim=True)
    return torch.where(length == 0, 0.0, x / length)
