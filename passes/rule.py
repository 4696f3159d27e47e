"""What a rule is: a pattern, a contract, a function that builds the replacement, and examples."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from textwrap import dedent
from typing import NamedTuple, TypeAlias

import numpy as np

from graphwright.ir.const import Array, from_array
from graphwright.ir.contracts import Approximate, Contract, Exact, Tolerance
from graphwright.ir.errors import TooLarge
from graphwright.ir.graph import Attr, Graph, Node, Value
from graphwright.ir.ops import node_of
from graphwright.ir.provenance import Origin
from graphwright.ir.types import NUMPY, TensorType
from graphwright.passes.application import AnyNode
from graphwright.passes.example import Example
from graphwright.passes.match import Match
from graphwright.passes.pattern import Pattern, count_uses

__all__ = ["Approximate", "Exact", "Example", "Match", "Tolerance", "need", "rule"]


class NoMatch(Exception):
    """Why a rule leaves a place alone, in words for its user."""


def need(condition: object, why: str) -> None:
    """Leave this place alone, because of `why`, unless `condition`."""
    if not condition:
        raise NoMatch(why)


Built: TypeAlias = "tuple[Value, Match, Builder]"
Evaluate = Callable[[Node], Array]


class Builder:
    """`op.Gelu(x)` makes a node, which says where it is from, and gives its output."""

    def __init__(self, match: Match, rule: str, budget: Budget) -> None:
        self.match, self.rule, self.budget = match, rule, budget
        self.made: list[Node] = []
        self.origin: Origin | None = None

    def __getattr__(self, name: str) -> Callable[..., Value]:
        if not name[:1].isupper():
            raise AttributeError(name)
        return partial(self.call, name)

    def call(self, op: str, *inputs: Value | float | None, **named: Attr | Graph) -> Value:
        """What an operator gives, of any name: `op.call("com.microsoft::Gelu", x)`.

        A graph among what is named is a body. Inputs of None at the end are as if they were not
        there.
        """
        return self.several(op, 1, *inputs, **named)[0]

    def several(
        self, op: str, count: int, *inputs: Value | float | None, **named: Attr | Graph
    ) -> tuple[Value, ...]:
        """As `call`, all that an operator of `count` results gives."""
        if self.origin is None:
            self.origin = Origin.of(self.match.nodes(), self.rule)
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        place = self.match.node.place
        bodies = {name: each for name, each in named.items() if isinstance(each, Graph)}
        attrs = {name: each for name, each in named.items() if not isinstance(each, Graph)}
        try:
            node = node_of(op, inputs, attrs, count, self.origin, place, bodies=bodies)
        except TypeError as error:
            raise NoMatch(f"it cannot be built: {error}") from None
        self.made.append(node)
        return node.outputs

    def discard(self, wanted: Value | None = None) -> None:
        """Undo the making of all that `wanted` does not need, so that it leaves no trace."""
        for node in reversed(self.made):
            if not any(v.uses or v is wanted for v in node.outputs):
                node.detach()
        self.made = [n for n in self.made if any(v.uses or v is wanted for v in n.outputs)]


@dataclass
class Budget:
    """What rules may spend on the model at hand, and what they may know of it.

    `evaluate` computes a node whose inputs are all constants, or raises ModelError; `spare` is by
    how many bytes the model may still grow; `sizes` names the sizes of the model's inputs; `opset`
    is the model's; `supports(op, dtype)` says whether the target runs an operator.
    """

    evaluate: Evaluate
    spare: int = 1 << 16
    sizes: frozenset[str] = frozenset()
    opset: int = 0
    supports: Callable[[str, str], bool] = lambda op, dtype: True
    made: dict[TensorType, Value] = field(default_factory=dict)

    def ones(self, kind: TensorType) -> Value:
        """A constant of ones, one for all who ask in one graph. Refuses what is too large."""
        if kind not in self.made:
            need(self.afford(kind.nbytes or 0), "the model would grow too much")
            shape = tuple(d for d in kind.shape or () if isinstance(d, int))
            self.made[kind] = Value(kind, const=from_array(np.ones(shape, NUMPY[kind.dtype])))
        return self.made[kind]

    def afford(self, growth: int) -> bool:
        """Whether the model may grow by so many bytes; takes note if it may."""
        if growth > self.spare:
            return False
        self.spare -= growth
        return True


@dataclass(frozen=True, eq=False)
class Rule:
    """One way to rewrite a graph; `at` gives the replacement for a value, or says why not.

    One that `adds` computes more, so that rules which follow leave more out.
    """

    name: str
    doc: str
    pattern: Pattern
    contract: Contract
    build: Callable[[Match, Builder], Value]
    examples: tuple[Example, ...] = field(repr=False)
    may_share: bool = False
    adds: bool = False

    def at(self, root: Value, budget: Budget, options: Sequence[Pattern] = ()) -> Built:
        """The replacement for `root`, not yet in the graph. Raises NoMatch with the reason."""
        why = ""  # of the first reading, which is the plainest
        for option in options or (self.pattern,):
            for env in option.match(root, {}) if option.may(root) else ():
                found = Match(root, env)
                builder = Builder(found, self.name, budget)
                try:
                    return self._built(found, builder), found, builder
                except (NoMatch, TooLarge) as refusal:
                    builder.discard()
                    why = why or str(refusal)
        raise NoMatch(why or "the pattern does not fit")

    def _built(self, found: Match, builder: Builder) -> Value:
        if not self.may_share and found.shared():
            raise NoMatch("others read a value inside it; work would be done twice")
        new, root = self.build(found, builder), found.root
        need(new is not root, "it would be replaced by itself")
        if not root.type.admits(new.type):
            raise NoMatch(f"it would turn {root.type} into {new.type}")
        if builder.made != [new.producer]:
            builder.discard(new)
        return new


class Replacement(NamedTuple):
    """What is to be read in place of `old`; both are functions of `leaves`.

    Where none are named, they are what the node that gives `old` reads.
    """

    old: Value
    new: Value
    leaves: tuple[Value, ...] = ()


@dataclass(frozen=True, eq=False)
class Sweep:
    """A rewrite that needs the whole graph in view; `run` yields what is to be replaced.

    What is yielded has been replaced when the sweep goes on.
    """

    name: str
    doc: str
    contract: Contract
    run: Callable[[Graph], Iterator[Replacement]]
    examples: tuple[Example, ...] = field(repr=False)


RULES: dict[str, Rule | Sweep] = {}


def sweep(
    contract: Contract, *examples: Example
) -> Callable[[Callable[[Graph], Iterator[Replacement]]], Sweep]:
    """Make a sweep of the function below: its name and docstring are the sweep's."""

    def registered(run: Callable[[Graph], Iterator[Replacement]]) -> Sweep:
        name = run.__name__.replace("_", "-")
        made = Sweep(name, dedent(run.__doc__ or ""), contract, run, examples)
        _add(made, run.__module__)
        return made

    return registered


