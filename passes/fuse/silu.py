"""SiLU written out becomes one operator, and so does the sigmoid in it."""

from __future__ import annotations

from graphwright.ir.graph import Value
from graphwright.passes.pattern import Exp, Sigmoid, Tanh, scalar, var
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule

x, alpha = var("x"), scalar("alpha")


@rule(
    (1 + Exp(-x)) ** -1,
    Tolerance(),
    Example("x: f32[B, 64]", "1.0 / (Exp(-x) + 1.0)", "Sigmoid(x)"),
    Example("x: f32[B, 64]", "Reciprocal(1.0 + Exp(0.0 - x))", "Sigmoid(x)"),
    Example("x: f32[B, 64]", "1.0 / (1.0 + Exp(x))", because="does not fit"),
    Example("x: f32[B, 64]", "1.0 / (2.0 + Exp(-x))", because="does not fit"),
)
def fuse_sigmoid(m: Match, op: Builder) -> Value:
    """1 / (1 + exp(-x))  ->  Sigmoid(x)

    x, result: any shape.
    """
    return op.Sigmoid(m.x)


@rule(
    x * Sigmoid(alpha * x)
    | x * (1 + Exp(-alpha * x)) ** -1
    | 0.5 * x * (1 + Tanh(0.5 * x))
    | x * Exp(x) * (1 + Exp(x)) ** -1,
    Tolerance(),
    Example("x: f32[B, 64]", "x * Sigmoid(x)", "Swish(x, alpha=1.0)"),
    Example("x: f32[B, 64]", "x / (1.0 + Exp(-x))", "Swish(x, alpha=1.0)"),
    Example("x: f32[B, 64]", "Sigmoid(1.75 * x) * x", "Swish(x, alpha=1.75)"),
    Example("x: f32[B, 64], y: f32[B, 64]", "x * Sigmoid(y)", because="does not fit"),
    Example(
        "x: f32[B, 64]",
        "s = Sigmoid(x)\ns, x * s",
        because="work would be done twice",
    ),
)
def fuse_silu(m: Match, op: Builder) -> Value:
    """x * sigmoid(alpha * x)  ->  Swish(x, alpha)

    x, result: any shape; alpha is 1 in SiLU and 1.702 in what CLIP calls quick GELU.
    x / (1 + exp(-x)) overflows for large -x and gives -0, where Swish gives a very small number.
    Source: Elfwing, Uchibe and Doya 2017, "Sigmoid-Weighted Linear Units", arXiv:1702.03118,
    equation 2; Ramachandran, Zoph and Le 2017, "Searching for Activation Functions",
    arXiv:1710.05941, section 5.
    """
    factor = 1.0 if m.alpha is None else m.alpha
    need(factor, "the sigmoid is of 0")
    return op.Swish(m.x, alpha=float(factor))
