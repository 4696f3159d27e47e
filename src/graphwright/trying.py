"""What holds for every technique, derived from its examples; for tests of one's own ones too.

from graphwright.trying import check_technique

def test_my_normalizer():
    check_technique(my_normalizer)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from graphwright import testing, torch_trying
from graphwright.backends.onnx.reference import evaluate64
from graphwright.calibration import Calibration
from graphwright.driver import fragment, input_sizes
from graphwright.ir.const import Array
from graphwright.ir.contracts import Tolerance
from graphwright.ir.graph import Graph, Header, Value
from graphwright.ir.normalizers import compute
from graphwright.ir.ops import OPS
from graphwright.ir.parse import parse
from graphwright.ir.problems import problems
from graphwright.ir.provenance import Origin
from graphwright.ir.text import show
from graphwright.passes.rewrite import Application, Group, rewrite
from graphwright.passes.rule import Budget, Example, Sweep
from graphwright.passes.technique import Knob, Technique, Work, techniques
from graphwright.runtime import Runtime
from graphwright.testing import Case
from graphwright.verification.feeds import Feed, make_feeds
from graphwright.verification.fragments import check_fragments
from graphwright.verification.judge import holds

SCORES = (
    ("plain", "", "", 1.0),
    ("grouped", "", "", 1.0),
    ("hidden", ", m: bool[2, 1, 1, 6]", "None, m, ", 1.0),
    ("added", ", m: f32[2, 1, 1, 6]", "m, ", 1.0),
    ("large", ", m: f32[2, 1, 1, 6]", "m, ", 300.0),
)
"""Forms of attention that a normalizer is tried in: name, input, operands, scale."""


def check_technique(technique: Technique) -> None:
    """Whether all that is asked of a technique holds for it; AssertionError with a sentence."""
    for case in cases([technique]):
        case.run()


def cases(chosen: Iterable[Technique] | None = None) -> list[Case]:
    """Each property of each example, of all techniques unless some are chosen."""
    found = []
    for each in techniques().values() if chosen is None else chosen:
        assert each.examples, f"{each.name} has no example"
        for number, example in enumerate(each.examples):
            for check in (says_why_not,) if example.because else APPLIED:
                name = f"{each.name}-{number}-{check.__name__.replace('_', '-')}"
                found.append(Case(name, lambda c=check, e=example, t=each: c(t, e)))  # type: ignore[misc]
    return found


def becomes_after(technique: Technique, example: Example) -> None:
    """The example becomes what it says, where it says so; and can be undone."""
    if example.after:
        testing.becomes_after(_sweep(technique), example)
        testing.can_be_undone(_sweep(technique), example)


def keeps_the_contract(technique: Technique, example: Example) -> None:
    """It applies, the graph stays sound, and each replacement keeps its contract."""
    graph = _graph(example)
    done = _applied(technique, graph)[0]
    assert done, f"{technique.name} leaves this alone:\n{show(graph)}"
    wrong = list(problems(graph))
    assert not wrong, f"{technique.name} leaves a graph that is not sound: {wrong}\n{show(graph)}"
    run = _runtime()
    judged = check_fragments([fragment(a, graph) for a in done], run.evaluate, run.evaluate64)
    for verdict in judged:
        assert verdict.ok, f"{technique.name}: {verdict.why}\n{show(graph)}"


def notes_where_nodes_are_from(technique: Technique, example: Example) -> None:
    """What a technique makes names it, and the nodes that it was made of."""
    for application in _applied(technique, _graph(example))[0]:
        for node in application.made:
            assert technique.name in node.origin.rules, f"{node.op} does not say what made it"
            assert node.origin.sources, f"{node.op} does not say where it is from"


def computes_the_same_everywhere(technique: Technique, example: Example) -> None:
    """What it makes computes the same as a function, written in place, in PyTorch, in float64."""
    graph = _graph(example)
    _applied(technique, graph)
    feeds = make_feeds(graph)
    called, placed = (_ran(graph, feeds, ir_version) for ir_version in (10, 7))
    _assert_alike(f"{technique.name}, in place", graph, feeds, called, placed)
    _try_in_torch(technique.name, graph, feeds, called)


def says_why_not(technique: Technique, example: Example) -> None:
    """The example stays what it is, and for the reason given."""
    graph = _graph(example)
    text = show(graph)
    _, work = _applied(technique, graph)
    said = {why for _, why in work.left}
    assert show(graph) == text, f"{technique.name} makes of\n{text}\nthis:\n{show(graph)}"
    assert any(example.because in why for why in said), (
        f"{technique.name} refuses because of {sorted(said)}, not because '{example.because}'"
    )


APPLIED = (
    becomes_after,
    keeps_the_contract,
    notes_where_nodes_are_from,
    computes_the_same_everywhere,
)


def agrees_everywhere(technique: Technique, **knobs: Knob) -> None:
    """A normalizer computes the same in every form, whatever attention it stands in.

    With keys that share heads, with keys hidden or biased, in rows without keys, of large scores.
    In PyTorch, where that is installed, its gradients are numbers there too.
    """
    for name, given, operands, scale in SCORES:
        heads = 2 if name == "grouped" else 4
        text = f"""
