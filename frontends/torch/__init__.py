"""Modules and exported programs of PyTorch as graphs."""

from graphwright.frontends.torch.export import export
from graphwright.frontends.torch.load import is_model, load

__all__ = ["export", "is_model", "load"]
