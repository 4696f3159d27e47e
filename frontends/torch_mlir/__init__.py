"""Modules of torch-mlir's torch dialect as graphs."""

from graphwright.frontends.torch_mlir.load import load

__all__ = ["load"]
