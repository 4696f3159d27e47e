"""What holds for every rule, derived from its examples; for tests of one's own rules too.

from graphwright.testing import check_rule

def test_my_rule():
    check_rule(my_rule)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from graphwright.backends.onnx.expand import expansion
from graphwright.backends.onnx.reference import evaluate64
from graphwright.driver import input_sizes
from graphwright.ir.clone import clone
from graphwright.ir.contracts import Exact
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Header, Node, Value
from graphwright.ir.ops import OPS, return_node
from graphwright.ir.order import reachable
from graphwright.ir.parse import parse
from graphwright.ir.problems import problems
from graphwright.ir.provenance import Origin
from graphwright.ir.text import same, show, weights_of
from graphwright.ir.types import TensorType
from graphwright.mutations import mutants, swapped
from graphwright.passes.rewrite import Application, Group, rewrite, undo
from graphwright.passes.rule import Budget, Example, NoMatch, Rule, Sweep, rules
from graphwright.runtime import Runtime
from graphwright.verification.feeds import make_feeds, sizes_of
from graphwright.verification.judge import holds


@dataclass(frozen=True)
class Case:
    """One property of one example of a rule; `run` raises AssertionError where it does not hold."""

    name: str
    run: Callable[[], None]

    def __str__(self) -> str:
        return self.name


def check_rule(rule: Rule | Sweep) -> None:
    """Whether all that is asked of a rule holds for it; raises AssertionError with a sentence."""
    for case in cases([rule]):
        case.run()


def cases(chosen: Iterable[Rule | Sweep] | None = None) -> list[Case]:
    """Each property of each example, of all rules unless some are chosen."""
    found = []
    for rule in rules().values() if chosen is None else chosen:
        assert rule.examples, f"{rule.name} has no example"
        for number, example in enumerate(rule.examples):
            for check in CHECKS if example.after else (refuses, leaves_almost_equal_graphs_alone):
                name = f"{rule.name}-{number}-{check.__name__.replace('_', '-')}"
                found.append(Case(name, lambda c=check, e=example, r=rule: c(r, e)))  # type: ignore[misc]
    return found


def becomes_after(rule: Rule | Sweep, example: Example) -> None:
    """The example becomes what it says, and the graph stays sound."""
    graph = _graph(example, example.before)
    assert _applied(rule, graph), f"{rule.name} leaves this alone:\n{show(graph)}"
    wanted = _graph(example, example.after)
    assert same(graph, wanted), f"{rule.name} gives\n{show(graph)}\nand not\n{show(wanted)}"
    _assert_sound(rule, graph)


def refuses(rule: Rule | Sweep, example: Example) -> None:
    """The example stays what it is, and for the reason given."""
    graph = _graph(example, example.before)
    text = show(graph)
    said = _refusals(rule, graph)
    assert not _applied(rule, graph), f"{rule.name} makes of\n{text}\nthis:\n{show(graph)}"
    assert show(graph) == text, f"{rule.name} refuses, but leaves a trace:\n{show(graph)}"
    assert isinstance(rule, Sweep) or any(example.because in why for why in said), (
        f"{rule.name} refuses because of {sorted(said)}, not because '{example.because}':\n{text}"
    )


def keeps_the_contract(rule: Rule | Sweep, example: Example) -> None:
    """Before and after are the same function, in float64 or, if exact, to the bit."""
    before = _graph(example, example.before)
    after = clone(before)
    _applied(rule, after)
    _assert_equal(rule, before, after, "as the example stands")


def keeps_running_on_nothing(rule: Rule | Sweep, example: Example) -> None:
    """Where the example runs with a size of 0, so does what it becomes, and gives the same."""
    before = _graph(example, example.before)
    after = clone(before)
    _applied(rule, after)
    for name in sizes_of(before):
        try:
            feed = make_feeds(before, sizes={name: 0})[:1]
            old = _runtime().evaluate(before, feed)[0]
        except ModelError:
            continue
        new = _runtime().evaluate(after, feed)[0]
        for a, b in zip(old, new, strict=True):
            verdict = holds(rule.contract, a, b, None)
            assert verdict.ok, f"{rule.name}, of {name}=0: {verdict.why}\n{show(after)}"


def fires_however_operands_stand(rule: Rule | Sweep, example: Example) -> None:
    """Operands that commute may be in any order."""
    for each in swapped(_graph(example, example.before)):
        after = clone(each.graph)
        assert _applied(rule, after), f"{rule.name} misses, {each.what}:\n{show(each.graph)}"
        _assert_equal(rule, each.graph, after, each.what)


def leaves_almost_equal_graphs_alone(rule: Rule | Sweep, example: Example) -> None:
    """What is almost the example is refused, or stays equal; no work is done twice."""
    for each in mutants(_graph(example, example.before)):
        after = clone(each.graph)
        if _applied(rule, after):
            _assert_sound(rule, after)
            _assert_equal(rule, each.graph, after, each.what)
            if isinstance(rule, Rule) and rule.adds:
                continue
            fused = {node.op for node in each.graph.nodes()}
            assert _work(after, fused) <= _work(each.graph, fused), (
                f"{rule.name}, {each.what}: does work twice that\n{show(each.graph)}\ndoes once"
            )


def notes_where_nodes_are_from(rule: Rule | Sweep, example: Example) -> None:
    """What a rule makes names the rule, and the nodes that it was made of."""
    graph = _graph(example, example.before)
    for application in _applied(rule, graph):
        for node in application.made if isinstance(rule, Rule) else ():
            assert rule.name in node.origin.rules, f"{node.op} does not say it is by {rule.name}"
            assert node.origin.sources, f"{node.op} by {rule.name} does not say where it is from"


def can_be_undone(rule: Rule | Sweep, example: Example) -> None:
    """Undoing gives the text there was; and the text of what was made can be read back."""
    graph = _graph(example, example.before)
    text = show(graph)
    done = _applied(rule, graph)
    made = show(graph)
    assert same(graph, parse(made, weights_of(graph))), (
        f"this is not read as it is written:\n{made}"
    )
    undo(done)
    assert show(graph) == text, f"undoing {rule.name} gives\n{show(graph)}\nand not\n{text}"


LAYOUT = frozenset({"Sizes", "Slice", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten"})
LAYOUT |= {"Gather", "GatherND"}
"""What computes nothing, and is merged with its like."""

FUSED = 100
"""What an operator counts that does the work of many, so that it may become those, but not stay."""

CHECKS = (
    becomes_after,
    keeps_the_contract,
    keeps_running_on_nothing,
    fires_however_operands_stand,
    leaves_almost_equal_graphs_alone,
    notes_where_nodes_are_from,
    can_be_undone,
)


def _graph(example: Example, body: str) -> Graph:
    graph = parse(example.text(body))
    if example.opset:
        graph.header = Header(10, {"": example.opset})
    for index, node in enumerate(graph.nodes()):
        node.origin = Origin((f"n{index}",))
    return graph


@cache
def _runtime() -> Runtime:
    return Runtime(isolated=False)


def _budget(graph: Graph) -> Budget:
    opset = graph.header.opsets[""] if graph.header is not None else 0
    return Budget(_runtime().compute, sizes=input_sizes(graph), opset=opset)


def _applied(rule: Rule | Sweep, graph: Graph) -> list[Application]:
    return rewrite(graph, Group("this rule alone", (rule,)), _budget(graph))


def _refusals(rule: Rule | Sweep, graph: Graph) -> set[str]:
    """What the rule says to each value that it might end in."""
    found = set()
    if isinstance(rule, Rule):
        for value in _values(graph):
            try:
                rule.at(value, _budget(graph))[2].discard()
            except NoMatch as why:
                found.add(str(why))
    return found


def _values(graph: Graph) -> Iterator[Value]:
    for node in graph.nodes():
        yield from node.outputs


def _work(graph: Graph, fused: set[str]) -> int:
    return sum(_operators(node, fused) for node in graph.nodes())


def _operators(node: Node, fused: set[str]) -> int:
    """How many operators it stands for; many, if it is one of those `fused` that were there."""
    foreign = "::" in node.op and (node.op not in OPS or len(node.inputs) > 1)
    is_attention = node.op.partition("@")[0] == "Attention"
    if (foreign or is_attention) and node.op in fused:
        return FUSED
    parts = [node]
    if node.op == "Attention":
        parts = reachable([return_node([expansion(node)[1]], [""])])[:-1]
        parts = [part for part in parts if not _is_small(part)]
    return sum(part.op not in LAYOUT for part in parts)


def _is_small(part: Node) -> bool:
    """Whether it computes sizes, or adds up the one number that a Slice leaves of each row."""
    kind, made = part.outputs[0].type, part.inputs[0].producer if part.inputs[0] else None
    sizes = isinstance(kind, TensorType) and kind.dtype == "i64"
    return sizes or (part.op == "ReduceSum" and made is not None and made.op == "Slice")


def _assert_sound(rule: Rule | Sweep, graph: Graph) -> None:
    wrong = list(problems(graph))
    assert not wrong, f"{rule.name} leaves a graph that is not sound: {wrong}\n{show(graph)}"


def _assert_equal(rule: Rule | Sweep, before: Graph, after: Graph, what: str) -> None:
    feeds = make_feeds(before)[:1]
    exact = isinstance(rule.contract, Exact)
    evaluate = _runtime().evaluate if exact else evaluate64
    with np.errstate(all="ignore"):
        try:
            old = evaluate(before, feeds)[0]
        except ModelError:
            return  # a mutant that is no function, such as a Dropout of less than nothing
        new = evaluate(after, feeds)[0]
    for a, b in zip(old, new, strict=True):
        verdict = holds(rule.contract, a, b, a)
        assert verdict.ok, (
            f"{rule.name}, {what}: {verdict.why}\n{show(before)}\nbecame\n{show(after)}"
        )
