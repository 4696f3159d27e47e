"""A gate on each head, by which it can learn to do nothing.

Paper: Bondarenko, Nagel and Blankevoort 2023, "Quantizable Transformers: Removing Outliers by
Helping Attention Heads Do Nothing", arXiv:2306.12929, section 4.2. Not here: gates of more than
one layer, and the training, without which a gate changes nothing.
Claims: BERT, OPT and ViT, trained so, are quantized to 8 bits without any further effort.
Checked: a gate that was put in changes no bit, a trained one gives what the formula says.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import log

from graphwright.ir.contracts import Contract, Exact, Tolerance
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Value
from graphwright.ir.ops import constant
from graphwright.passes.attention.native_parts import dims_of
from graphwright.passes.gates import gated, weight
from graphwright.passes.heads import head_count
from graphwright.passes.rule import Builder, Example, need
from graphwright.passes.shapes import dtype_of
from graphwright.passes.technique import Replacement, Work, technique

GIVEN = "x: f32[B, S, 4], k: f32[B, 2, T, 3], v: f32[B, 2, T, 5]"
BODY = """
        w = f32([[1, 0, 1, 0, 1, 2], [0, 1, 0, 1, 1, 0], [1, 1, 0, 0, 1, 2], [1, 0, 0, 2, 1, 0]])
        q = Transpose(Reshape(x @ w, i64([0, 0, 2, 3])), perm=(0, 2, 1, 3))
        y = Attention(q, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='')"""


def _promise(*, by: str = "head", open: float = 0.5) -> Contract:
    if by not in ("head", "all"):
        raise ModelError(f"gated-attention: by is head or all, not '{by}'")
    if not 0 < open < 1:
        raise ModelError(f"gated-attention: open is between 0 and 1, not {open:g}")
    return Exact(finite=True) if open == 0.5 else Tolerance()


@technique(
    _promise,
    Example(
        GIVEN,
        f"{BODY}\n        y",
        f"""{BODY}
        s = Transpose(Reshape(x, i64([0, 0, 2, 2])), perm=(0, 2, 1, 3))
        g = s @ f32([[[0], [0]], [[0], [0]]]) + f32([[[0]], [[0]]])
        y * (Sigmoid(g) * 2.0)""",
    ),
    Example(
        "q: f32[B, 2, S, 3], k: f32[B, 2, T, 3], v: f32[B, 2, T, 5]",
        "Attention(q, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='')",
        because="no product with a weight",
    ),
    needs="training",
)
def gated_attention(
    graph: Graph, work: Work, *, by: str = "head", open: float = 0.5
) -> Iterator[Replacement]:
    """Attention(q, k, v)  ->  Attention(q, k, v) * sigmoid(x w + b) / open

    x: [B, S, C], what the layer reads; w: of each head [C / H], which meets the part of x that is
    the head's (by=head), or [C] (by=all); b: [H]; the gate is one number for each head and query.
    The weights are constants called layers.N.gate.weight and layers.N.gate.bias, for training. w
    is 0 and sigmoid(b) = open at first, so nothing changes; not a bit where open is 0.5.
    Source: equation 5; the factor 1 / open is that of the authors' code for trained models.
    """
    for layer, node in work.layers(graph):
        with work.trying(node):
            start = log(open / (1 - open))
            made = partial(_logits, layer=layer, heads=head_count(node), by=by, start=start)
            yield gated(work, node, 1 / open, made)


def _logits(op: Builder, x: Value, layer: int, heads: int, by: str, start: float) -> Value:
    """What the gate makes of x: [B, H, S, 1]."""
    width, dtype = dims_of(x, "input")[-1], dtype_of(x)
    assert isinstance(width, int)
    name = f"layers.{layer}.gate"
    bias = weight(f"{name}.bias", dtype, heads, 1, 1, of=start)
    if by == "all":
        all_ = op.MatMul(x, weight(f"{name}.weight", dtype, width, heads))
        return op.Add(op.Unsqueeze(op.Transpose(all_, perm=(0, 2, 1)), axes=(3,)), bias)
    need(width % heads == 0, f"what its layer reads is not of {heads} parts")
    parts = op.Reshape(x, constant([0, 0, heads, width // heads], "i64"))
    own = op.Transpose(parts, perm=(0, 2, 1, 3))
    return op.Add(op.MatMul(own, weight(f"{name}.weight", dtype, heads, width // heads, 1)), bias)
