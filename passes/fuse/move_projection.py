"""Values that are projected once their tokens are mixed, where that is less work."""

from __future__ import annotations

from graphwright.ir.dims import Dim, at_least
from graphwright.ir.graph import Value
from graphwright.passes.pattern import Softmax, var
from graphwright.passes.rule import Builder, Example, Match, Tolerance, need, rule
from graphwright.passes.shapes import shape_of

s, x, w, b = var("s"), var("x"), var("w"), var("b")
p = Softmax(s, axis="axis")
WEIGHT = "f32([[1, 2, 0, 1], [3, 4, 1, 0], [0, 1, 2, 1]])"


@rule(
    p @ (x @ w + b) | p @ (x @ w),
    Tolerance(),
    Example(
        "s: f32[B, 1, 9], x: f32[B, 9, 3]",
        f"Softmax(s, axis=-1) @ (x @ {WEIGHT} + f32([5, 6, 7, 8]))",
        f"Softmax(s, axis=-1) @ x @ {WEIGHT} + f32([5, 6, 7, 8])",
    ),
    Example(
        "s: f32[B, 1, T], x: f32[B, T, 3]",
        f"Softmax(s, axis=-1) @ (x @ {WEIGHT})",
        f"Softmax(s, axis=-1) @ x @ {WEIGHT}",
    ),
    Example(
        "s: f32[B, 1, T], x: f32[B, T, 3]",
        f"Softmax(s, axis=-1) @ (x @ {WEIGHT} + f32([5, 6, 7, 8]))",
        because="no tokens",
    ),
    Example(
        "s: f32[B, 9, 9], x: f32[B, 9, 3]",
        "Softmax(s, axis=-1) @ (x @ f32([[1, 2], [3, 4], [0, 1]]))",
        because="no less work",
    ),
    Example(
        "s: f32[B, 1, 9], x: f32[B, 9, 3]",
        f"Softmax(s, axis=0) @ (x @ {WEIGHT} + f32([5, 6, 7, 8]))",
        because="do not sum to 1",
    ),
)
def move_projection(m: Match, op: Builder) -> Value:
    """softmax(s) (x w + b)  ->  (softmax(s) x) w + b

    s: [..., S, T]; x: [..., T, C]; w: [C, E], constant; b: [E], constant. Rows of weights sum to 1,
    so that what is added to all values is added to what they give; a row that is NaN stays so. Few
    rows that see many tokens, as pooling by attention has, then project S rows and not T.
    Source: as an exact identity, from y = sum_t p_t (x_t w + b).
    """
    scores, tokens, weight = shape_of(m.s) or (), shape_of(m.x) or (), shape_of(m.w) or ()
    need(m.w.const is not None and len(weight) == 2, "its weight is no constant matrix")
    need(len(scores) > 1 and len(tokens) > 1, "the ranks of what it mixes are not known")
    need(_is_less(scores[-2], tokens[-2], *weight), "it would be no less work")
    mixed = op.MatMul(op.MatMul(op.Softmax(m.s, axis=m.axis), m.x), m.w)
    if m.b is None:
        return mixed
    need(m.b.const is not None and len(shape_of(m.b) or ()) == 1, "its bias is no constant vector")
    need(m.axis in (-1, len(scores) - 1), "its weights do not sum to 1")
    need(at_least(tokens[-2]) > 0, "there may be no tokens, whose weights sum to 0")
    return op.Add(mixed, m.b)


def _is_less(rows: Dim, tokens: Dim, channels: Dim, results: Dim) -> bool:
    """Whether to mix before projecting takes fewer products; of one row whatever it mixes."""
    if not all(isinstance(n, int) for n in (rows, channels, results)):
        return False
    if not isinstance(tokens, int):
        return rows == 1 and isinstance(results, int) and results > 1
    before = tokens * channels * results + rows * tokens * results
    after = rows * tokens * channels + rows * channels * results
    return isinstance(before, int) and isinstance(after, int) and after < before
