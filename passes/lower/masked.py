"""Attention whose masked scores are kept out of the slow range of the exponential."""

from __future__ import annotations

from graphwright.ir.graph import Node, Value
from graphwright.passes.application import any_node
from graphwright.passes.hiding import HIDDEN
from graphwright.passes.lower.attention import written
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule
from graphwright.passes.shapes import dtype_of, shape_of

DEPTH = 60.0  # e**-60 is 9e-27: of a thousand keys it is no part of a float32, and no denormal
LOOK = 64  # nodes of a mask that are looked at
SMALL = 1 << 22  # bytes of a constant that is looked at

GIVEN = "q: f32[B, 4, S, 8], k: f32[B, 4, S, 8], v: f32[B, 4, S, 8]"
ATTRS = "scale=1.0, cap=0.0, filler=-inf, guard=0, precision=''"


def _is_masked(node: Node) -> bool:
    return len(node.inputs) > 3


@rule(
    any_node("Attention", when=_is_masked),
    Tolerance(),
    Example(
        f"{GIVEN}, m: f32[S, S]",
        f"""
        causal = Unsqueeze(Trilu(m, upper=1), axes=(0, 1))
        Attention(q, k, v, causal, {ATTRS})""",
        """
        causal = Unsqueeze(Trilu(m, upper=1), axes=(0, 1))
        s = q @ Transpose(k, perm=(0, 1, 3, 2)) + causal
        top = ReduceMax(s, axes=(-1,), keepdims=1)
        Softmax(Max(s, top - (Abs(top) * 0.0009765625 + 60.0)), axis=-1) @ v""",
    ),
    Example(
        f"{GIVEN}, m: f32[B, 1, S, S]",
        f"Attention(q, k, v, m, {ATTRS})",
        because="not known to hide",
    ),
)
def lower_masked_attention(m: Match, op: Builder) -> Value:
    """Attention(q, k, v, mask)  ->  Softmax(Max(s, t - 60 - |t| / 1024)) v, where t is ReduceMax(s)

    Of scores far below the greatest of their row ONNX Runtime's softmax computes exponentials that
    are denormal, which takes a CPU up to nine times as long as others. Of the masked scores s none
    is let fall much more than 60 below: e**-60 is less than float32 tells beside 1. Rows without
    keys stay what they are, since a part of the number that hides them goes off too. Only where a
    mask surely hides keys, such as later ones, since the maximum has to be found for it.
    """
    need(not m.node.bodies, "its weights are made by another normalizer than softmax")
    q, _, _, *extras = m.node.inputs
    need(dtype_of(q) == "f32" and m.node.attrs["precision"] in ("", "f32"), "its scores are no f32")
    need(len(extras) < 3, "where its sink alone is seen, what is hidden gives 0 to the last bit")
    queries = (shape_of(q) or (1, 1))[-2]
    need(
        queries != 1 and any(_hides(extra) for extra in extras[:2]), "it is not known to hide keys"
    )
    return written(m, op, DEPTH)


def _hides(mask: Value | None) -> bool:
    """Whether a mask is made of a triangle or of positions that are compared."""
    work, seen = [mask], set[Value]()
    while work and len(seen) < LOOK:
        value = work.pop(0)
        if value is None or value in seen:
            continue
        seen.add(value)
        node = value.producer
        if node is None:
            if _is_pattern(value):
                return True
        elif node.op == "Trilu" or (node.op in COMPARED and _are_positions(node)):
            return True
        else:
            work += node.inputs
    return False


COMPARED = ("Less", "LessOrEqual", "Greater", "GreaterOrEqual")


def _are_positions(node: Node) -> bool:
    """Whether both that are compared are made of Range, by layout and additions."""
    return all(_is_position(value) for value in node.inputs)


def _is_position(value: Value | None) -> bool:
    for _ in range(8):
        node = None if value is None else value.producer
        if node is None or node.op == "Range":
            return node is not None
        value = next(iter(node.inputs), None)
    return False


def _is_pattern(value: Value) -> bool:
    """Whether it is a constant that hides some and shows others."""
    const = value.const
    if const is None or (const.type.nbytes or 0) > SMALL or len(const.type.shape or ()) < 2:
        return False
    held = const.load()
    if held.dtype.kind not in "bf" or not held.size:
        return False
    hidden = ~held if held.dtype.kind == "b" else held <= HIDDEN
    return bool(hidden.any() and not hidden.all())
