"""How a node works along each axis of what it reads and gives, as factors that both share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from graphwright.ir.dims import Dim
from graphwright.ir.graph import Node, Value
from graphwright.passes.attention.factors import Factor, Unprovable, View, leaves, new_axis
from graphwright.passes.attention.steps import shape
from graphwright.passes.shapes import shape_of


class How(Enum):
    """How a node treats a factor along which it is not pointwise."""

    REDUCES = "reduces"
    MIXES = "mixes"
    CAUSAL = "mixes causally"
    PERMUTES = "permutes"
    PICKS = "picks from"
    JOINS = "joins"
    PLACES = "depends on the position along"


@dataclass
class Working:
    """The factors of each input and output of a node, and how it treats them.

    Along a factor that is not in `how` the node is pointwise: whatever is chosen of it, in whatever
    order and as often as one likes, in all inputs that have it, is what the results have of it, and
    the results along it are the same function of what stands there. An input that only says sizes,
    or is left out, has no view.
    """

    inputs: list[View | None]
    outputs: list[View | None]
    how: dict[Factor, How] = field(default_factory=dict)

    def treats(self, factors: Iterable[Factor], how: How) -> None:
        """Note how the node treats `factors`."""
        self.how.update(dict.fromkeys(factors, how))

    def treatment(self) -> dict[Factor, How]:
        """What is known of the factors as they are now, after what was split."""
        found: dict[Factor, How] = {}
        for factor, how in self.how.items():
            parts = leaves([factor])
            if how in (How.CAUSAL, How.PERMUTES) and len(parts) > 1:
                how = How.MIXES  # of its parts that may not be said
            found.update(dict.fromkeys(parts, how))
        return found

    def pointwise(self) -> list[Factor]:
        """The factors of the results along which the node works row by row."""
        treated = self.treatment()
        found: dict[Factor, None] = {}
        for view in self.outputs:
            for factor in () if view is None else (f for axis in view for f in leaves(axis)):
                if factor not in treated:
                    found[factor] = None
        return list(found)

    def views(self) -> Iterator[View]:
        """Every view there is."""
        yield from (view for view in (*self.inputs, *self.outputs) if view is not None)


def axes(value: Value | None) -> View:
    """A view whose axes are new factors. Raises Unprovable where the rank is not known."""
    return [new_axis(dim) for dim in shape(value)]


def opaque(node: Node) -> Working:
    """What is said of a node that nothing is known of: it may mix whatever it reads."""
    found = Working(
        [axes_if_known(v) for v in node.operands()], [axes_if_known(v) for v in node.outputs]
    )
    for view in found.views():
        found.treats((f for axis in view for f in axis), How.MIXES)
    return found


def axes_if_known(value: Value | None) -> View | None:
    """As `axes`; None where the rank is not known."""
    return None if shape_of(value) is None else axes(value)


def meeting(found: Working, result: View, dims: Sequence[Dim], value: Value | None) -> View | None:
    """The view of an operand whose shape broadcasts to `dims`, the sizes of the axes `result`.

    Where it is not known which of two sizes an axis has, nothing is said of that axis.
    """
    if value is None:
        return None
    have = shape(value)
    if len(have) > len(dims):
        raise Unprovable("an operand of more axes than the result")
    view: View = []
    new = len(dims) - len(have)
    for dim, want, axis in zip(have, dims[new:], result[new:], strict=True):
        if dim not in (1, want):
            own = new_axis(dim)
            found.treats([*own, *leaves(axis)], How.MIXES)
            view.append(own)
        else:
            view.append(list(axis) if dim == want else [])
    return view
