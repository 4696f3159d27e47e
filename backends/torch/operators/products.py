"""Operators that multiply and add along axes."""

from __future__ import annotations

from typing import Any

import torch

from graphwright.backends.torch.registry import lower

lower("MatMul")(torch.matmul)


@lower("Gemm")
def gemm(
    a: Any,
    b: Any,
    c: Any = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803  ONNX's name
    transB: int = 0,  # noqa: N803  ONNX's name
) -> Any:
    """Alpha a b + beta c."""
    y = (a.mT if transA else a) @ (b.mT if transB else b)
    y = y if alpha == 1 else alpha * y
    if c is None:
        return y
    return y + (c if beta == 1 else beta * c)


@lower("Linear")
def linear(x: Any, w: Any, b: Any = None, transposed: int = 0) -> Any:
    """X w + b."""
    return torch.nn.functional.linear(x, w if transposed else w.mT, b)


@lower("Einsum")
def einsum(*x: Any, equation: str) -> Any:
    """A sum of products over named axes."""
    return torch.einsum(equation, *x)


@lower("com.microsoft::FusedMatMul")
def fused_matmul(a: Any, b: Any, alpha: float = 1.0, **turned: int) -> Any:
    """Alpha a b, each turned before if asked for."""
    if turned.get("transBatchA") or turned.get("transBatchB"):
        raise NotImplementedError("a FusedMatMul whose batches stand inside")
    left, right = a.mT if turned.get("transA") else a, b.mT if turned.get("transB") else b
    return alpha * (left @ right)


@lower("MatMulInteger")
def matmul_integer(a: Any, b: Any, a_zero: Any = None, b_zero: Any = None) -> Any:
    """The product of integers, less their zero points."""
    left, right = a.to(torch.int32), b.to(torch.int32)
    left = left if a_zero is None else left - a_zero.to(torch.int32)
    right = right if b_zero is None else right - b_zero.to(torch.int32)
    return left @ right
