"""Modules and exported programs of PyTorch as graphs."""

from graphwright.frontends.torch.export import export
from graphwright.frontends.torch.load import load

__all__ = ["export", "load"]
