"""Root mean square normalization written out becomes one operator."""

from __future__ import annotations

from graphwright.ir.graph import Value
from graphwright.passes.fuse.norms import eps, gain, gamma, mean_square, narrowed, parameters
from graphwright.passes.pattern import Cast, Pattern, var
from graphwright.passes.rule import Builder, Example, Match, Tolerance, rule


def _normal(x: Pattern) -> Pattern:
    return x * (mean_square(x) + eps) ** -0.5


x = var("x")
normal, wide = _normal(x), _normal(Cast(x, to="=f32"))


@rule(
    narrowed(wide * gamma | wide) | narrowed(wide) * gamma | normal * gamma | normal,
    Tolerance(),
    Example(
        "x: f32[B, S, 64], g: f32[64]",
        "x / Sqrt(ReduceMean(x ** 2.0, axes=(-1,), keepdims=1) + 0.0078125) * g",
        "RMSNormalization(x, g, axis=-1, epsilon=0.0078125, stash_type=1)",
    ),
    Example(
        "x: f16[B, S, 64], g: f16[64]",
        'w = Cast(x, to="f32")\n'
        'g * Cast(w * (ReduceMean(w * w, axes=(-1,), keepdims=1) + 0.0078125) ** -0.5, to="f16")',
        "RMSNormalization(x, g, axis=-1, epsilon=0.0078125, stash_type=1)",
    ),
    Example(
        "x: f32[B, S, 64]",
        "x / Sqrt(ReduceMean(x * x, axes=(1,), keepdims=1) + 0.0078125)",
        because="not the last ones",
    ),
    Example(
        "x: f32[B, 64], y: f32[B, 64]",
        "x / Sqrt(ReduceMean(y * y, axes=(1,), keepdims=1) + 0.0078125)",
        because="does not fit",
    ),
    Example(
        "x: f32[B, 64]",
        "x / Sqrt(ReduceSumSquare(x, axes=(1,), keepdims=1) / 32.0 + 0.0078125)",
        because="64 elements",
    ),
)
def fuse_rms_norm(m: Match, op: Builder) -> Value:
    """gamma * x / sqrt(mean x^2 + eps)  ->  RMSNormalization(x)

    x, result: [..., *norm]; gamma: [*norm]; the mean runs over the axes of `norm`, the last. Casts
    to float32 and back around it are the operator's own (stash_type).
    Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization", arXiv:1910.07467,
    equation 4.
    """
    attrs = parameters(m, op)
    return op.RMSNormalization(m.x, gain(op, m, since=23), **attrs)
