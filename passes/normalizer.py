"""Normalizers as techniques: a formula in place of softmax, in a file of about fifteen lines.

    @normalizer(Example("q: f32[B, 2, S, 4], k: f32[B, 2, T, 4], v: f32[B, 2, T, 4]"))
    def rectified(*, floor: float = 1e-6) -> str:
        return f"Relu(s) / (ReduceSum(Relu(s)) + {floor})"

The formula is written in the language of graphs, about the scores `s` of a row: ir/normalizers.py
says how. The NumPy oracle, the written-out ONNX, the function that a model brings along and what
PyTorch trains are all made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import inf
from typing import Any, TypeAlias

from graphwright.ir.clone import clone
from graphwright.ir.contracts import Approximate, Bounded, Contract
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.normalizers import body
from graphwright.ir.ops import node_of, return_node
from graphwright.ir.rows import faults
from graphwright.ir.types import TensorType
from graphwright.passes.attention.bodies import scores_type
from graphwright.passes.attention.validity import hide
from graphwright.passes.example import Example
from graphwright.passes.rule import Replacement, need
from graphwright.passes.technique import Knob, Technique, Work, made_of

Formula: TypeAlias = "Callable[..., str]"
ErrorBound: TypeAlias = "Callable[..., tuple[float, float]]"

REPORTED = Approximate("relative_l2", inf)


def normalizer(
    *examples: Example, error: ErrorBound | None = None
) -> Callable[[Formula], Technique]:
    """Make a technique of the function below, which gives the formula that its knobs call for.

    `error`, of the same knobs, gives (r, a) where a closed form is known: each weight w of softmax
    becomes one no farther from it than r w + a, and each application is held to that. Without it
    nothing is promised of how near the results are; how near they came is reported.
    """

    def registered(formula: Formula) -> Technique:
        run = partial(_everywhere, formula=formula, error=error)
        promised = REPORTED if error is None else lambda **knobs: _bounded(*error(**knobs))
        return made_of(formula, run, promised, examples, needs="nothing", formula=formula)

    return registered


def _everywhere(
    graph: Graph, work: Work, formula: Formula, error: ErrorBound | None, **knobs: Knob
) -> Iterator[Replacement]:
    text = formula(**knobs)
    for _, node in work.layers(graph):
        with work.trying(node):
            yield Replacement(node.outputs[0], normalized(work, node, text))


def normalized(work: Work, node: Node, formula: str) -> Value:
    """What an attention gives whose softmax is replaced by a formula, in the heads asked for.

    Hidden keys get the score -inf. A row of which all keys are hidden is taken as it is. Refuses
    an attention that has another normalizer already, or heads that are not there.
    """
    need(not node.bodies, "its softmax is replaced already")
    result = node.outputs[0]
    op = work.at(result, [v for v in node.inputs if v is not None])
    q, k, v, bias, mask, sink = (*node.inputs, None, None, None)[:6]
    scores = scores_type(node.inputs, node.attrs)
    heads = scores.shape[-3] if scores.shape else None
    need(isinstance(heads, int), "its heads are counted at run time")
    assert isinstance(heads, int)
    made = _body(work, _in_heads(formula, work.places.heads_of(heads), heads), scores)
    attrs: dict[str, Any] = dict(node.attrs)
    bias, mask = hide(op, bias, mask)
    if mask is not None:
        attrs["filler"] = -inf
    extras = [bias, mask, sink]
    while extras and extras[-1] is None:
        extras.pop()
    return op.Attention(q, k, v, *extras, **attrs, normalizer=made)


def _body(work: Work, formula: str, scores: TensorType) -> Graph:
    try:
        made = body(formula, scores)
    except (SyntaxError, TypeError) as error:
        raise ModelError(f"the formula of {work.name} cannot be read: {error}") from None
    for fault in faults(made):
        raise ModelError(f"the formula of {work.name} is none of a normalizer: {fault}")
    return made


def _in_heads(formula: str, chosen: Sequence[int], count: int) -> str:
    """The formula where a head was chosen, and softmax elsewhere."""
    if len(set(chosen)) == count:
        return formula
    *lines, last = [line for line in formula.strip().splitlines() if line.strip()]
    flags = [[[head in chosen]] for head in range(count)]
    return "\n".join([*lines, f"Where(bool({flags}), {last.strip()}, Softmax(s))"])


def _bounded(relative: float, absolute: float) -> Contract:
    bound = f"|w' - w| <= {relative:.4g} w + {absolute:.3g} for each weight"
    return Bounded(bound, partial(_limit, relative=relative, absolute=absolute))


def _limit(before: Graph, relative: float, absolute: float) -> Graph:
    """How far what an attention gives may be off, if each weight w may be by relative w + absolute.

    Source: |sum (w' - w) v| <= relative sum w |v| + absolute sum |v|.
    """
    graph = clone(before)
    node = next(node for node in graph.nodes() if node.op == "Attention")
    q, k, v, *extras = node.inputs
    size = node_of("Abs", [v], {}).outputs[0]
    weighed = node_of("Attention", [q, k, size, *extras], node.attrs).outputs[0]
    keys = node_of("ReduceSum", [size], {"axes": (-2,), "keepdims": 1}).outputs[0]
    total = node_of("ReduceMax", [keys], {"axes": (-3,), "keepdims": 1}).outputs[0]
    parts = [
        node_of("Mul", [part, by], {}).outputs[0]
        for part, by in ((weighed, relative), (total, absolute))
    ]
    graph.result = return_node(node_of("Add", parts, {}).outputs, ["limit"])
    return graph
