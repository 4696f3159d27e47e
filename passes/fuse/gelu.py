"""GELU written out becomes one operator."""

from __future__ import annotations

from math import pi, sqrt

from graphwright.ir.graph import Value
from graphwright.passes.pattern import Erf, Sigmoid, Tanh, var
from graphwright.passes.rule import Builder, Example, Match, Tolerance, rule

x = var("x")
erf = Erf(x / 2**0.5)


@rule(
    0.5 * x * (1 + erf) | x * (0.5 + 0.5 * erf) | 0.5 * x + 0.5 * x * erf,
    Tolerance(),
    Example(
        "x: f32[B, 64]", "0.5 * (x * (Erf(x / 1.4142135) + 1.0))", 'Gelu(x, approximate="none")'
    ),
    Example(
        "x: f32[B, 64]", "x * ((1.0 + Erf(0.70710677 * x)) * 0.5)", 'Gelu(x, approximate="none")'
    ),
    Example(
        "x: f32[B, 64]", "x * (0.5 + Erf(0.70710677 * x) / 2.0)", 'Gelu(x, approximate="none")'
    ),
    Example("x: f32[B, 64]", "0.5 * (x * (Erf(x / 1.41422) + 1.0))", because="does not fit"),
    Example(
        "x: f32[B, 64], y: f32[B, 64]",
        "0.5 * y * (1.0 + Erf(x / 1.4142135))",
        because="does not fit",
    ),
)
def fuse_gelu(m: Match, op: Builder) -> Value:
    """x * (1 + erf(x / sqrt 2)) / 2  ->  Gelu(x)

    x, result: any shape. Five passes over memory become one.
    Source: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units", arXiv:1606.08415, section 2.
    """
    return op.Gelu(m.x, approximate="none")


ROOT = sqrt(2 / pi)
cubic = x + 0.044715 * x**3
factored = x * (1 + 0.044715 * x**2)
tanh = Tanh(ROOT * cubic | ROOT * factored)


@rule(
    0.5 * x * (1 + tanh)
    | x * (0.5 + 0.5 * tanh)
    | x * Sigmoid(2 * ROOT * cubic | 2 * ROOT * factored),  # (1 + tanh z) / 2 is sigmoid 2z
    Tolerance(),
    Example(
        "x: f32[B, 64]",
        "0.5 * x * (1.0 + Tanh(0.7978846 * (x + 0.044715 * x ** 3.0)))",
        'Gelu(x, approximate="tanh")',
    ),
    Example(
        "x: f32[B, 64]",
        "x * (0.5 * (1.0 + Tanh(x * 0.7978846 * (1.0 + 0.044715 * x * x))))",
        'Gelu(x, approximate="tanh")',
    ),
    Example(
        "x: f32[B, 64]",
        "0.5 * x * (1.0 + Tanh(0.7978846 * (x + 0.04472 * x ** 3.0)))",
        because="does not fit",
    ),
)
def fuse_gelu_tanh(m: Match, op: Builder) -> Value:
    """x * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2  ->  Gelu(x, approximate=tanh)

    x, result: any shape.
    Source: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units", arXiv:1606.08415, section 2.
    """
    return op.Gelu(m.x, approximate="tanh")
