"""Graphs run on ONNX Runtime."""

from graphwright.backends.ort.pack import Packed, pack
from graphwright.backends.ort.worker import Worker

__all__ = ["Packed", "Worker", "pack"]
