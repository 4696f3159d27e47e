"""Values of the new tokens alone, made of a graph that computes those of all tokens.

What depends on what the tokens are is computed for the new ones only; of what depends on masks,
positions and sizes alone, which is there for all tokens, the rows of the new ones are cut out, as
far up as it works row by row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from graphwright.ir.dims import Dim, atoms_of
from graphwright.ir.graph import Graph, Node, Value
from graphwright.ir.ops import constant
from graphwright.ir.provenance import Origin
from graphwright.ir.types import TensorType
from graphwright.passes.axes.remaking import remade, resized
from graphwright.passes.incremental.places import Place, Way, way
from graphwright.passes.match import Match
from graphwright.passes.rule import Budget, Builder, NoMatch, need
from graphwright.passes.shapes import listed, reshape, shape_of

NAME = "incremental"
END = 2**63 - 1
KEYS = (1, 2)  # where an Attention reads keys and values


class Refused(NoMatch):
    """Why a model cannot go on from its past, with the operator named."""


@dataclass(frozen=True)
class Tokens:
    """How many tokens there are in all, how many of them are new, and which inputs hold those."""

    total: Dim
    past: Dim
    new: Dim
    given: Mapping[Value, tuple[Value, Place]]


@dataclass
class NewRows:
    """The values of the new tokens, made node by node.

    `varies` holds what depends on what the tokens are; `joined` the keys and values of all tokens
    that are made of past and new ones, by those that the graph computes of all tokens.
    """

    graph: Graph
    tokens: Tokens
    budget: Budget
    varies: Collection[Value] = ()
    ways: dict[tuple[Node, Place], Way | None] = field(default_factory=dict)
    made: dict[tuple[Value, Place], Value] = field(default_factory=dict)
    joined: dict[Value, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.varies = depending(self.graph, self.tokens.given)
        self.made = {(old, place): new for old, (new, place) in self.tokens.given.items()}

    def all(
        self, wanted: Sequence[tuple[Value, Place]], past: Mapping[Value, Value]
    ) -> list[Value]:
        """The new rows of `wanted`; `past` are the keys and values so far, by those of all tokens.

        Raises Refused where something mixes tokens other than through an attention.
        """
        nodes = self.graph.nodes()
        places: dict[Value, dict[Place, None]] = {}
        for value, place in wanted:
            places.setdefault(value, {})[place] = None
        for node in reversed(nodes):
            for value, place in self._wanted_of(node, places):
                places.setdefault(value, {})[place] = None
        for node in nodes:
            for value in node.outputs:
                for place in places.get(value, ()):
                    if (value, place) not in self.made:
                        self._make(node, value, place, past)
        return [self.made[each] for each in wanted]

    def _wanted_of(
        self, node: Node, places: Mapping[Value, Mapping[Place, None]]
    ) -> Iterator[tuple[Value, Place]]:
        """What a node reads new rows of, for the new rows that are wanted of it."""
        for index, value in enumerate(node.outputs):
            for place in places.get(value, ()):
                if (node, place) not in self.ways:
                    self.ways[node, place] = self._way(node, index, place)
                found = self.ways[node, place]
                if found is None:
                    continue
                yield from (
                    (v, at)
                    for v, at in zip(node.inputs, found.inputs, strict=True)
                    if v is not None and at is not None
                )

    def _way(self, node: Node, index: int, place: Place) -> Way | None:
        """How a node makes new rows of new rows; None where they are cut out of what it gives."""
        varies = node.outputs[index] in self.varies
        try:
            found = way(node, index, place, self.tokens.total)
        except NoMatch as why:
            if varies:
                raise Refused(f"{called(node)} is not token by token: {why}") from None
            return None
        inputs = list(found.inputs)
        for i, value in enumerate(node.inputs):
            if value in self.varies and inputs[i] is None:
                if node.op != "Attention" or i not in KEYS:
                    by = mixer(value, self.varies, atoms_of(self.tokens.total)) or node
                    raise Refused(f"{called(by)} mixes the tokens")
                inputs[i] = self._keys(node, value)
        return found._replace(inputs=tuple(inputs))

    def _keys(self, node: Node, value: Value | None) -> Place:
        shape = shape_of(value) or ()
        if len(shape) != 4:
            raise Refused(f"{called(node)} has {len(shape) - 3} axes of batches, and caches one")
        if shape[2] != self.tokens.total:
            raise Refused(f"{called(node)} has {shape[2]} keys where there are as many tokens")
        return Place(2)

    def _make(self, node: Node, value: Value, place: Place, past: Mapping[Value, Value]) -> None:
        found, op = self.ways[node, place], self._builder(node)
        if found is None:
            self.made[value, place] = self._cut(op, value, place)
            return
        given = [
            v if v is None or at is None else self._read(node, v, at)
            for v, at in zip(node.inputs, found.inputs, strict=True)
        ]
        if node.op == "Attention":
            for i in KEYS:
                old, new = node.inputs[i], given[i]
                if old is not None and new is not None and old in past:
                    given[i] = self._join(op, old, new, past[old])
        try:
            outputs = _again(op, found, given, self.tokens.new)
        except NoMatch as why:
            if value in self.varies:
                raise Refused(f"{called(node)}: {why}") from None
            outputs = ()
            self.made[value, place] = self._cut(op, value, place)
        for old, new in zip(node.outputs, outputs, strict=False):
            self.made[old, place] = new

    def _read(self, node: Node, value: Value, place: Place) -> Value:
        """The new rows of what a node reads, which are cut out where nothing made them."""
        if (value, place) not in self.made:
            if value in self.varies:
                raise Refused(f"{called(node)} reads '{value.name}' otherwise than by tokens")
            self.made[value, place] = self._cut(self._builder(node), value, place)
        return self.made[value, place]

    def _join(self, op: Builder, old: Value, new: Value, past: Value) -> Value:
        """Past keys or values, the new ones behind them; of an encoder there are no new ones."""
        if old not in self.varies:
            return past
        if old not in self.joined:
            self.joined[old] = op.Concat(past, new, axis=2)
        return self.joined[old]

    def _cut(self, op: Builder, value: Value, place: Place) -> Value:
        """The rows of the new tokens, which are the last ones."""
        tokens, shape = self.tokens, shape_of(value)
        assert shape is not None
        at, before, after = place
        apart = (*shape[:at], before, tokens.total, after, *shape[at + 1 :])
        alone = before == after == 1
        along = at if alone else at + 1
        whole = value if alone else reshape(op, value, apart)
        start, end = listed(op, (tokens.past,)), constant([END], "i64")
        rows = op.Slice(whole, start, end, constant([along], "i64"))
        had = shape if alone else apart
        assert isinstance(value.type, TensorType)
        rows.type = TensorType(value.type.dtype, (*had[:along], tokens.new, *had[along + 1 :]))
        if alone:
            return rows
        return reshape(op, rows, (*shape[:at], before * tokens.new * after, *shape[at + 1 :]))

    def _builder(self, node: Node) -> Builder:
        op = Builder(Match(node.outputs[0], {}), NAME, self.budget)
        op.origin = Origin.of([node], NAME)
        return op


def depending(graph: Graph, given: Collection[Value]) -> set[Value]:
    """The values that depend on what `given` hold, and not on their shapes alone."""
    found = set(given)
    for node in graph.nodes():
        if any(v in found for v in node.operands()):
            found.update(node.outputs)
    return found


def mixer(value: Value | None, varies: Collection[Value], names: Set[str]) -> Node | None:
    """The operator that mixes tokens on the way to `value`, whose sizes say nothing of them.

    `varies` depends on what the tokens are, and `names` are the sizes that tell how many they are.
    """

    def is_of_tokens(each: Value) -> bool:
        return any(names <= atoms_of(dim) for dim in shape_of(each) or ())

    work, seen = [value], {value}
    for each in work:  # which grows
        node = None if each is None else each.producer
        if node is None:
            continue
        varying = [v for v in node.operands() if v is not None and v in varies]
        if any(map(is_of_tokens, varying)) and not any(map(is_of_tokens, node.outputs)):
            return node
        work += [v for v in varying if v not in seen]
        seen.update(varying)
    return None


def called(node: Node) -> str:
    """A node by the name that a user knows; where it was made of several, by one of those."""
    names = node.origin.sources or (node.name,)
    name = next((each for each in names if "softmax" in each.lower()), names[0])
    others = f" and {len(names) - 1} others" if len(names) > 1 else ""
    return f"{node.op} '{name}'{others}" if name else node.op


def _again(op: Builder, found: Way, given: Sequence[Value | None], count: Dim) -> tuple[Value, ...]:
    """What a node gives of other inputs, with so many tokens."""
    node, worked, sizes = found.node, found.worked, {found.tokens: count}
    if len(node.outputs) == 1:
        made: tuple[Value, ...] = (remade(op, node, worked, given, sizes),)
    else:
        made = op.several(node.op, len(node.outputs), *given, **dict(node.attrs))
    for old, new, view in zip(node.outputs, made, worked.outputs, strict=True):
        if view is not None and isinstance(old.type, TensorType):
            want = resized(view, sizes)
            have = shape_of(new)
            need(have is None or have == want or len(have) == len(want), "it has another rank")
            new.type = TensorType(old.type.dtype, want)
    return made
