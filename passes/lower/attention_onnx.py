"""Attention as ONNX's own operator."""

from __future__ import annotations

from graphwright.ir.dims import at_least, product
from graphwright.ir.graph import Value
from graphwright.ir.types import TensorType
from graphwright.passes.application import any_node
from graphwright.passes.rule import Builder, Example, Match, NoMatch, Tolerance, need, rule
from graphwright.passes.shapes import dtype_of, reshape, shape_of

SINCE = 23
GIVEN = "q: f32[2, 4, 3, 8], k: f32[2, 2, 5, 8], v: f32[2, 2, 5, 6]"
OPEN = "q: f32[B, 4, S, 8], k: f32[B, 2, T, 8], v: f32[B, 2, T, 6]"
ATTRS = "scale=0.5, cap={}, filler=-inf, guard=0, precision=''"


@rule(
    any_node("Attention"),
    Tolerance(),
    Example(
        GIVEN,
        f"Attention(q, k, v, {ATTRS.format(30.0)})",
        """
        y: f32[2, 4, 3, 6]
        y = call("Attention@23", q, k, v, scale=0.5, softcap=30.0)
        y""",
        opset=23,
    ),
    Example(
        f"{GIVEN}, m: f32[2, 1, 3, 5]",
        f"Attention(q, k, v, m, {ATTRS.format(0.0)})",
        because="masked",
        opset=23,
    ),
    Example(GIVEN, f"Attention(q, k, v, {ATTRS.format(0.0)})", because="opset", opset=22),
    Example(OPEN, f"Attention(q, k, v, {ATTRS.format(0.0)})", because="may be 0", opset=23),
)
def lower_attention_onnx(m: Match, op: Builder) -> Value:
    """Attention(q, k, v)  ->  ONNX's Attention(q, k, v)

    q: [*B, H, S, D]; k: [*B, K, T, D]; v: [*B, K, T, E]; result: [*B, H, S, E]. From opset 23 on,
    where nothing is masked, since runtimes do not agree on what a row without keys gives; and
    where no size may be 0, which ONNX Runtime's kernel refuses.
    """
    q, k, v, *extras = m.node.inputs
    attrs = m.node.attrs
    need(not m.node.bodies, "its weights are made by another normalizer than softmax")
    need(not any(extras), "its scores are masked or biased, or have a sink beside them")
    need(not attrs["precision"], "its softmax works in another type")
    scale = attrs["scale"]
    need(isinstance(scale, float) and scale > 0, "its scale is not positive, as the operator wants")
    need(op.budget.opset >= SINCE, f"the model's opset has no Attention, which came with {SINCE}")
    need(op.budget.supports("Attention", dtype_of(q)), "the runtime installed has no Attention")
    kind, shapes = m.root.type, [shape_of(each) for each in (q, k, v)]
    if not isinstance(kind, TensorType) or kind.shape is None or not all(shapes):
        raise NoMatch("its shapes are not known")
    given = []
    for value, shape in zip((q, k, v), shapes, strict=True):
        assert value is not None
        assert shape is not None
        need(shape[:-3] == kind.shape[:-3], "its batches differ")
        need(min(map(at_least, shape)) > 0, "a size may be 0, which ONNX Runtime's kernel refuses")
        given.append(reshape(op, value, (product(shape[:-3]), *shape[-3:])))
    y = op.call(f"Attention@{SINCE}", *given, scale=scale, softcap=attrs["cap"])
    y.type = TensorType(kind.dtype, (product(kind.shape[:-3]), *kind.shape[-3:]))
    return reshape(op, y, kind.shape)
