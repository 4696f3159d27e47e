"""The small graph every model becomes, and what is known about its operators."""

from graphwright.ir import operators  # fills the table of operators
from graphwright.ir.const import Const
from graphwright.ir.dims import Dim, Sym, sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, Graph, Node, Value
from graphwright.ir.ops import OPS, Op, apply, constant
from graphwright.ir.parse import parse
from graphwright.ir.text import same, show, weights_of
from graphwright.ir.types import UNKNOWN, TensorType, Type

__all__ = [
    "OPS",
    "UNKNOWN",
    "Attr",
    "Const",
    "Dim",
    "Graph",
    "ModelError",
    "Node",
    "Op",
    "Sym",
    "TensorType",
    "Type",
    "Value",
    "apply",
    "constant",
    "operators",
    "parse",
    "same",
    "show",
    "sym",
    "weights_of",
]