def attention(q: f32[2, 4, 5, 8], k: f32[2, {heads}, 6, 8], v: f32[2, {heads}, 6, 3]{given}):
    return Attention(q, k, v, {operands}scale={scale}, cap=0.0, filler=-inf, guard=1, precision="")
"""
        graph = parse(text)
        graph.header = Header(10, {"": 17})
        done, work = _applied(technique, graph, **knobs)
        assert done, f"{technique.name} leaves attention alone: {work.left}"
        feeds = make_feeds(graph)
        oracle = [[_oracle(graph, feed)] for feed in feeds]
        for ir_version in (7, 10):
            gave = _ran(graph, feeds, ir_version)
            _assert_alike(f"{technique.name}, {name}", graph, feeds, oracle, gave)
        _try_in_torch(f"{technique.name}, {name}", graph, feeds, oracle)
        _has_gradients(f"{technique.name}, {name}", graph, feeds)


def _oracle(graph: Graph, feed: Feed) -> Array:
    """What a graph gives, computed in NumPy and in the types that it has."""
    held: dict[Value | None, Any] = {None: None, **{v: feed[v.name] for v in graph.inputs}}
    for node in graph.nodes():
        meaning = OPS[node.op].numpy
        assert meaning is not None, f"what {node.op} computes is not known"
        given = [v.const.load() if v is not None and v.const else held[v] for v in node.inputs]
        bodies = {name: partial(compute, body) for name, body in node.bodies.items()}
        with np.errstate(all="ignore"):
            held[node.outputs[0]] = meaning(*given, **node.attrs, **bodies)
    found: Array = held[graph.outputs[0]]
    return found


def _ran(graph: Graph, feeds: Sequence[Feed], ir_version: int) -> list[list[Any]]:
    """What ONNX Runtime gives; with functions from IR version 8 on, before written in place."""
    opsets = {"": 17} if graph.header is None else graph.header.opsets
    graph.header = Header(ir_version, opsets)
    return _runtime().evaluate(graph, feeds)


def _try_in_torch(
    what: str, graph: Graph, feeds: Sequence[Feed], before: Sequence[Sequence[Any]]
) -> None:
    """The module of PyTorch gives what other forms give, also in float64."""
    if torch_trying.is_installed():
        wide = evaluate64(graph, feeds)
        _assert_alike(f"{what}, in PyTorch", graph, feeds, before, torch_trying.ran(graph, feeds))
        gave = torch_trying.ran(graph, feeds, wide=True)
        _assert_alike(f"{what}, in PyTorch in float64", graph, feeds, wide, gave)


def _has_gradients(what: str, graph: Graph, feeds: Sequence[Feed]) -> None:
    """Gradients in PyTorch are numbers, through rows without keys too."""
    for straight in (False, True) if torch_trying.is_installed() else ():
        found = torch_trying.gradients(graph, feeds, straight)
        for feed, each in zip(feeds, found, strict=True):
            fine = all(np.isfinite(gradient).all() for gradient in each)
            assert fine, f"{what}: its gradients in PyTorch are no numbers ({feed.about})"


def _assert_alike(
    what: str,
    graph: Graph,
    feeds: Sequence[Feed],
    before: Sequence[Sequence[Any]],
    after: Sequence[Sequence[Any]],
) -> None:
    """Both are near to the float64 answer, `after` as near as `before`."""
    for feed, one, other, truth in zip(feeds, before, after, evaluate64(graph, feeds), strict=True):
        for a, b, t in zip(one, other, truth, strict=True):
            verdict = holds(Tolerance(), a, b, t)
            assert verdict.ok, f"{what}: {verdict.why} ({feed.about})\n{show(graph)}"


def _sweep(technique: Technique, **knobs: Knob) -> Sweep:
    return technique.bound(Work(technique.name, _budget()), knobs)


def _applied(technique: Technique, graph: Graph, **knobs: Knob) -> tuple[list[Application], Work]:
    opset = 0 if graph.header is None else graph.header.opsets.get("", 0)
    budget = Budget(_runtime().compute, sizes=input_sizes(graph), opset=opset)
    work = Work(technique.name, budget, observe=Calibration(graph, _runtime()).observe)
    group = Group(technique.name, (technique.bound(work, knobs),), once=True)
    return rewrite(graph, group, work.budget), work


def _graph(example: Example) -> Graph:
    graph = parse(example.text(example.before))
    graph.header = Header(10, {"": example.opset or 17})
    for index, node in enumerate(graph.nodes()):
        node.origin = Origin((f"n{index}",))
    return graph


def _budget() -> Budget:
    return Budget(_runtime().compute)


@cache
def _runtime() -> Runtime:
    return Runtime(isolated=False)
