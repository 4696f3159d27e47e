"""The graph: its inputs and one `return` node; all else is reached from there, and nothing is dead.

Only `Node.set_input` and `Graph.replace` change a graph, and both leave it sound.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from graphwright.ir.const import Const
from graphwright.ir.dims import Dim
from graphwright.ir.order import ordered, reachable
from graphwright.ir.provenance import NO_ORIGIN, Origin
from graphwright.ir.types import UNKNOWN, Type


@dataclass(frozen=True, slots=True)
class Carried:
    """What a file holds and no rule speaks of, as it came: `data` in the words of `kind`."""

    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class AttrRef:
    """Inside a function: the value of the attribute `name` of the node that calls it."""

    name: str
    kind: int


Attr: TypeAlias = (
    "int | float | str | bytes | tuple[int | float | str | bytes | Dim, ...]"
    " | Dim | Const | Carried | AttrRef"
)
Contents: TypeAlias = "Dim | tuple[Dim, ...]"


class Use(NamedTuple):
    """One read of a value: `node.operand(index)`."""

    node: Node
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of a use


_new = tuple.__new__  # makes a named tuple in half the time that its name takes


@dataclass(eq=False, slots=True, repr=False)
class Value:
    """One tensor: a graph input, a constant, or an output of `producer`.

    `contents` is what a small integer tensor holds, as sizes, where inference knows it.
    """

    type: Type = UNKNOWN
    producer: Node | None = None
    const: Const | None = None
    name: str = ""
    contents: Contents | None = None
    uses: dict[Use, None] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<{self.name or 'value'}: {self.type}>"


@dataclass(eq=False, slots=True, repr=False)
class Node:
    """One application of an operator.

    `captures` are the outer values that the bodies read, in the order of the last inputs of each
    body. `place` orders nodes that could stand in any order. `source` is the node as the front end
    met it, for a back end of the same format.
    """

    op: str
    inputs: tuple[Value | None, ...]
    attrs: Mapping[str, Attr]
    outputs: tuple[Value, ...]
    captures: tuple[Value, ...] = ()
    bodies: Mapping[str, Graph] = field(default_factory=dict)
    origin: Origin = NO_ORIGIN
    name: str = ""
    place: float = 0.0
    source: object = None

    def __repr__(self) -> str:
        return f"<{self.op}{self.inputs} -> {self.outputs}>"

    def __post_init__(self) -> None:
        for value in self.outputs:
            value.producer = self
        self.attach()

    def is_read(self) -> bool:
        """Whether anything reads one of the results."""
        found = self.outputs
        return bool(found and found[0].uses) or any(value.uses for value in found[1:])

    def operands(self) -> tuple[Value | None, ...]:
        """All that the node reads: inputs, then captures."""
        return (*self.inputs, *self.captures) if self.captures else self.inputs

    def attach(self) -> None:
        """Note this node's reads at the values read."""
        for index, value in enumerate(self.operands()):
            if value is not None:
                value.uses[_new(Use, (self, index))] = None

    def detach(self) -> None:
        """Forget this node's reads, since nothing reads it any more; it keeps its inputs."""
        for index, value in enumerate(self.operands()):
            if value is not None:
                value.uses.pop((self, index), None)  # type: ignore[call-overload]  # equals the Use

    def set_input(self, index: int, new: Value | None) -> None:
        """Read `new` at `index`; inputs come first, then captures."""
        count = len(self.inputs)
        old = self.inputs[index] if index < count else self.captures[index - count]
        use = Use(self, index)
        if old is not None:
            old.uses.pop(use, None)
        if new is not None:
            new.uses[use] = None
        if index < count:
            inputs = list(self.inputs)
            inputs[index] = new
            self.inputs = tuple(inputs)
        else:
            if new is None:
                raise TypeError(f"{self.op} {self.name}: a captured value cannot be left out")
            index -= count
            self.captures = (*self.captures[:index], new, *self.captures[index + 1 :])


class Change(NamedTuple):
    """What one `Graph.replace` did, so that it can be undone."""

    old: Value
    new: Value
    uses: tuple[Use, ...]
    dropped: tuple[Node, ...]
    name: str
    kept: tuple[Node, ...]

    def undo(self) -> None:
        """Put `old` back. Changes are undone in the reverse of the order they were made in."""
        for node in self.dropped:
            node.attach()
        for use in self.uses:
            use.node.set_input(use.index, self.old)
        self.new.name = self.name
        drop_unread(self.new, self.kept)

    def redo(self) -> None:
        """Put `new` where it was before it was undone. The last one undone is redone first."""
        take_up(self.new)
        for use in self.uses:
            use.node.set_input(use.index, self.new)
        if not self.name and self.new.const is None:
            self.new.name = self.old.name
        drop_unread(self.old, self.kept)
        drop_unread(self.new, self.kept)


