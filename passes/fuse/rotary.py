"""Rotary position embedding, however it is written, becomes one operator."""

from __future__ import annotations

from graphwright.ir.graph import Value
from graphwright.passes.channels import Channels, Cut, InTurn
from graphwright.passes.pattern import Cast, Concat, Pattern, RotaryEmbedding, var
from graphwright.passes.rule import Builder, Exact, Example, Match, need, rule
from graphwright.passes.shapes import shape_of

x, cos, sin = var("x"), var("cos"), var("sin")
HALVES = """
a = Slice(x, i64([0]), i64([4]), i64([3]), i64([1]))
b = Slice(x, i64([4]), i64([9223372036854775807]), i64([3]), i64([1]))"""
PAIRS = """
a = Slice(x, i64([0]), i64([8]), i64([3]), i64([2]))
b = Slice(x, i64([1]), i64([8]), i64([3]), i64([2]))"""
GIVEN = "x: f32[B, 2, S, 8], cos: f32[1, 1, S, 8], sin: f32[1, 1, S, 8]"
HALF = "x: f32[B, 2, S, 8], cos: f32[S, 4], sin: f32[S, 4]"
IN_TURN = "u = Concat(Unsqueeze(-b, axes=(-1,)), Unsqueeze(a, axes=(-1,)), axis=-1)"


first, second = Channels(x, "first"), Channels(x, "second")
even, odd = Channels(x, "even"), Channels(x, "odd")


def _turned() -> Pattern:
    """x with each pair turned by a right angle."""
    return Concat(-second, first, axis=-1) | InTurn(-odd, even)


@rule(
    x * cos + _turned() * sin | Cast(x, to="wide") * cos + Cast(_turned(), to="wide") * sin,
    Exact(),
    Example(
        GIVEN,
        f"{HALVES}\nx * cos + Concat(-b, a, axis=-1) * sin",
        "RotaryEmbedding(x, cos, sin, interleaved=0, width=8)",
    ),
    Example(
        GIVEN,
        f"{PAIRS}\n{IN_TURN}\nx * cos + Reshape(u, Sizes(dims=(B, 2, S, 8))) * sin",
        "RotaryEmbedding(x, cos, sin, interleaved=1, width=8)",
    ),
    Example(
        GIVEN.replace("x: f32", "x: f16"),
        f'{HALVES}\nCast(x, to="f32") * cos + Cast(Concat(-b, a, axis=-1), to="f32") * sin',
        'RotaryEmbedding(Cast(x, to="f32"), cos, sin, interleaved=0, width=8)',
    ),
    Example(GIVEN, f"{HALVES}\nx * cos + Concat(-a, b, axis=-1) * sin", because="no halves"),
    Example(GIVEN, f"{PAIRS}\nx * cos + Concat(-b, a, axis=-1) * sin", because="no halves"),
    Example(GIVEN, f"{HALVES}\nx * cos - Concat(-b, a, axis=-1) * sin", because="does not fit"),
    Example(
        GIVEN.replace("cos: f32[1,", "cos: f32[B,").replace("x: f32[B,", "x: f32[1,"),
        f"{HALVES}\nx * cos + Concat(-b, a, axis=-1) * sin",
        because="broadcast",
    ),
)
def fuse_rotary(m: Match, op: Builder) -> Value:
    """x * cos + (-x2, x1) * sin  ->  RotaryEmbedding(x, cos, sin)

    x, result: [..., D], of which x1 and x2 are the first and the second half, or if interleaved
    every other channel; cos, sin: [..., D]. Each channel has its own number, so nothing is asked of
    what the tables hold. Casts between x and the products come before the operator.
    Source: Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding",
    arXiv:2104.09864, equation 34.
    """
    interleaved = _is_interleaved(m)
    given = m.x if m.wide is None else op.Cast(m.x, to=m.wide)
    return _turn(m, op, given, interleaved)


