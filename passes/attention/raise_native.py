"""ONNX's own Attention becomes the IR's, as ONNX Runtime computes it."""

from __future__ import annotations

from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import constant
from graphwright.passes.application import EachOutput
from graphwright.passes.attention.native_parts import (
    apart,
    both,
    default_scale,
    dims_of,
    joined,
    length,
    need_length,
    not_later,
    number,
    padded,
    positions,
    sorted_out,
    to_rank_4,
    together,
)
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule
from graphwright.passes.shapes import dtype_of

SINCE = 23
NAMES = tuple(f"Attention@{opset}" for opset in range(SINCE, SINCE + 10))
FLOATS = {1: "f32", 10: "f16", 11: "f64", 16: "bf16"}  # by ONNX's numbers
WIDER = {"f16": ("f32", "f64"), "bf16": ("f32", "f64"), "f32": ("f64",)}
KNOWN = frozenset(
    {"scale", "softcap", "is_causal", "softmax_precision", "q_num_heads", "kv_num_heads"}
    | {"qk_matmul_output_mode"}
)
GIVEN = "q: f32[B, 4, S, 8], k: f32[B, 2, T, 8], v: f32[B, 2, T, 6]"
FLAT = "q: f32[B, S, 32], k: f32[B, T, 16], v: f32[B, T, 12]"


@rule(
    EachOutput(*NAMES),
    Tolerance(),
    Example(
        GIVEN,
        'call("Attention@23", q, k, v, scale=0.5)',
        "Attention(q, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='')",
    ),
    Example(
        FLAT,
        'call("Attention@23", q, k, v, q_num_heads=4, kv_num_heads=2, scale=0.5, softcap=3.0)',
        """
        y = Attention(Transpose(Reshape(q, i64([0, 0, 4, 8])), perm=(0, 2, 1, 3)),
                      Transpose(Reshape(k, i64([0, 0, 2, 8])), perm=(0, 2, 1, 3)),
                      Transpose(Reshape(v, i64([0, 0, 2, 6])), perm=(0, 2, 1, 3)),
                      scale=0.5, cap=3.0, filler=-inf, guard=0, precision='')
        Reshape(Transpose(y, perm=(0, 2, 1, 3)), i64([0, 0, 24]))""",
    ),
    Example(
        f"{GIVEN}, m: bool[S, T]",
        'call("Attention@23", q, k, v, m, scale=0.5)',
        """
        s = Unsqueeze(m, axes=(0, 1))
        Attention(q, k, v, None, s, scale=0.5, cap=0.0, filler=-inf, guard=1, precision='')""",
    ),
    Example(
        f"{GIVEN}, m: f32[B, 1, S, T]",
        'call("Attention@24", q, k, v, m, scale=0.5)',
        """
        s = Greater(m, f32(-3.4028234663852886e+38))
        Attention(q, k, v, m, s, scale=0.5, cap=0.0, filler=-inf, guard=1, precision='')""",
    ),
    Example(
        "q: f32[B, 4, 2, 8], k: f32[B, 4, 3, 8], v: f32[B, 4, 3, 6]",
        'call("Attention@23", q, k, v, scale=0.5, is_causal=1)',
        """
        s = bool([[[[True, False, False], [True, True, False]]]])
        Attention(q, k, v, None, s, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='')""",
    ),
    Example(
        "q: f32[B, S, 32], k: f32[B, T, 16], v: f32[B, T, 12]",
        'call("Attention@23", q, k, v)',
        because="its heads are not said",
    ),
    Example(
        f"{GIVEN}, m: bool[S, 3]",
        'call("Attention@23", q, k, v, m, scale=0.5, left_window_size=2)',
        because="left_window_size",
    ),
)
def raise_native_attention(m: Match, op: Builder) -> Value:
    """ONNX's Attention(Q, K, V)  ->  Attention(q, k, v), heads apart and masks as they are meant

    Q: [B, S, H*D] or [B, H, S, D]; keys and values of the cache are joined before it, and given
    back where they are outputs. Rows without any key give 0, as ONNX Runtime has it: a key is
    hidden by False, by the lowest number of the type, or by infinity.
    Source: the operator's text in ONNX, opsets 23 and 24.
    """
    node = m.node
    unknown = [name for name in node.attrs if name not in KNOWN]
    need(not unknown, f"its attribute {', '.join(unknown)} is not known here")
    index = node.outputs.index(m.root)
    read = len(node.outputs) > 3 and node.outputs[3].uses
    need(not read and index < 3, "its scores are read, which are gone when it is written out")
    given = padded(node, 7)
    need((given[4] is None) == (given[5] is None), "it has a cache of keys alone, or of values")
    need(given[4] is None or given[6] is None, "it has a cache inside and one outside")
    q, k, v = _inputs(op, node)
    k, v = joined(op, given[4], k), joined(op, given[5], v)
    bias, mask, guard = _masks(op, node, q, k)
    y = op.Attention(
        q,
        k,
        v,
        bias,
        mask,
        scale=default_scale(_scale(node), dims_of(q, "queries")[3]),
        cap=float(number(node, "softcap", 0.0)),
        filler=float("-inf"),
        guard=guard,
        precision=_precision(node),
    )
    # Each is made whichever is asked for, so that all are refused or none.
    joins = len(dims_of(node.inputs[0], "queries")) == 3
    return (together(op, y) if joins else y, k, v)[index]


