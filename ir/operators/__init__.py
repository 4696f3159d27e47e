"""The rows of the operator table, by what the operators do; importing this fills the table."""

from graphwright.ir.operators import (
    attention,
    contractions,
    contrib,
    cuts,
    pointwise,
    reductions,
    regions,
    rotary,
    sizes,
    views,
)

__all__ = [
    "attention",
    "contractions",
    "contrib",
    "cuts",
    "pointwise",
    "reductions",
    "regions",
    "rotary",
    "sizes",
    "views",
]
