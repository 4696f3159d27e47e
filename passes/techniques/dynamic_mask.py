"""Keys that are chosen by what they hold.

Paper: Shi et al. 2025, "Trainable Dynamic Mask Sparse Attention", arXiv:2508.02124, with the bias
as in the authors' code, a softplus(d) for the paper's exp(a softplus(d)). Not here: the kernel that
skips blocks, and the training, without which nothing is chosen.
Claims: better perplexity than full attention, sliding windows and native sparse attention.
Checked: one that was put in changes no bit, a trained one keeps the keys of the largest biases
among those that the masks leave, and to keep all is attention with the bias.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphwright.ir.contracts import Exact
from graphwright.ir.dims import least
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import constant
from graphwright.ir.types import TensorType
from graphwright.passes.attention.native_parts import dims_of, length, padded
from graphwright.passes.attention.validity import hide
from graphwright.passes.gates import weight
from graphwright.passes.heads import head_count
from graphwright.passes.rule import Builder, Example, need
from graphwright.passes.shapes import dtype_of
from graphwright.passes.technique import Replacement, Work, technique
from graphwright.passes.unseen import seen_only

GIVEN = "q: f32[B, 4, S, 3], k: f32[B, 2, T, 3], v: f32[B, 2, T, 5]"
ATTRS = "scale=0.5, cap=0.0, filler=-inf, guard=0, precision=''"
SINCE = 11  # TopK as it is written here


def _promise(*, keep: int = 256) -> Exact:
    if keep < 1:
        raise ModelError(f"dynamic-mask: keep is 1 or more, not {keep}")
    return Exact(finite=True)


@technique(
    _promise,
    Example(GIVEN, f"Attention(q, k, v, {ATTRS})"),
    Example(f"{GIVEN}, m: bool[B, 1, 1, T]", f"Attention(q, k, v, None, m, {ATTRS})"),
    Example(GIVEN, f"Attention(q, k, v, {ATTRS})", because="opset", opset=10),
    needs="training",
)
def dynamic_mask(graph: Graph, work: Work, *, keep: int = 256) -> Iterator[Replacement]:
    """softmax(s) v  ->  softmax(s + b) v over the keys of the `keep` largest b, b = a softplus(v w)

    v: [B, K, T, E], of which w: [K * E, K] reads all heads at once; a: [K]; b: [B, K, 1, T], the
    same for all heads that share keys. A query chooses among the keys that its masks leave, and
    keys that are equal to the last one chosen are kept too. The weights are constants called
    layers.N.mask.weight and layers.N.mask.strength, for training. They are 0 at first: all biases
    are equal, all keys are kept, and no bit changes.
    """
    for layer, node in work.layers(graph):
        with work.trying(node):
            yield _chosen(work, layer, node, keep)


def _chosen(work: Work, layer: int, node: Node, keep: int) -> Replacement:
    result = node.outputs[0]
    op = work.at(result, [each for each in node.inputs if each is not None])
    need(op.budget.opset >= SINCE, f"the model's opset is older than {SINCE}")
    v, had, mask = node.inputs[2], *padded(node, 5)[3:5]
    assert v is not None
    need(dtype_of(v) == dtype_of(result) and not node.attrs["precision"], "it works in two types")
    bias = _bias(op, layer, v, head_count(node))
    valid = hide(op, had, mask)
    offered = bias if valid is None else op.Where(valid, bias, constant(float("-inf"), dtype_of(v)))
    less = op.Less(offered, _last_chosen(op, offered, v, keep))
    gone = less if valid is None else op.And(valid, less)
    both = bias if had is None else op.Add(had, bias)
    return Replacement(result, seen_only(op, work, node, op.Not(gone), both))


def _bias(op: Builder, layer: int, v: Value, heads: int) -> Value:
    """What is added to the scores of a key: [B, H, 1, T]."""
    dims, dtype = dims_of(v, "values"), dtype_of(v)
    need(len(dims) == 4, "its values are not [B, K, T, E]")
    _, shared, _, width = dims
    need(isinstance(shared, int) and isinstance(width, int), "the width of its heads is not known")
    assert isinstance(shared, int)
    assert isinstance(width, int)
    all_ = op.Reshape(op.Transpose(v, perm=(0, 2, 1, 3)), constant([0, 0, shared * width], "i64"))
    scores = op.MatMul(all_, weight(f"layers.{layer}.mask.weight", dtype, shared * width, shared))
    strength = weight(f"layers.{layer}.mask.strength", dtype, shared)
    bias = op.Transpose(op.Mul(op.Softplus(scores), strength), perm=(0, 2, 1))
    if shared == heads:
        return op.Unsqueeze(bias, axes=(2,))
    repeated = op.Tile(op.Unsqueeze(bias, axes=(2,)), constant([1, 1, heads // shared, 1], "i64"))
    return op.Unsqueeze(op.Reshape(repeated, constant([0, heads, -1], "i64")), axes=(2,))


def _last_chosen(op: Builder, offered: Value, v: Value, keep: int) -> Value:
    """Of each row the least of the `keep` largest numbers: [*B, H, S, 1]."""
    dims = dims_of(offered, "mask")
    keys, most = length(op, v, -2), constant([keep], "i64")
    count = op.Where(op.Less(keys, most), keys, most)
    attrs = {"axis": -1, "largest": 1, "sorted": 1}
    top, places = op.several("TopK", 2, offered, count, **attrs)
    chosen = (*dims[:-1], least(dims[-1], keep))
    top.type, places.type = TensorType(dtype_of(offered), chosen), TensorType("i64", chosen)
    places.name = "places"
    return op.ReduceMin(top, axes=(-1,), keepdims=1)
