"""One technique applied to one graph, as the driver applies it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tests.models import encoder

from graphwright.backends.onnx.reference import evaluate64
from graphwright.calibration import Calibration
from graphwright.driver import input_sizes, run_groups
from graphwright.frontends.onnx import from_proto
from graphwright.ir import parse
from graphwright.ir.clone import clone
from graphwright.ir.const import Array, from_array
from graphwright.ir.graph import Graph, Header
from graphwright.ir.types import TensorType
from graphwright.passes.pipelines import RAISE, SIMPLIFY, TIDY
from graphwright.passes.rewrite import Group
from graphwright.passes.rule import Budget
from graphwright.passes.technique import Places, Work, techniques
from graphwright.runtime import Runtime
from graphwright.verification.data import Data
from graphwright.verification.fragments import check_fragments


@dataclass
class Applied:
    """The graph that came of it, what was left alone and why, and what was left out."""

    graph: Graph
    count: int
    left: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def applied(
    graph: Graph,
    name: str,
    *,
    data: Data | None = None,
    layers: tuple[int, ...] | None = None,
    heads: tuple[int, ...] | None = None,
    fold: bool = False,
    **knobs: Any,
) -> Applied:
    """A copy of `graph` after a technique, each replacement checked; `fold` folds masks in."""
    made = clone(graph)
    with Runtime(isolated=False) as runtime:
        budget = Budget(
            lambda node: runtime.compute(node, made),
            sizes=input_sizes(made),
            opset=made.header.opsets[""] if made.header else 0,
        )
        work = Work(name, budget, Places(layers, heads), Calibration(made, runtime, data).observe)
        group = Group(name, (techniques()[name].bound(work, knobs),), once=True)

        def check(fragments: Any) -> Any:
            return check_fragments(fragments, runtime.evaluate, runtime.evaluate64)

        log = run_groups(made, [group], budget, check)
        if fold:
            run_groups(made, [SIMPLIFY[0], TIDY], budget, check)
    left = [why for _, why in work.left]
    return Applied(made, len(log.kept), left, [verdict.why for _, verdict in log.left_out])


def raised(layers: int) -> Graph:
    """A small encoder as techniques meet it."""
    graph = from_proto(encoder(layers))
    with Runtime(isolated=False) as runtime:
        budget = Budget(runtime.compute, sizes=input_sizes(graph), opset=17)
        run_groups(graph, RAISE, budget, None)
    return graph


def trained(graph: Graph, name: str, data: Array) -> None:
    """Put numbers into a weight that a technique made."""
    found = [v for n in graph.nodes() for v in n.inputs if v is not None and v.name == name]
    assert found, f"no weight is called {name}"
    for value in found:
        value.const = from_array(data.astype(np.float32))
        assert value.const.type == value.type


def attention(given: str = "", operands: str = "", *, tokens: int = 6, guard: int = 0) -> Graph:
    """Two heads of self-attention over some tokens, with a mask or a bias if one is given."""
    heads = f"f32[2, 2, {tokens}, 4]"
    text = f"""
def attention(q: {heads}, k: {heads}, v: {heads}{given and ", " + given}):
    return Attention(q, k, v{operands and ", " + operands}, scale=0.5, cap=0.0, filler=-inf,
                     guard={guard}, precision="")
"""
    graph = parse(text)
    graph.header = Header(8, {"": 17})
    return graph


def numbers(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Normal numbers for the inputs of a graph whose sizes are known."""
    rng, found = np.random.default_rng(seed), {}
    for value in graph.inputs:
        assert isinstance(value.type, TensorType)
        shape = [n for n in value.type.shape or () if isinstance(n, int)]
        found[value.name] = rng.normal(size=shape).astype(np.float32)
    return found


def given(graph: Graph, feed: dict[str, Array]) -> Array:
    """What a graph gives, in float64."""
    found: Array = evaluate64(graph, [feed])[0][0]
    return found
