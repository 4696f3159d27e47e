"""The axes of every value of a graph, by names that say what they are to the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from graphwright.ir.graph import Graph, Node, Value
from graphwright.passes.attention.factors import Factor, View, join, leaves
from graphwright.passes.axes.table import working
from graphwright.passes.axes.working import How, Working, axes_if_known

PRODUCTS = frozenset({"MatMul", "Gemm", "Linear", "Einsum", "com.microsoft::FusedMatMul"})
NORMS = frozenset({"LayerNormalization", "RMSNormalization"})
ROLES = ("tokens", "width", "heads", "channels", "entries", "batch")
"""What a factor may be to a model; of what speaks for several, the first counts."""


@dataclass
class Seen:
    """How one node works: what is pointwise, and what is not."""

    found: Working
    pointwise: list[Factor]


@dataclass
class Axes:
    """The axes of the values of a graph, and how its nodes work along them."""

    views: dict[Value, View] = field(default_factory=dict)
    nodes: dict[Node, Seen] = field(default_factory=dict)
    names: dict[Factor, str] = field(default_factory=dict)

    def axis(self, axis: Iterable[Factor]) -> str:
        """An axis as the product of its factors' names."""
        return "*".join(self.names[leaf] for leaf in leaves(axis)) or "1"

    def remark(self, node: Node) -> str:
        """The axes of what a node gives, and how it works along each."""
        seen = self.nodes[node]
        shapes = [f"[{', '.join(map(self.axis, v))}]" for v in seen.found.outputs if v is not None]
        treated: dict[str, dict[str, None]] = {}
        for factor, how in seen.found.how.items():
            treated.setdefault(how.value, {}).update(dict.fromkeys(self._called([factor])))
        pointwise = ", ".join(dict.fromkeys(self._called(seen.pointwise)))
        parts = [f"pointwise along {pointwise}"] if pointwise else []
        parts += [f"{how} {', '.join(names)}" for how, names in treated.items()]
        return "; ".join([", ".join(shapes), *parts])

    def _called(self, factors: Iterable[Factor]) -> Iterator[str]:
        return (self.names[leaf] for leaf in leaves(factors))

    def legend(self) -> dict[str, str]:
        """The size of each name, where the name does not say it."""
        return {name: str(f.size) for f, name in self.names.items() if name != str(f.size)}


def axes_of(graph: Graph) -> Axes:
    """The axes of every value of `graph`; those of its bodies are not looked at."""
    found = Axes()
    for value in graph.inputs:
        given = axes_if_known(value)
        if given is not None:
            found.views[value] = given
    for node in graph.nodes():
        worked = working(node)
        found.nodes[node] = Seen(worked, worked.pointwise())
        views = (*worked.inputs[: len(node.inputs)], *worked.outputs)
        values = (*node.inputs, *node.outputs)
        for each, view in zip(values, views, strict=True):
            if each is not None and view is not None:
                _learn(found, each, view)
    _name(found, graph)
    return found


def _learn(found: Axes, value: Value, view: View) -> None:
    """Let a value have the axes `view`, which are those that it has already."""
    for one, other in zip(found.views.setdefault(value, view), view, strict=True):
        join(one, other)


def _name(found: Axes, graph: Graph) -> None:
    roles = _roles(found, graph)
    called: dict[str, list[Factor]] = {}
    views = [
        *found.views.values(),
        *(v for seen in found.nodes.values() for v in seen.found.views()),
    ]
    every = dict.fromkeys(leaf for view in views for axis in view for leaf in leaves(axis))
    treated = (f for seen in found.nodes.values() for f in seen.found.how)
    every.update(dict.fromkeys(leaves(treated)))
    for leaf in every:
        role = next((r for r in ROLES if leaf in roles[r]), "")
        called.setdefault(role, []).append(leaf)
    for role, factors in called.items():
        for i, leaf in enumerate(factors):
            number = str(i + 1) if i else ""
            found.names[leaf] = f"{role}{number}" if role else str(leaf.size)


def _roles(found: Axes, graph: Graph) -> dict[str, set[Factor]]:
    """What speaks for each role, by the operators that meet a factor."""
    softened: set[Factor] = set()
    contracted: set[Factor] = set()
    mixed: set[Factor] = set()
    roles: dict[str, set[Factor]] = {role: set() for role in ROLES}
    for node, seen in found.nodes.items():
        how = seen.found.how
        mixed |= set(leaves(f for f, each in how.items() if each is not How.PICKS))
        treated = set(leaves(how))
        weighs = any(v is not None and v.const is not None for v in node.inputs[1:])
        if node.op in ("Softmax", "LogSoftmax"):
            softened |= treated
        elif node.op == "Attention":
            keys, width = (seen.found.inputs[i] for i in (1, 0))
            assert keys is not None
            assert width is not None
            roles["tokens"] |= set(leaves(keys[-2]))
            contracted |= set(leaves(width[-1]))
        elif node.op in NORMS or (node.op in PRODUCTS and weighs):
            roles["channels"] |= treated
        elif node.op in PRODUCTS:
            contracted |= treated
        elif (
            node.op == "Gather" and node.inputs[0] is not None and node.inputs[0].const is not None
        ):
            roles["entries"] |= treated
    roles["tokens"] |= softened & contracted
    roles["width"] = contracted - softened
    axes = [leaves(axis) for view in found.views.values() for axis in view]
    for parts in axes:
        if roles["width"] & set(parts):
            roles["heads"] |= set(parts) - roles["width"]
    for parts in axes:
        if roles["heads"] & set(parts):  # the width of the values
            roles["width"] |= set(parts) & roles["channels"] - roles["heads"]
    first = [leaves(known[0]) for v in graph.inputs if (known := found.views.get(v))]
    roles["batch"] = {parts[0] for parts in first if parts and parts[0] not in mixed}
    return roles