def _inputs(op: Builder, node: Node) -> tuple[Value, Value, Value]:
    q, k, v = node.inputs[:3]
    assert q is not None
    assert k is not None
    assert v is not None
    ranks = {len(dims_of(x, "inputs")) for x in (q, k, v)}
    if ranks == {4}:
        return q, k, v
    need(ranks == {3}, "its inputs have three axes and four")
    heads = [int(number(node, name, 0)) for name in ("q_num_heads", "kv_num_heads")]
    need(all(heads), "its heads are not said")
    return apart(op, q, heads[0]), apart(op, k, heads[1]), apart(op, v, heads[1])


def _scale(node: Node) -> float:
    scale = number(node, "scale", 1.0)
    need(scale > 0, "its scale is not positive, which ONNX Runtime does not run")
    return scale if "scale" in node.attrs else 0.0


def _precision(node: Node) -> str:
    """The type of the softmax where that is a wider one."""
    asked, own = FLOATS.get(int(number(node, "softmax_precision", 0)), ""), dtype_of(node.inputs[0])
    if not number(node, "softmax_precision", 0) or asked == own:
        return ""
    need(asked in WIDER.get(own, ()), "its softmax works in a narrower type than its inputs have")
    return asked


def _masks(op: Builder, node: Node, q: Value, k: Value) -> tuple[Value | None, Value | None, int]:
    """What is added to scores, which of them are seen, and whether a row may see none."""
    given, causal = padded(node, 7), bool(number(node, "is_causal", 0))
    bias = keep = None
    if given[3] is not None:
        need_length(given[3], k)
        bias, keep = sorted_out(op, given[3])
    if given[6] is not None:
        present = _present(op, given[6], q, k, causal)
        return bias, both(op, [keep, present]), 1
    later = not_later(op, q, k, given[4]) if causal else None
    return bias, both(op, [keep, later]), int(keep is not None)


def _present(op: Builder, count: Value, q: Value, k: Value, causal: bool) -> Value:
    """True where a key is none of the padding behind so many, nor later than the query.

    The last query stands at the last of the keys that count.
    """
    count = op.Unsqueeze(count, axes=(1, 2, 3))
    at = to_rank_4(op, positions(op, k, 2))
    seen = op.Less(at, count)
    if not causal:
        return seen
    row = op.Unsqueeze(positions(op, q, 2), axes=(0, 1, 3))
    first = op.Sub(count, length(op, q, 2))
    return op.And(seen, op.Less(at, op.Add(op.Add(row, first), constant(1, "i64"))))
