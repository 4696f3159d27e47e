"""Two rules of your own, one right and one wrong, on graphs that are written as text.

python examples/your_own_rule.py
"""

from __future__ import annotations

import graphwright as gw
from graphwright.ir import Value
from graphwright.passes.pattern import Exp, Log, Sigmoid, var
from graphwright.passes.rule import Builder, Example, Match, Tolerance, rule

x, y = var("x"), var("y")


@rule(
    2 * Sigmoid(2 * x) + -1,
    Tolerance(),
    Example("x: f32[B]", "Sigmoid(x * 2.0) * 2.0 - 1.0", "Tanh(x)"),
    Example("x: f32[B]", "Sigmoid(x * 2.0) * 2.0 - 1.1", because="does not fit"),
)
def fuse_tanh(m: Match, op: Builder) -> Value:
    """2 sigmoid(2 x) - 1  ->  tanh x."""
    return op.Tanh(m.x)


@rule(
    Exp(Log(x) + Log(y)),
    Tolerance(),
    Example("x: f32[B], y: f32[B]", "Exp(Log(x) + Log(y))", "x * y"),
    Example("x: f32[B], y: f32[B]", "Exp(Log(x) - Log(y))", because="does not fit"),
)
def fuse_log_sum(m: Match, op: Builder) -> Value:
    """exp(log x + log y)  ->  x * y, which is wrong: below 0 the original gives NaN."""
    return op.Mul(m.x, m.y)


def main() -> None:
    """Apply the right rule, and see the wrong one left out."""
    for name, text in {
        "fuse-tanh": "def right(x: f32[B, 8]): return Sigmoid(2.0 * x) / 0.5 - 1.0",
        "fuse-log-sum": "def wrong(x: f32[B, 8], y: f32[B, 8]): return Exp(Log(x) + Log(y))",
    }.items():
        result = gw.optimize(gw.parse(text), apply=[name])
        print(gw.show(result.graph))
        for made in result.report.rewrites:
            print(f"  {made.rule}: {made.count} times, {made.contract}, {made.worst:.0e} apart")
        for left in result.report.left_out:
            print(f"  {left.rule} was left out: {left.why}")


if __name__ == "__main__":
    main()