@rule(
    Concat(first * cos - second * sin, second * cos + first * sin, axis=-1)
    | InTurn(even * cos - odd * sin, odd * cos + even * sin),
    Exact(),
    Example(
        HALF,
        """
        a, b = Split(x, axis=-1, split=(4, 4))
        Concat(a * cos - b * sin, b * cos + a * sin, axis=-1)""",
        "RotaryEmbedding(x, cos, sin, interleaved=0, width=8)",
    ),
    Example(
        HALF,
        """
        a, b = Split(Reshape(x, Sizes(dims=(B, 2, S, 4, 2))), axis=-1, split=(1, 1))
        u = Squeeze(a, axes=(-1,))
        v = Squeeze(b, axes=(-1,))
        first = Unsqueeze(u * cos - v * sin, axes=(-1,))
        second = Unsqueeze(v * cos + u * sin, axes=(-1,))
        Reshape(Concat(first, second, axis=-1), Sizes(dims=(B, 2, S, 8)))""",
        "RotaryEmbedding(x, cos, sin, interleaved=1, width=8)",
    ),
    Example(
        HALF,
        """
        a, b = Split(x, axis=-1, split=(4, 4))
        Concat(a * cos + b * sin, b * cos - a * sin, axis=-1)""",
        because="does not fit",
    ),
    Example(
        HALF,
        """
        b, a = Split(x, axis=-1, split=(4, 4))
        Concat(a * cos - b * sin, b * cos + a * sin, axis=-1)""",
        because="no halves",
    ),
)
def fuse_split_rotary(m: Match, op: Builder) -> Value:
    """(x1 * cos - x2 * sin, x2 * cos + x1 * sin)  ->  RotaryEmbedding(x, cos, sin)

    x, result: [..., D], of which x1 and x2 are the first and the second half, or if interleaved
    every other channel; cos, sin: [..., D / 2], a number for each pair.
    Source: as of fuse-rotary.
    """
    return _turn(m, op, m.x, _is_interleaved(m))


head, rest = Channels(x, "head"), Channels(x, "rest")


@rule(
    Concat(
        RotaryEmbedding(head, cos, sin, interleaved="interleaved", width="width"), rest, axis=-1
    ),
    Exact(),
    Example(
        "x: f32[B, 2, S, 16], cos: f32[S, 8], sin: f32[S, 8]",
        """
        a, b = Split(x, axis=-1, split=(8, 8))
        Concat(RotaryEmbedding(a, cos, sin, interleaved=0, width=8), b, axis=-1)""",
        "RotaryEmbedding(x, cos, sin, interleaved=0, width=8)",
    ),
    Example(
        "x: f32[B, 2, S, 16], cos: f32[S, 8], sin: f32[S, 8]",
        """
        a, b = Split(x, axis=-1, split=(8, 8))
        Concat(RotaryEmbedding(b, cos, sin, interleaved=0, width=8), a, axis=-1)""",
        because="not the first channels and the rest",
    ),
)
def fuse_partial_rotary(m: Match, op: Builder) -> Value:
    """(RotaryEmbedding(x[:R]), x[R:])  ->  RotaryEmbedding(x) of width R

    x, result: [..., D]; cos, sin: [..., R] or [..., R / 2].
    Source: Black et al. 2022, "GPT-NeoX-20B: An Open-Source Autoregressive Language Model",
    arXiv:2204.06745, section 2.1.
    """
    count = _channels(m.x)
    fits = m.head == Cut(0, 1, m.width) and m.rest == Cut(m.width, 1, count - m.width)
    need(fits, "these are not the first channels and the rest")
    return op.RotaryEmbedding(m.x, m.cos, m.sin, interleaved=m.interleaved, width=m.width)


def _channels(value: Value) -> int:
    shape = shape_of(value)
    count = shape[-1] if shape else None
    need(isinstance(count, int), "how many channels there are is known only at run time")
    assert isinstance(count, int)
    return count


def _is_interleaved(m: Match) -> int:
    """Whether the pairs are neighbours. Refuses what is cut in no two halves."""
    half = _channels(m.x) // 2
    if m.even is not None:
        step = 2 if half > 1 else 1
        need(m.even == Cut(0, step, half), "it is of no halves")
        need(m.odd == Cut(1, step, half), "it is of no halves")
        return 1
    need(m.first == Cut(0, 1, half) and m.second == Cut(half, 1, half), "it is of no halves")
    return 0


def _turn(m: Match, op: Builder, given: Value, interleaved: int) -> Value:
    need(shape_of(m.root) == shape_of(m.x), "it is broadcast to the shape of the tables")
    width = _channels(m.x)
    return op.RotaryEmbedding(given, m.cos, m.sin, interleaved=interleaved, width=width)
