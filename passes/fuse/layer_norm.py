"""Layer normalization written out becomes one operator."""

from __future__ import annotations

from graphwright.ir.graph import Value
from graphwright.passes.fuse.norms import (
    beta,
    eps,
    gain,
    gamma,
    mean_square,
    narrowed,
    parameters,
    shaped,
)
from graphwright.passes.pattern import Cast, Pattern, ReduceMean, var
from graphwright.passes.rule import Builder, Example, Match, Tolerance, rule


def _written(x: Pattern) -> tuple[Pattern, Pattern]:
    """The norm of x without and with its parameters."""
    mean = ReduceMean(x, axes="axes", keepdims=1)
    d = x - mean
    variance = mean_square(d) | mean_square(x) - mean**2
    root = (variance + eps) ** -0.5
    normal = d * root
    multiplied_out = x * root * gamma + beta - mean * root * gamma
    return normal, normal * gamma + beta | multiplied_out | normal * gamma | normal


x = var("x")
wide_normal, wide = _written(Cast(x, to="=f32"))
cast = narrowed(wide_normal)
D = "d = x - ReduceMean(x, axes=(-1,), keepdims=1)\n"
V = "v = ReduceMean(d * d, axes=(-1,), keepdims=1) + 0.0078125\n"


@rule(
    narrowed(wide) | cast * gamma + beta | cast * gamma | _written(x)[1],
    Tolerance(),
    Example(
        "x: f32[B, S, 64], g: f32[64], b: f32[64]",
        f"{D}{V}d / Sqrt(v) * g + b",
        "LayerNormalization(x, g, b, axis=-1, epsilon=0.0078125, stash_type=1)",
    ),
    Example(
        "x: f32[B, S, 64], g: f32[64]",
        f"{D}{V}g * (Reciprocal(Sqrt(v)) * d)",
        "LayerNormalization(x, g, axis=-1, epsilon=0.0078125, stash_type=1)",
    ),
    Example(
        "x: f32[B, 2]",
        f"{D}{V}v ** -0.5 * d",
        "LayerNormalization(x, f32([1.0, 1.0]), axis=-1, epsilon=0.0078125, stash_type=1)",
    ),
    Example(
        "x: f32[B, S, 2], g: f32[S, 1]",
        f"{D}{V}d / Sqrt(v) * g",
        "LayerNormalization(x, f32([1.0, 1.0]), axis=-1, epsilon=0.0078125, stash_type=1) * g",
    ),
    Example(
        "x: f32[B, 64, 64], g: f32[64]",
        "d = x - ReduceMean(x, axes=(1,), keepdims=1)\n"
        "d / Sqrt(ReduceMean(d * d, axes=(1,), keepdims=1) + 0.00001) * g",
        because="not the last ones",
    ),
    Example("x: f64[B, 64]", f"{D}{V}d / Sqrt(v)", because="computes in float32"),
)
def fuse_layer_norm(m: Match, op: Builder) -> Value:
    """gamma * (x - mean x) / sqrt(mean (x - mean x)^2 + eps) + beta  ->  LayerNormalization(x)

    x, result: [..., *norm]; gamma, beta: [*norm]; the means run over the axes of `norm`, the last.
    Casts to float32 and back around it are the operator's own (stash_type). mean x^2 - (mean x)^2
    for the variance loses digits, and may fall under 0; the operator does neither.
    Source: Ba, Kiros and Hinton 2016, "Layer Normalization", arXiv:1607.06450, equation 4.
    """
    attrs = parameters(m, op)
    bias = [] if m.beta is None else [shaped(op, m, m.beta)]
    return op.LayerNormalization(m.x, gain(op, m, since=17), *bias, **attrs)
