"""Operators that do nothing go."""

from __future__ import annotations

from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import contents_of
from graphwright.passes.application import any_node
from graphwright.passes.pattern import var
from graphwright.passes.readings import number
from graphwright.passes.rule import Builder, Exact, Example, Match, need, rule
from graphwright.passes.shapes import same_shape

x = var("x")


@rule(
    any_node("Identity", of=x),
    Exact(),
    Example("x: f32[B, 64]", "Tanh(Identity(x))", "Tanh(x)"),
    Example("x: i64[B]", "Identity(Identity(x)) + 1", "x + 1"),
)
def drop_identity(m: Match, op: Builder) -> Value:
    """Identity(x)  ->  x"""
    return m.x


def _rests(node: Node) -> bool:
    """Whether it is a Dropout at inference: before opset 12 always, after that unless told."""
    training = node.inputs[2] if len(node.inputs) > 2 else None
    return training is None or number(training) == 0


@rule(
    any_node("Dropout", when=_rests, of=x),
    Exact(),
    Example("x: f32[B, 64]", "y: f32[B, 64] = Dropout(x, f32(0.5))\nTanh(y)", "Tanh(x)"),
    Example(
        "x: f32[B, 64]",
        "y: f32[B, 64]\ny, mask = Dropout(x)\ny, mask",
        because="mask",
    ),
)
def drop_dropout(m: Match, op: Builder) -> Value:
    """Dropout(x)  ->  x

    At inference, and where its mask is not read.
    """
    y, *masks = m.node.outputs
    need(m.root is y and not any(v.uses for v in masks), "its mask is read")
    return m.x


def _unchanged(node: Node) -> bool:
    """Whether a node that moves elements surely gives them in the shape they have."""
    if len(node.outputs) > 1 or not same_shape(node.outputs[0], node.inputs[0]):
        return False
    match node.op:
        case "Slice":
            return len(node.inputs) < 5 or _are(node.inputs[4], 1)
        case "Pad":
            pads = node.inputs[1] if len(node.inputs) > 1 else None
            given = node.attrs.get("pads")
            return (
                _are(pads, 0) if pads is not None else isinstance(given, tuple) and not any(given)
            )
        case "Transpose":
            return node.attrs["perm"] == tuple(range(len(node.attrs["perm"])))  # type: ignore[arg-type]
        case "Concat" | "Max" | "Min" | "Sum" | "Mean":
            return len(node.inputs) == 1
    return True


def _are(value: Value | None, wanted: int) -> bool:
    found = contents_of(value)
    return value is None or (isinstance(found, tuple) and all(n == wanted for n in found))


MOVES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile", "Slice", "Pad", "Split")
JOINS = ("Transpose", "Concat", "Max", "Min", "Sum", "Mean")


@rule(
    any_node(*MOVES, *JOINS, when=_unchanged, of=x),
    Exact(),
    Example("x: f32[B, 64]", "Tanh(Transpose(x, perm=(0, 1)))", "Tanh(x)"),
    Example("x: f32[B, 64]", "Tanh(Reshape(x, i64([-1, 64])))", "Tanh(x)"),
    Example("x: f32[2, 64]", "Tanh(Slice(x, i64([0]), i64([9]), i64([0])))", "Tanh(x)"),
    Example("x: f32[2, 64]", "Tanh(Concat(x, axis=0))", "Tanh(x)"),
    Example("x: f32[2, 2]", "Tanh(Transpose(x, perm=(1, 0)))", because="does not fit"),
    Example(
        "x: f32[2, 64]",
        "Tanh(Slice(x, i64([-1]), i64([-9]), i64([0]), i64([-1])))",
        because="does not fit",
    ),
    Example("x: f32[B, S]", "Tanh(Reshape(x, i64([-1, 64])))", because="does not fit"),
)
def drop_view(m: Match, op: Builder) -> Value:
    """Reshape(x, shape of x)  ->  x

    Likewise Expand and Tile to the shape that x has, Slice of all of it, Pad by nothing, Squeeze
    and Unsqueeze of no axis, Transpose that keeps the order, Concat and Split of one.
    """
    return m.x