def _add(made: Rule | Sweep, module: str) -> None:
    before = RULES.get(made.name)
    if before is not None:
        owner = (before.build if isinstance(before, Rule) else before.run).__module__
        if owner != module:
            raise ValueError(f"two rules are called {made.name}: in {owner} and {module}")
    RULES[made.name] = made


def rule(
    pattern: Pattern,
    contract: Contract,
    *examples: Example,
    may_share: bool = False,
    adds: bool = False,
) -> Callable[[Callable[[Match, Builder], Value]], Rule]:
    """Make a rule of the function below: its name and docstring are the rule's.

    Raises TypeError for a pattern of variables and arithmetic alone.
    `may_share`: it may fire though others read a value inside the match, since that costs nothing.
    `adds`: it computes more, so that rules which follow leave more out.
    """

    def registered(build: Callable[[Match, Builder], Value]) -> Rule:
        name = build.__name__.replace("_", "-")
        shares = may_share or (isinstance(pattern, AnyNode) and pattern.depth == 1)
        if not pattern.anchors:
            raise TypeError(f"{name}: its pattern names no operator, so it would be tried anywhere")
        count_uses(pattern)
        doc = dedent(build.__doc__ or "")
        made = Rule(name, doc, pattern, contract, build, examples, shares, adds)
        _add(made, build.__module__)
        return made

    return registered


@cache
def discover() -> tuple[str, ...]:
    """Import each file in the folders of `passes/`, so that all they hold is registered."""
    import graphwright.passes as package

    folders = [m for m in pkgutil.iter_modules(package.__path__, f"{package.__name__}.") if m.ispkg]
    found = []
    for folder in folders:
        path = importlib.import_module(folder.name).__path__
        found += [m.name for m in pkgutil.walk_packages(path, f"{folder.name}.")]
    for name in found:
        importlib.import_module(name)
    return tuple(found)


def rules() -> dict[str, Rule | Sweep]:
    """Every rule there is, by name: each file in the folders of `passes/` is looked into."""
    discover()
    return dict(sorted(RULES.items()))
