"""Powers of e become exponentials."""

from __future__ import annotations

from math import e

from graphwright.ir.graph import Node, Value
from graphwright.passes.algebra import EPS, UNITS
from graphwright.passes.application import any_node
from graphwright.passes.readings import number
from graphwright.passes.rule import Builder, Example, Match, Tolerance, rule
from graphwright.passes.shapes import dtype_of


def _is_exponential(node: Node) -> bool:
    """Whether it is a power of e in float32 or wider; in fewer bits the number is too far off."""
    constant, dtype = number(node.inputs[0], node.inputs[1]), dtype_of(node.inputs[0])
    return (
        constant is not None and dtype in ("f32", "f64") and abs(constant - e) <= UNITS * EPS[dtype]
    )


@rule(
    any_node("Pow", when=_is_exponential),
    Tolerance(),
    Example("x: f32[B, 64]", "2.7182817 ** x", "Exp(x)"),
    Example("x: f32[B, 64]", "2.7 ** x", because="does not fit"),
    Example("x: f16[B, 64]", "2.7182817 ** x", because="does not fit"),
)
def fuse_exp(m: Match, op: Builder) -> Value:
    """e ** x  ->  Exp(x)

    x, result: any shape.
    """
    return op.Exp(m.node.inputs[1])
