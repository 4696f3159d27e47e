"""Time for each attention that is found, raised and lowered, in graphs of more and more of them.

    python benchmarks/raising.py --counts 100 1000 10000

Nothing is checked or written: this is the time of the rules alone. It is linear if the last column
stays what it is.
"""

from __future__ import annotations

import argparse
import time

import graphwright as gw
from graphwright.driver import run_groups
from graphwright.ir.graph import Graph, Value
from graphwright.ir.ops import apply, constant, return_node
from graphwright.ir.types import TensorType
from graphwright.passes.pipelines import DEFAULT, LOWER
from graphwright.passes.rule import Budget
from graphwright.runtime import Runtime

ROWS = 7
HEADS, WIDTH = 4, 8


def model(count: int) -> Graph:
    """A chain of attentions, each spelt as exporters do: heads split off, keys transposed."""
    x = given = Value(TensorType("f32", (2, ROWS, HEADS * WIDTH)), name="x")
    for _ in range(count):
        x = _attention(x)
    return Graph("chain", (given,), return_node([x], ["y"]))


def _attention(x: Value) -> Value:
    split = constant([0, 0, HEADS, WIDTH], "i64")
    q, v = (_op("Transpose", _op("Reshape", x, split), perm=(0, 2, 1, 3)) for _ in range(2))
    k = _op("Transpose", _op("Reshape", x, split), perm=(0, 2, 3, 1))
    scores = _op("Mul", _op("MatMul", q, k), WIDTH**-0.5)
    joined = _op("MatMul", _op("Softmax", scores, axis=-1), v)
    flat = constant([0, 0, HEADS * WIDTH], "i64")
    return _op("Reshape", _op("Transpose", joined, perm=(0, 2, 1, 3)), flat)


def _op(op: str, *inputs: Value | float, **attrs: object) -> Value:
    return apply(op, *inputs, **attrs).outputs[0]  # type: ignore[arg-type]


def measured(count: int, target: str) -> tuple[float, int]:
    """Seconds of processor time, and how many were raised."""
    graph = model(count)
    with Runtime() as runtime:
        budget = Budget(lambda node: runtime.compute(node, graph))
        start = time.process_time()
        log = run_groups(graph, (*DEFAULT, *LOWER[target]), budget, None)
        taken = time.process_time() - start
    return taken, sum(a.rule == "raise-attention" for a, _ in log.kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--counts", nargs="+", type=int, default=[100, 1000, 10000])
    parser.add_argument("--target", default="onnx", choices=list(LOWER))
    given = parser.parse_args()
    print(f"graphwright {gw.__version__}, target {given.target}")
    print("| attentions | raised | seconds | ms each |\n|---:|---:|---:|---:|")
    for count in given.counts:
        taken, raised = measured(count, given.target)
        print(f"| {count:,} | {raised:,} | {taken:.2f} | {taken / count * 1e3:.2f} |", flush=True)


if __name__ == "__main__":
    main()
