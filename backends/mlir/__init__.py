"""Graphs as linalg, and run on the CPU, through torch-mlir."""

from graphwright.backends.mlir.worker import Mlir, check_sizes, save

__all__ = ["Mlir", "check_sizes", "save"]
