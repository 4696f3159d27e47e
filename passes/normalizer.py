"""Normalizers as techniques: a formula in place of softmax, in a file of about fifteen lines.

    @normalizer(Example("q: f32[B, 2, S, 4], k: f32[B, 2, T, 4], v: f32[B, 2, T, 4]"))
    def rectified(*, floor: float = 1e-6) -> str:
        return f"Relu(s) / (ReduceSum(Relu(s)) + {floor})"

The formula is written in the language of graphs, about the scores `s` of a row: ir/normalizers.py
says how. The NumPy oracle, the written-out ONNX, the function that a model brings along and what
PyTorch trains are all made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial, wraps
from inspect import signature
from math import inf
from textwrap import dedent
from typing import TypeAlias, TypeVar

from graphwright.ir.clone import clone
from graphwright.ir.contracts import LOSSLESS, Approximate, Bounded, Contract
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.normalizers import BODY, body
from graphwright.ir.ops import node_of, return_node
from graphwright.ir.rows import faults, traits
from graphwright.ir.types import TensorType
from graphwright.passes.attention.bodies import scores_type
from graphwright.passes.attention.validity import gives_zero, heads_of, hidden
from graphwright.passes.by_head import in_heads, taken, zero_where_hidden
from graphwright.passes.example import Example
from graphwright.passes.fitting import Fit, fitted
from graphwright.passes.rule import Replacement, need
from graphwright.passes.technique import Knob, Technique, Work, made_of

Formula: TypeAlias = "Callable[..., str]"
ErrorBound: TypeAlias = "Callable[..., tuple[float, float]]"

T = TypeVar("T")
REPORTED = Approximate("relative_l2", inf)


def normalizer(
    *examples: Example,
    error: ErrorBound | None = None,
    contract: Contract = REPORTED,
    fit: Fit | None = None,
) -> Callable[[Formula], Technique]:
    """Make a technique of the function below, which gives the formula that its knobs call for.

    `error`, of the same knobs, gives (r, a) where a closed form is known: each weight w of softmax
    becomes one no farther from it than r w + a, and each application is held to that. Without it
    nothing is promised of how near the results are; how near they came is reported. A formula that
    is softmax itself, computed otherwise, says so by `contract=Tolerance()`. `fit` is a knob that
    may be `data`.
    """

    def registered(given: Formula) -> Technique:
        formula = _telling(given)
        hides = not isinstance(contract, LOSSLESS)
        run = partial(_everywhere, formula=formula, hides=hides, fit=fit)
        promised = partial(_promised, formula=formula, error=error, contract=contract, fit=fit)
        needs = "nothing" if fit is None else f"nothing, or data for {fit.knob}=data"
        return made_of(given, run, promised, examples, needs, formula, fit.knob if fit else "")

    return registered


def _telling(formula: Formula) -> Formula:
    """The formula's function, with a sentence for whatever it raises, and for what is no text.

    Raises TypeError for a parameter that is no knob.
    """
    name = formula.__name__
    for each in signature(formula).parameters.values():
        if each.kind is not each.KEYWORD_ONLY:
            raise TypeError(f"{name}: the parameter {each.name} has to stand behind a `*`")

    @wraps(formula)
    def told(**knobs: Knob) -> str:
        text = _called(formula, f"the formula of {name}", knobs)
        if not isinstance(text, str):
            raise ModelError(f"the formula of {name} is {text!r}, and no text")
        return text

    return told


def _called(function: Callable[..., T], what: str, knobs: Mapping[str, Knob]) -> T:
    """What a function of the user's gives for such knobs. Raises ModelError where it fails."""
    try:
        return function(**knobs)
    except ModelError:
        raise
    except (Exception, SystemExit) as error:  # whatever a function of the user's may raise
        raise ModelError(f"{what} fails: {type(error).__name__}: {error}") from error


def plain_attention(normalizer: str = "") -> Example:
    """The example of an attention without masks, and of the body that it gets as text."""
    inputs = "q: f32[B, 2, S, 4], k: f32[B, 2, T, 4], v: f32[B, 2, T, 4]"
    call = "Attention(q, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision=''"
    after = f"{dedent(normalizer).strip()}\n{call}, normalizer=normalizer)" if normalizer else ""
    return Example(inputs, f"{call})", after)


