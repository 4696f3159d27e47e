"""A gate on what attention gives, which depends on the query.

Paper: Qiu et al. 2025, "Gated Attention for Large Language Models: Non-linearity, Sparsity, and
Attention-Sink-Free", arXiv:2505.06708, section 2.2, the gate after the attention. Not here: the
other four positions, and the training, without which a gate changes nothing.
Claims: of 30 variants, on 15B and 1.7B parameters and 3.5T tokens, this one is best; no sinks.
Checked: a gate that was put in changes no bit, a trained one gives what the formula says, and by
head it is the one by element whose columns repeat.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from graphwright.ir.contracts import Exact
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import constant
from graphwright.passes.attention.native_parts import dims_of
from graphwright.passes.gates import gated, weight
from graphwright.passes.heads import head_count
from graphwright.passes.rule import Builder, Example, need
from graphwright.passes.shapes import dtype_of
from graphwright.passes.technique import Replacement, Work, technique

GIVEN = "x: f32[B, S, 2], k: f32[B, 2, T, 2], v: f32[B, 2, T, 1]"
BODY = """
        p = Reshape(x @ f32([[1, 0, 1, 3], [0, 1, 2, 1]]), i64([0, 0, 2, 2]))
        q = Transpose(p, perm=(0, 2, 1, 3))
        y = Attention(q, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='')"""


def _promise(*, by: str = "element") -> Exact:
    if by not in ("element", "head"):
        raise ModelError(f"sdpa-gate: by is element or head, not '{by}'")
    return Exact(finite=True)


@technique(
    _promise,
    Example(
        GIVEN,
        f"{BODY}\n        y",
        f"""{BODY}
        g = Transpose(Reshape(x @ f32([[0, 0], [0, 0]]), i64([0, 0, 2, 1])), perm=(0, 2, 1, 3))
        y * (Sigmoid(g) * 2.0)""",
    ),
    Example(
        "q: f32[B, 2, S, 3], k: f32[B, 2, T, 3], v: f32[B, 2, T, 5]",
        "Attention(q, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='')",
        because="no product with a weight",
    ),
    needs="training",
)
def sdpa_gate(graph: Graph, work: Work, *, by: str = "element") -> Iterator[Replacement]:
    """Attention(q, k, v)  ->  Attention(q, k, v) * 2 sigmoid(x w)

    x: [B, S, C], what the layer reads; w: [C, H * E] (by=element) or [C, H] (by=head); result:
    [B, H, S, E]. The weight is a constant called layers.N.gate.weight, for training; it is 0 at
    first, so the factor is 1 and no bit changes. The paper's gate has no factor 2: where a trained
    model gets gates, it keeps them open.
    Source: section 2.2.
    """
    for layer, node in work.layers(graph):
        with work.trying(node):
            yield gated(work, node, 2.0, partial(_logits, layer=layer, node=node, by=by))


def _logits(op: Builder, x: Value, layer: int, node: Node, by: str) -> Value:
    """What the gate makes of x: [B, H, S, E], or [B, H, S, 1]."""
    heads, channels = head_count(node), dims_of(x, "input")[-1]
    columns = dims_of(node.outputs[0], "result")[-1] if by == "element" else 1
    need(isinstance(columns, int), "the width of its heads is not known")
    assert isinstance(columns, int)
    assert isinstance(channels, int)
    w = weight(f"layers.{layer}.gate.weight", dtype_of(x), channels, heads * columns)
    apart = op.Reshape(op.MatMul(x, w), constant([0, 0, heads, columns], "i64"))
    return op.Transpose(apart, perm=(0, 2, 1, 3))
