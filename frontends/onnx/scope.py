"""What names mean while a graph is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from graphwright.frontends.onnx.external import Folder
from graphwright.frontends.onnx.named_sizes import size_named
from graphwright.frontends.onnx.text import NOT_TEXT
from graphwright.ir.const import FileSlice
from graphwright.ir.dims import Dim, sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Value

SMALL = 1 << 10  # bytes of a constant that bodies get for themselves, and do not capture


@dataclass
class Reader:
    """What is the same for all graphs of one model.

    `refers`: it is a function, whose attributes may refer to those of the node that calls it.
    `promises` are the names that the model's inputs give to sizes, `plain` those that are no
    formula. `told`: nodes may say where they are from.
    """

    folder: Folder
    opsets: dict[str, int]
    weights: dict[int, FileSlice] = field(default_factory=dict)
    refers: bool = False
    promises: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()
    told: bool = True
    fresh: Iterator[int] = field(default_factory=count)

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""
        return self.opsets.get("", 1)

    def unknown(self, name: str, axis: int) -> Dim:
        """A size that nothing is known of: names inside a graph are hints, not promises."""
        while (made := f"_{next(self.fresh)}") in self.promises:
            pass
        return sym(made)

    def promised(self, name: str, axis: int) -> Dim:
        """A size of a graph's input: equal names are equal sizes, and formulas are kept to."""
        if not name or not isinstance(name, str):
            return self.unknown(name, axis)
        return size_named(name, self.plain)


class Scope:
    """The values of one graph by name, and what its bodies read from outside."""

    def __init__(self, outer: Scope | None = None) -> None:
        self.values: dict[str, Value] = {}
        self.outer = outer
        self.captured: dict[str, tuple[Value, Value]] = {}  # name: (outside, inside)

    def add(self, name: str, value: Value, what: str) -> None:
        """Define a name; ModelError when it is defined already."""
        if not isinstance(name, str):
            raise ModelError(NOT_TEXT)
        if name in self.values:
            raise ModelError(
                f"the name '{name}' is given twice in one graph, the second time to {what}"
            )
        self.values[name] = value

    def find(self, name: str) -> Value | None:
        """The value called `name`, captured from an outer graph if need be."""
        found = self.values.get(name)
        if found is not None or self.outer is None:
            return found
        outside = self.outer.find(name)
        if outside is None:
            return None
        if outside.const is not None and (outside.const.type.nbytes or SMALL) < SMALL:
            inside = Value(outside.type, const=outside.const, name=name)
        else:
            inside = Value(outside.type, name=name)
            self.captured[name] = (outside, inside)
        self.values[name] = inside
        return inside
