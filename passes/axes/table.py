"""How each operator works along axes: `working(node)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from graphwright.ir.errors import TooLarge
from graphwright.ir.graph import Node
from graphwright.ir.operators.reductions import REDUCTIONS
from graphwright.ir.ops import NotTyped
from graphwright.passes.attention.factors import Unprovable
from graphwright.passes.axes import layouts, products, rows
from graphwright.passes.axes.working import Working, opaque

Read: TypeAlias = Callable[[Node], Working]

READERS: dict[str, Read] = {
    **dict.fromkeys(rows.ELEMENTWISE, rows.elementwise),
    **dict.fromkeys([name for name, _ in REDUCTIONS], rows.reduction),
    **dict.fromkeys(("ArgMax", "ArgMin"), rows.greatest),
    **dict.fromkeys(("Softmax", "LogSoftmax", "TopK"), rows.along_axis),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), rows.normalization),
    **dict.fromkeys(("Conv", "MaxPool", "AveragePool", "GlobalAveragePool"), rows.pooling),
    **dict.fromkeys(("Shape", "Size", "Sizes", "Range"), rows.reads_sizes),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), layouts.regrouped),
    **dict.fromkeys(("MatMul", "com.microsoft::FusedMatMul"), products.matmul),
    "Dropout": rows.dropout,
    "CumSum": rows.running_sum,
    "Trilu": rows.triangle,
    "BatchNormalization": rows.batch_normalization,
    "RotaryEmbedding": rows.rotary,
    "ConstantOfShape": rows.filled,
    "Transpose": layouts.transposed,
    "Expand": layouts.expanded,
    "Tile": layouts.tiled,
    "Pad": layouts.padded,
    "Slice": layouts.sliced,
    "Split": layouts.split,
    "Concat": layouts.joined,
    "Gather": layouts.gathered,
    "GatherElements": layouts.gathered_elements,
    "GatherND": layouts.gathered_rows,
    "Gemm": products.gemm,
    "Linear": products.linear,
    "Einsum": products.einsum,
    "Attention": products.attention,
}
"""Of any other operator nothing is said: it may mix all that it reads."""


def working(node: Node) -> Working:
    """How `node` works along the axes of what it reads and gives."""
    read = READERS.get(node.op)
    if read is None or node.bodies:
        return opaque(node)
    try:
        return read(node)
    except (Unprovable, NotTyped, TooLarge, TypeError, KeyError):
        return opaque(node)
