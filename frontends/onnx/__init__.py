"""Models in ONNX files as graphs."""

from graphwright.frontends.onnx.load import from_proto, load
from graphwright.frontends.onnx.validity import first_fault

__all__ = ["first_fault", "from_proto", "load"]
