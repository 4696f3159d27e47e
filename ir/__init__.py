"""The small graph every model becomes, and what is known about its operators."""

from graphwright.ir import operators  # fills the table of operators
from graphwright.ir.parse import parse
from graphwright.ir.text import same, show, weights_of

__all__ = ["operators", "parse", "same", "show", "weights_of"]
