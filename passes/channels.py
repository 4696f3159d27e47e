"""Parts of the last axis as patterns: what cuts some channels out, and what stacks two in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import contents_of
from graphwright.passes.canonical.views import VIEWS
from graphwright.passes.pattern import Env, Memo, Pattern
from graphwright.passes.shapes import Shape, shape_of


class Cut(NamedTuple):
    """Which elements of an axis: `number` of them, from `start` on, each `step` after the other."""

    start: int
    step: int
    number: int


class Channels(Pattern):
    """Some channels of what fits `of`; `m.<name>` is the Cut that says which.

    They may be cut out by Slice, Split or Gather, and of an axis that was cut in two before.
    """

    reach = None

    def __init__(self, of: Pattern, name: str) -> None:
        self.of, self.name, self.depth = of, name, 1 + of.depth

    def inside(self) -> tuple[Pattern, ...]:
        """The pattern of what the channels are of."""
        return (self.of,)

    def may(self, value: Value) -> bool:
        """Whether a node gives it that cuts, or a view of one."""
        node = value.producer
        return node is not None and node.op in (*CUTS, *VIEWS)

    def fits(self, value: Value, env: Env) -> Iterator[Env]:
        """Each way to read the value as channels of another."""
        for source, found, sizes in channels(value):
            if env.get(self.name, found) == found:
                met: Env = {(self, i): v for i, v in enumerate(sizes)}
                yield from self.of.match(source, {**env, **met, self.name: found})


class InTurn(Pattern):
    """Two halves of the channels, `first` and `second`, one of each in turn."""

    anchors = frozenset({"Concat"})
    reach = None

    def __init__(self, first: Pattern, second: Pattern) -> None:
        self.parts, self.depth = (first, second), 2 + max(first.depth, second.depth)

    def inside(self) -> tuple[Pattern, ...]:
        """The halves."""
        return self.parts

    def may(self, value: Value) -> bool:
        """Whether a view gives it."""
        return value.producer is not None and value.producer.op in VIEWS

    def climb(self, node: Node, memo: Memo) -> list[Value]:
        """The views of what the node gives."""
        readers = [use.node for use in node.outputs[0].uses]
        return list(dict.fromkeys(n.outputs[0] for n in readers if n.op in VIEWS))

    def fits(self, value: Value, env: Env) -> Iterator[Env]:
        """A view of two tensors joined along a new last axis does."""
        sizes: list[Value] = []
        joined = behind_view(value, sizes).producer
        shape = shape_of(value)
        if joined is None or joined.op != "Concat" or len(joined.inputs) != 2 or not shape:
            return
        pairs, number = shape_of(joined.outputs[0]), shape[-1]
        if not isinstance(number, int) or pairs != (*shape[:-1], number // 2, 2):
            return
        if joined.attrs["axis"] not in (-1, len(pairs) - 1):
            return
        first, second = joined.inputs
        if shape_of(first) != shape_of(second) or first is None or second is None:
            return
        a, b = (behind_view(half, sizes) for half in (first, second))
        met: Env = {**env, **{(self, i): v for i, v in enumerate(sizes)}}
        for bound in self.parts[0].match(a, met):
            yield from self.parts[1].match(b, bound)


CUTS = ("Slice", "Split", "Gather")
Found = tuple[Value, Cut, list[Value]]


def channels(value: Value) -> Iterator[Found]:
    """What the value is channels of, which ones, and the sizes that views on the way read."""
    sizes: list[Value] = []
    for given, axis, cut in _cut_out(behind_view(value, sizes)):
        shape = shape_of(given) or ()
        if axis == len(shape) - 1 and _is_list(value, (*shape[:-1], cut.number)):
            yield given, cut, sizes
        also: list[Value] = []
        whole = behind_view(given, also)
        pairs = (
            None if whole is given or cut.number != 1 else _paired(whole, shape, axis, cut.start)
        )
        if pairs is not None and _is_list(value, (*(shape_of(whole) or ())[:-1], pairs.number)):
            yield whole, pairs, [*sizes, *also]


def _is_list(value: Value, shape: Shape) -> bool:
    """Whether the value has that shape, or one more axis of 1 behind it.

    With one channel the two would be mistaken for each other by the tables it is multiplied with.
    """
    return shape_of(value) == shape or (shape[-1] != 1 and shape_of(value) == (*shape, 1))


def _paired(whole: Value, shape: Shape, axis: int, index: int) -> Cut | None:
    """What of `whole` has an index along an axis of 2, where it was viewed as `shape`."""
    wide = shape_of(whole)
    if not wide or not isinstance(wide[-1], int):
        return None
    lead, number = wide[:-1], wide[-1] // 2
    if axis == len(shape) - 1 and shape == (*lead, number, 2):
        return Cut(index, 2 if number > 1 else 1, number)
    if axis == len(shape) - 2 and shape == (*lead, 2, number):
        return Cut(index * number, 1, number)
    return None


def behind_view(value: Value, sizes: list[Value]) -> Value:
    """What a view is of, or the value itself; sizes that the view reads are noted."""
    node = value.producer
    if node is None or node.op not in VIEWS or node.inputs[0] is None:
        return value
    sizes += [v for v in node.inputs[1:] if v is not None]
    return node.inputs[0]


def _cut_out(value: Value) -> Iterator[tuple[Value, int, Cut]]:
    """What the value was cut out of, along which axis, and where."""
    node = value.producer
    given = node.inputs[0] if node is not None and node.inputs else None
    shape = shape_of(given)
    if node is None or given is None or shape is None:
        return
    if node.op == "Split":
        axis, sizes = node.attrs["axis"], node.attrs["split"]
        assert isinstance(axis, int)
        assert isinstance(sizes, tuple)
        before = [n for n in sizes if isinstance(n, int)]
        index = node.outputs.index(value)
        yield given, axis % len(shape), Cut(sum(before[:index]), 1, before[index])
    elif node.op == "Gather":
        axis, at = node.attrs["axis"], contents_of(node.inputs[1])
        assert isinstance(axis, int)
        size = shape[axis]
        if isinstance(at, int) and isinstance(size, int) and -size <= at < size:
            yield given, axis % len(shape), Cut(at % size, 1, 1)
    elif node.op == "Slice":
        yield from _sliced(node, given)


def _sliced(node: Node, given: Value) -> Iterator[tuple[Value, int, Cut]]:
    shape = shape_of(given) or ()
    lists = [contents_of(v) for v in node.inputs[1:]]
    found = [e[0] if isinstance(e, tuple) and len(e) == 1 else None for e in lists]
    start, end, axis, step = (*found, 0, 1)[:4] if len(found) == 2 else (*found, 1)[:4]
    numbers = [n for n in (start, end, axis, step) if isinstance(n, int)]
    if len(numbers) < 4 or numbers[3] < 1 or not -len(shape) <= numbers[2] < len(shape):
        return
    size = shape[numbers[2]]
    if isinstance(size, int) and (picked := range(size)[numbers[0] : numbers[1] : numbers[3]]):
        # With one element the step says nothing.
        step = numbers[3] if len(picked) > 1 else 1
        yield given, numbers[2] % len(shape), Cut(picked[0], step, len(picked))
