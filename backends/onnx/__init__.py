"""Graphs as ONNX models and files."""

from graphwright.backends.onnx.save import save
from graphwright.backends.onnx.write import to_proto

__all__ = ["save", "to_proto"]
