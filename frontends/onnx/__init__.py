"""Models in ONNX files as graphs."""

from graphwright.frontends.onnx.load import from_proto, load

__all__ = ["from_proto", "load"]
