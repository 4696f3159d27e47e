"""What ATen's operators mean: the table of readings that the front ends of PyTorch share."""

from graphwright.frontends.aten.builder import Builder, NotRead
from graphwright.frontends.aten.readings import is_known, read

__all__ = ["Builder", "NotRead", "is_known", "read"]
