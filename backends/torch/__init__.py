"""Graphs as modules of PyTorch, in any float type, on any device, and with gradients."""

from graphwright.backends.torch.finetune import finetune
from graphwright.backends.torch.module import taken_back, to_module

__all__ = ["finetune", "taken_back", "to_module"]
