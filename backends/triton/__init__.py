"""Attention as kernels in Triton, made from the body that makes its weights."""

from graphwright.backends.triton.facts import Facts, NoKernel, facts_of
from graphwright.backends.triton.source import kernel_source, plan_of

__all__ = ["Facts", "NoKernel", "facts_of", "kernel_source", "plan_of"]
