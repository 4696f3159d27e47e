"""Attention as ONNX Runtime's own operator."""

from __future__ import annotations

from graphwright.ir.dims import Dim, product
from graphwright.ir.graph import Value
from graphwright.ir.ops import constant
from graphwright.passes.application import any_node
from graphwright.passes.hiding import buries
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule
from graphwright.passes.shapes import dtype_of, expand, reshape, shape_of

MHA = "com.microsoft::MultiHeadAttention"
HEADS_LAST = (0, 2, 1, 3)

GIVEN = "q: f32[B, S, 32], k: f32[B, 4, T, 8], v: f32[B, 4, T, 8]"
QUERIES = "qh = Transpose(Reshape(q, i64([0, 0, 4, 8])), perm=(0, 2, 1, 3))"
JOINED = "Reshape(Transpose(qh, perm=(0, 2, 1, 3)), Sizes(dims=(B, S, 32)))"
APART = "Transpose(Reshape(y, Sizes(dims=(B, S, 4, 8))), perm=(0, 2, 1, 3))"


@rule(
    any_node("Attention"),
    Tolerance(),
    Example(
        GIVEN,
        f"""
        {QUERIES}
        Attention(qh, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='')""",
        f"""
        {QUERIES}
        y = call("{MHA}", {JOINED}, k, v, num_heads=4, scale=0.5)
        {APART}""",
    ),
    Example(
        f"{GIVEN}, m: bool[B, 1, S, T]",
        f"""
        {QUERIES}
        Attention(qh, k, v, None, m, scale=0.5, cap=0.0, filler=-inf, guard=1, precision='')""",
        f"""
        {QUERIES}
        m2 = Where(m, f32(0), f32(-inf))
        x = call("{MHA}", {JOINED}, k, v, None, None, m2, num_heads=4, scale=0.5)
        y = Where(IsNaN(x), f32(0), x)
        {APART}""",
    ),
    Example(
        GIVEN,
        f"""
        {QUERIES}
        Attention(qh, k, v, scale=0.5, cap=30.0, filler=-inf, guard=0, precision='')""",
        because="capped",
    ),
)
def lower_attention_ort(m: Match, op: Builder) -> Value:
    """Attention(q, k, v)  ->  com.microsoft::MultiHeadAttention(q, k, v)

    q: [*B, H, S, D]; k: [*B, H, T, D]; v: [*B, H, T, E]; result: [*B, H, S, E]. The operator adds
    its bias to the scores: what hides keys must be so low that adding it and putting it there are
    the same. Where rows without keys gave 0, its NaN are made 0.
    """
    q, k, v, *extras = m.node.inputs
    attrs = m.node.attrs
    need(not m.node.bodies, "its weights are made by another normalizer than softmax")
    bias, mask, sink = (*extras, None, None, None)[:3]
    need(not attrs["cap"] and sink is None, "its scores are capped, or have a sink beside them")
    need(not attrs["precision"], "its softmax works in another type")
    need(attrs["scale"], "its scale is 0, which the operator takes for one that is not given")
    shapes = [shape_of(each) for each in (q, k, v)]
    need(all(shapes), "its shapes are not known")
    (*lead, heads, queries, width), (*_, shared, keys, _), (*_, wide) = map(_known, shapes)
    need(isinstance(heads, int) and heads == shared, "its heads share keys")
    alike = all(_known(shape)[:-3] == tuple(lead) for shape in shapes)
    need(alike, "its queries, keys and values are of different batches")
    need(op.budget.supports(MHA, dtype_of(q)), f"the runtime that is installed has no {MHA}")
    batch = product(lead)
    bias = _bias(op, m, bias, mask, (batch, heads, queries, keys))
    q4, k4, v4 = (
        reshape(op, _value(x), (batch, *_known(shape)[-3:]))
        for x, shape in zip((q, k, v), shapes, strict=True)
    )
    if width != wide or all(_is_split(x) for x in (k4, v4)):
        k4, v4 = _joined(op, k4), _joined(op, v4)
    given = [_joined(op, q4), k4, v4, *([None, None, bias] if bias is not None else [])]
    y = op.call(MHA, *given, num_heads=heads, scale=attrs["scale"])
    if attrs["guard"]:
        y = op.Where(op.IsNaN(y), 0.0, y)
    apart = reshape(op, y, (batch, queries, heads, wide))
    return reshape(op, op.Transpose(apart, perm=HEADS_LAST), shape_of(m.root))


def _known(shape: tuple[Dim, ...] | None) -> tuple[Dim, ...]:
    assert shape is not None
    return shape


def _value(value: Value | None) -> Value:
    assert value is not None
    return value


def _is_split(x: Value) -> bool:
    """Whether heads were brought forward from where the operator takes them too."""
    node = x.producer
    return node is not None and node.op == "Transpose" and node.attrs["perm"] == HEADS_LAST


def _joined(op: Builder, x: Value) -> Value:
    """[B, H, S, D] as [B, S, H*D]."""
    batch, heads, rows, width = _known(shape_of(x))
    moved = op.Transpose(x, perm=HEADS_LAST)
    return reshape(op, moved, (batch, rows, product((heads, width))))


def _bias(
    op: Builder, m: Match, bias: Value | None, mask: Value | None, scores: tuple[Dim, ...]
) -> Value | None:
    """What is added to the scores, with all queries and keys; batches and heads may be one."""
    filler, dtype = m.node.attrs["filler"], dtype_of(m.node.inputs[0])
    assert isinstance(filler, float)
    if mask is not None:
        need(
            buries(filler, dtype),
            f"what it hides gets a score of {filler:g}, which cannot be added",
        )
        other = constant(0.0, dtype) if bias is None else bias
        bias = op.Where(mask, other, constant(filler, dtype))
    if bias is None:
        return None
    need(dtype_of(bias) == dtype, "what is added to its scores is of another type")
    *lead, heads, queries, keys = _known(shape_of(bias))
    batch = product(lead)
    need(batch in (1, scores[0]), "its mask is for some axes of the batch only")
    bias = reshape(op, bias, (batch, heads, queries, keys))
    return expand(op, bias, (batch, heads, *scores[2:]))