@dataclass(eq=False, slots=True)
class Function:
    """A model-local function: a graph that nodes call by name, with attributes it may refer to."""

    domain: str
    name: str
    attributes: tuple[str, ...]
    body: Graph
    source: object = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Header:
    """What a model file says about itself beside its graph; `notes` are added by us.

    `opsets` are those that the graph speaks of; `wanted` is a newer one to write it in.
    """

    ir_version: int
    opsets: Mapping[str, int]
    source: object = field(default=None, repr=False)
    notes: Mapping[str, str] = field(default_factory=dict)
    calls: bool = True  # what its opsets lack may be written as calls of functions
    wanted: int | None = None


@dataclass(eq=False, slots=True, repr=False)
class Graph:
    """A function from its inputs to what its `return` node reads.

    `kept` are nodes that stay although nothing reads them; `defaults` what inputs hold that the
    caller leaves out. `header` and `functions` belong to a graph that is a whole model.
    """

    name: str
    inputs: tuple[Value, ...]
    result: Node
    kept: tuple[Node, ...] = ()
    header: Header | None = None
    functions: dict[str, Function] = field(default_factory=dict)
    defaults: dict[Value, Const] = field(default_factory=dict)
    source: object = None

    def __repr__(self) -> str:
        return f"<graph {self.name}{self.inputs} -> {self.outputs}>"

    @property
    def outputs(self) -> tuple[Value | None, ...]:
        """The values that the graph gives."""
        return self.result.inputs

    def reachable(self) -> list[Node]:
        """Every node once, producers first, in depth-first order; `return` is not among them."""
        return reachable((*self.kept, self.result))[:-1]

    def nodes(self) -> list[Node]:
        """Every node once, producers first, in the order of the source where that is legal."""
        return ordered(self.reachable())

    def parts(self) -> Iterator[Graph]:
        """This graph, and every body in it."""
        return (part for part, _ in self.walked())

    def walked(self) -> Iterator[Part]:
        """This graph, and every body in it, each with its nodes, producers first."""
        nodes = self.reachable()
        yield self, nodes
        for node in nodes:
            if node.bodies:
                for body in node.bodies.values():
                    yield from body.walked()

    def everything(self) -> Iterator[Node]:
        """Every node here and in bodies, in any order."""
        for _, nodes in self.walked():
            yield from nodes

    def walk(self) -> Iterator[tuple[Graph, Node]]:
        """Every node here and in bodies, each with the graph it stands in."""
        for part, nodes in self.walked():
            yield from ((part, node) for node in ordered(nodes))

    def replace(self, old: Value, new: Value, keep: Collection[Node] = ()) -> Change:
        """Make the readers of `old`, but those in `keep`, read `new`; let go of what nothing reads.

        Raises TypeError when the type of `new` is not what `old` promised.
        """
        if not old.type.admits(new.type):
            raise TypeError(f"{old.name or 'a value'}: {old.type} cannot become {new.type}")
        uses = tuple([use for use in old.uses if use.node not in keep] if keep else old.uses)
        for use in uses:
            use.node.set_input(use.index, new)
        name = new.name
        if not name and new.const is None:
            new.name = old.name
        dropped = drop_unread(old, self.kept)
        if not uses:
            drop_unread(new, self.kept)
        return Change(old, new, uses, dropped, name, self.kept)


Part: TypeAlias = "tuple[Graph, list[Node]]"
"""A graph, whole or a body, and its nodes, producers first."""


def drop_unread(value: Value, kept: Collection[Node] = ()) -> tuple[Node, ...]:
    """Detach the producer of `value` and its producers as far as nothing reads them; give those."""
    dropped: dict[Node, None] = {}
    loose = [] if value.producer is None else [value.producer]
    for node in loose:  # which grows
        if not (node.is_read() or node in dropped or node in kept):
            node.detach()
            dropped[node] = None
            unread = [v for v in node.operands() if v is not None and not v.uses]
            loose += [v.producer for v in unread if v.producer is not None]
    return tuple(dropped)


def take_up(value: Value) -> None:
    """Attach the producer of `value` and its producers as far as they are detached."""
    loose = [value.producer]
    while loose:
        node = loose.pop()
        if node is None:
            continue
        reads = [(i, v) for i, v in enumerate(node.operands()) if v is not None]
        if any(Use(node, i) not in v.uses for i, v in reads):
            node.attach()
            loose += [v.producer for _, v in reads]
