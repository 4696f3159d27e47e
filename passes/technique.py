"""Techniques: rewrites from papers, which change what a model computes, asked for by name.

A technique is a function in a file of its own that goes over a graph and yields replacements. What
it may be told stands in its signature, behind the `*`, with types and defaults. Each replacement is
checked against the contract like any rewrite.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from textwrap import dedent
from types import MappingProxyType, ModuleType
from typing import Any, Generic, TypeAlias, TypeVar

from graphwright.ir.contracts import Contract
from graphwright.ir.graph import Graph, Node, Value
from graphwright.passes.example import Example
from graphwright.passes.knobs import listed
from graphwright.passes.layers import layers_of
from graphwright.passes.rule import (
    Budget,
    Builder,
    Match,
    NoMatch,
    Replacement,
    Sweep,
    discover,
    need,
)

__all__ = ["Places", "Replacement", "Tap", "Technique", "Work", "need", "technique", "techniques"]

S = TypeVar("S")
Knob: TypeAlias = "int | float | str"
FOLDER = "graphwright.passes.techniques."
Run: TypeAlias = "Callable[..., Iterator[Replacement]]"
Promise: TypeAlias = "Contract | Callable[..., Contract]"


@dataclass(frozen=True)
class Tap(Generic[S]):
    """A statistic of what `values` hold while the model runs on data, one batch after another.

    `step(state, *arrays)` folds a batch, one array a value, into the state, from `start` on.
    """

    values: tuple[Value, ...]
    start: S
    step: Callable[..., S]


Observe: TypeAlias = "Callable[[Sequence[Tap[Any]]], list[Any]]"


def unobserved(taps: Sequence[Tap[Any]]) -> list[Any]:
    """Refuses: where a technique is tried on its examples there is no data."""
    raise NoMatch("it needs data that the model runs on")


@dataclass(frozen=True)
class Places:
    """The layers and heads that were asked for, `@layers=0-3@heads=1,2`; None is all.

    A layer is an attention, counted from 0 in the order in which they are computed.
    """

    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None

    def holds(self, layer: int | None) -> bool:
        """Whether a layer was asked for; what is part of none is, where all are."""
        return self.layers is None or layer in self.layers

    def heads_of(self, count: int) -> tuple[int, ...]:
        """Those of `count` heads that were asked for. Refuses heads that are not there."""
        if self.heads is None:
            return tuple(range(count))
        absent = [head for head in self.heads if head >= count]
        need(not absent, f"it has {count} heads, and none is numbered {listed(absent)}")
        return self.heads


@dataclass(frozen=True)
class Work:
    """What a technique may know and ask of the model at hand.

    `observe(taps)` runs the model on the data and gives the last state of each tap. `left` notes
    where the technique did not apply, and why, and `chosen` the numbers that data chose, under what
    they are called, one or one for each head. `numbers` are the layers of the nodes as the first
    technique met them, so that they stay what they are when an attention goes.
    """

    name: str
    budget: Budget
    places: Places = Places()
    observe: Observe = unobserved
    left: list[tuple[Node, str]] = field(default_factory=list)
    chosen: dict[Node, dict[str, tuple[float, ...]]] = field(default_factory=dict)
    numbers: Mapping[Node, int] | None = None

    def layers(self, graph: Graph) -> Iterator[tuple[int, Node]]:
        """The attentions that were asked for, with their numbers; those that are gone are noted."""
        known, nodes = self.layers_of(graph), graph.nodes()
        found = [(known[n], n) for n in nodes if n.op == "Attention" and n in known]
        gone = {i: n for n, i in known.items() if n.op == "Attention" and not n.is_read()}
        here = any(node in known for node in nodes)  # a normalizer is a graph too
        for i in sorted(gone.keys() - {i for i, _ in found}) if here else ():
            if self.places.holds(i):
                why = "another technique has written it out, or taken it away"
                self.left.append((gone[i], why))
        return ((i, node) for i, node in found if self.places.holds(i))

    def layers_of(self, graph: Graph) -> Mapping[Node, int]:
        """The layer that each node is part of, where it is part of one."""
        return layers_of(graph) if self.numbers is None else self.numbers

    def at(self, root: Value, leaves: Sequence[Value]) -> Builder:
        """What makes the nodes of a replacement of `root`, as a function of `leaves`."""
        return Builder(_match(root, leaves), self.name, self.budget)

    @contextmanager
    def trying(self, node: Node) -> Iterator[None]:
        """A place that is left alone, and noted, if anything refuses it."""
        try:
            yield
        except NoMatch as why:
            self.left.append((node, str(why)))


def _match(root: Value, leaves: Sequence[Value]) -> Match:
    return Match(root, {("leaf", i): value for i, value in enumerate(leaves)})


@dataclass(frozen=True, eq=False)
class Technique:
    """One technique; `knobs` are what it may be told, with their types and defaults.

    `promised` is its contract, or gives it for the knobs that are set; `formula` gives that of a
    normalizer, and `fits` names the knob that may be `data`.
    `needs` says in a word or two what it asks for beside the graph: "weights", "data". `home` is
    the module that it is defined in.
    """

    name: str
    doc: str
    promised: Promise
    needs: str
    run: Run
    examples: tuple[Example, ...] = field(repr=False)
    knobs: Mapping[str, inspect.Parameter] = field(repr=False)
    home: str = field(repr=False)
    formula: Callable[..., str] | None = field(default=None, repr=False)
    fits: str = ""

    def contract(self, **knobs: Knob) -> Contract:
        """What it promises with such knobs, the others as they are by default."""
        return self.promised(**knobs) if callable(self.promised) else self.promised

    def bound(self, work: Work, knobs: Mapping[str, Knob]) -> Sweep:
        """The sweep that applies it with such knobs to the model that `work` is of."""
        run = partial(self.run, work=work, **knobs)
        return Sweep(self.name, self.doc, self.contract(**knobs), run, self.examples)


def technique(
    promised: Promise, *examples: Example, needs: str = "weights"
) -> Callable[[Run], Technique]:
    """Make a technique of the function below: its name and docstring are the technique's.

    It takes a graph and `work`, and behind the `*` its knobs. Raises TypeError for a knob without
    a type or a default.
    """

    def registered(run: Run) -> Technique:
        return made_of(run, run, promised, examples, needs)

    return registered


def made_of(
    named: Callable[..., object],
    run: Run,
    promised: Promise,
    examples: tuple[Example, ...],
    needs: str,
    formula: Callable[..., str] | None = None,
    fits: str = "",
) -> Technique:
    """The technique that has the name, the knobs and the docstring of a function.

    Raises TypeError for a knob without a type or a default.
    """
    name = named.__name__.replace("_", "-")
    given = inspect.signature(named, eval_str=True).parameters.values()
    knobs = {p.name: p for p in given if p.kind is p.KEYWORD_ONLY}
    for knob in knobs.values():
        if knob.annotation not in (int, float, str) or knob.default is knob.empty:
            raise TypeError(f"{name}: the knob {knob.name} needs int, float or str, and a default")
    doc, home = dedent(named.__doc__ or ""), named.__module__
    return Technique(name, doc, promised, needs, run, examples, knobs, home, formula, fits)


@cache
def techniques() -> Mapping[str, Technique]:
    """Every technique there is, by name: each file in passes/techniques is looked into."""
    found: dict[str, Technique] = {}
    for name in discover():
        if name.startswith(FOLDER):
            for made in defined_in(sys.modules[name]):
                if made.name in found:
                    raise ValueError(f"two techniques are called {made.name}")
                found[made.name] = made
    return MappingProxyType(dict(sorted(found.items())))


def defined_in(module: ModuleType) -> list[Technique]:
    """The techniques that a module defines, those that it only imports left out."""
    made = [each for each in vars(module).values() if isinstance(each, Technique)]
    return [each for each in made if each.home == module.__name__]