def _promised(
    formula: Formula,
    error: ErrorBound | None,
    contract: Contract,
    fit: Fit | None,
    **knobs: Knob,
) -> Contract:
    """What is promised with such knobs; whichever number data may choose for one of them."""
    each = fit.each(knobs) if fit else [knobs]
    for given in each:
        formula(**given)  # which says what is out of its range
    if error is None:
        return contract
    what = f"the error bound of {formula.__name__}"
    bounds = [_pair(what, _called(error, what, given)) for given in each]
    return _bounded(max(r for r, _ in bounds), max(a for _, a in bounds))


def _pair(what: str, bound: object) -> tuple[float, float]:
    """A bound that is two numbers, or ModelError."""
    match bound:
        case (int() | float() as relative, int() | float() as absolute):
            return relative, absolute
    raise ModelError(f"{what} is {bound!r}, and not two numbers (relative, absolute)")


def _everywhere(
    graph: Graph, work: Work, formula: Formula, hides: bool, fit: Fit | None, **knobs: Knob
) -> Iterator[Replacement]:
    nodes = [node for _, node in work.layers(graph)]
    fits = fit is not None and len(fit.each(knobs)) > 1
    texts = fitted(fit, work, graph, formula, knobs) if fit and fits else {}
    for node in nodes:
        if fits and node not in texts:
            continue  # noted already
        with work.trying(node):
            text = texts[node] if fits else formula(**knobs)
            yield Replacement(node.outputs[0], normalized(work, node, text, hides))


def normalized(work: Work, node: Node, formula: str, hides: bool = True) -> Value:
    """What an attention gives whose softmax is replaced by a formula, in the heads asked for.

    `hides`: hidden keys get the score -inf, however they are hidden, and a row of which all keys
    are hidden is taken as it is, or gives 0 where it did. Refuses heads that have another
    normalizer already, or that are not there.
    """
    heads, had = heads_of(node), node.bodies.get(BODY)
    chosen, gone = work.places.heads_of(heads), taken(had, heads)
    need(len(gone) < heads, "its softmax is replaced already")
    both = sorted(gone & set(chosen))
    need(not both, f"the softmax of head {', '.join(map(str, both))} is replaced already")
    op = work.at(node.outputs[0], [v for v in node.inputs if v is not None])
    made = _body(work, formula, scores_type(node.inputs, node.attrs))
    if hides and gives_zero(node) and traits(made).dead == "other":
        made = zero_where_hidden(made)
    made = in_heads(made, had, chosen, heads)
    inputs, attrs = hidden(op, node) if hides else (list(node.inputs), dict(node.attrs))
    return op.call("Attention", *inputs, **attrs, normalizer=made)


def _body(work: Work, formula: str, scores: TensorType) -> Graph:
    try:
        made = body(formula, scores)
    except (SyntaxError, TypeError) as error:
        raise ModelError(f"the formula of {work.name} cannot be read: {error}") from None
    for fault in faults(made):
        raise ModelError(f"the formula of {work.name} is none of a normalizer: {fault}")
    weights = made.outputs[0].type if made.outputs[0] is not None else None
    if isinstance(weights, TensorType):
        for fault in _unlike(weights, scores):
            raise ModelError(f"the formula of {work.name} is none of a normalizer: {fault}")
    return made


def _unlike(weights: TensorType, scores: TensorType) -> Iterator[str]:
    """What is missing for weights to be a row as the scores are."""
    if weights.dtype != scores.dtype:
        yield f"its weights are {weights.dtype}, and the scores {scores.dtype}"
    one = weights.shape is not None and weights.shape[-1:] in ((), (1,))
    if one and scores.shape and scores.shape[-1] != 1:
        yield "it gives one number for a whole row, and not one for each key"


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
    # Where softmax has no answer, heads that have another normalizer may have one, and keep it.
    none = node_of("IsNaN", [weighed], {}).outputs[0]
    weighed = node_of("Where", [none, 0.0, weighed], {}).outputs[0]
    keys = node_of("ReduceSum", [size], {"axes": (-2,), "keepdims": 1}).outputs[0]
    total = node_of("ReduceMax", [keys], {"axes": (-3,), "keepdims": 1}).outputs[0]
    parts = [
        node_of("Mul", [part, by], {}).outputs[0]
        for part, by in ((weighed, relative), (total, absolute))
    ]
    graph.result = return_node(node_of("Add", parts, {}).outputs, ["limit"])
    return graph
