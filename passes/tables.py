"""Tables of angles in which both channels of a pair have one number, and what gives it once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphwright.ir.const import from_array
from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import contents_of
from graphwright.passes.canonical.views import VIEWS
from graphwright.passes.channels import behind_view
from graphwright.passes.pattern import Env, Pattern, same
from graphwright.passes.readings import number
from graphwright.passes.rule import Builder, Match
from graphwright.passes.shapes import shape_of

POINTWISE = ("Cos", "Sin", "Cast", "Neg", "Mul", "Div")
Steps = tuple[Node, ...]


class Once(Pattern):
    """A table of `width` channels, `interleaved` or not, that surely repeats its numbers.

    `m.<name>` is what they are computed of, once; `once` makes the table of half the width of it.
    """

    reach = None

    def __init__(self, name: str) -> None:
        self.name = name

    def fits(self, value: Value, env: Env) -> Iterator[Env]:
        """A table of half the width does, and one that is seen to repeat its numbers."""
        width, shape = env.get("width"), shape_of(value)
        if not shape or not isinstance(width, int) or shape[-1] not in (width, width // 2):
            return
        steps: list[Node] = []
        also: list[Value] = []
        if shape[-1] == width:
            base = _base(value, bool(env.get("interleaved")), steps, also)
        else:
            base = _table(value, also)
        if base is not None:
            met: Env = {(self, i): v for i, v in enumerate(also)}
            yield {**env, **met, self.name: base, f"{self.name}_steps": tuple(steps[::-1])}


def once(m: Match, op: Builder, name: str) -> Value:
    """The table of half the width, where `Once(name)` has met it; its rows are in order."""
    found: Value = getattr(m, name)
    steps: Steps = getattr(m, f"{name}_steps")
    for node in steps:
        inputs = [found if number(v) is None else v for v in node.inputs]
        found = op.call(node.op, *inputs, **node.attrs)
    return found


def _base(value: Value, interleaved: bool, steps: list[Node], also: list[Value]) -> Value | None:
    """What a table repeats, noting the pointwise nodes on the way and what else is read."""
    while True:
        if value.const is not None:
            return _half(value, interleaved)
        node, shape = value.producer, shape_of(value)
        if node is None or not shape or node.inputs[0] is None:
            return None
        found = _repeated(node, shape, interleaved, also)
        if found is not None:
            return found
        if (behind := _rows(value, also)) is not value:
            value = behind
        elif node.op in POINTWISE and len(varying := _varying(node)) == 1:
            steps.append(node)
            value = varying[0]
        else:
            return None


def _table(value: Value, also: list[Value]) -> Value:
    """What a table is a view of, row by row."""
    while (behind := _rows(value, also)) is not value:
        value = behind
    return value


def _rows(value: Value, also: list[Value]) -> Value:
    """What a view that keeps the rows is of, or the value itself; sizes it reads are noted."""
    sizes: list[Value] = []
    behind = behind_view(value, sizes)
    shape, inner = shape_of(value), shape_of(behind)
    if not shape or not inner or inner[-1] != shape[-1]:
        return value
    also += sizes
    return behind


def _varying(node: Node) -> list[Value]:
    return [v for v in node.inputs if v is not None and number(v) is None]


def _half(value: Value, interleaved: bool) -> Value | None:
    """A constant whose numbers are repeated, without the repetition."""
    assert value.const is not None
    array: Any = value.const.load()
    half = array.shape[-1] // 2
    parts = (
        (array[..., 0::2], array[..., 1::2])
        if interleaved
        else (array[..., :half], array[..., half:])
    )
    if not np.array_equal(*parts):
        return None
    const = from_array(np.ascontiguousarray(parts[0]))
    return Value(const.type, const=const)


def _repeated(node: Node, shape: Any, interleaved: bool, also: list[Value]) -> Value | None:
    """What is repeated by this node, if it is the one that repeats."""
    if not interleaved:
        return _twice(node, len(shape)) if node.op == "Concat" else None
    given = node.inputs[0]
    if node.op not in VIEWS or given is None or shape_of(given) != (*shape[:-1], shape[-1] // 2, 2):
        return None
    repeats = given.producer
    inner = None if repeats is None or not repeats.inputs else repeats.inputs[0]
    if repeats is None or inner is None:
        return None
    if repeats.op == "Concat":
        inner = _twice(repeats, len(shape) + 1)
    elif repeats.op == "Tile":
        times = contents_of(repeats.inputs[1])
        inner = inner if times == (*(1,) * len(shape), 2) else None
    elif repeats.op != "Expand":
        inner = None
    if inner is None or shape_of(inner) != (*shape[:-1], shape[-1] // 2, 1):
        return None
    for each in (node, repeats):
        also += [v for v in each.inputs[1:] if v is not None and v is not inner]
    return inner


def _twice(node: Node, rank: int) -> Value | None:
    """What is joined with itself along the last axis, of this rank."""
    first, *others = node.inputs
    if first is None or len(others) != 1 or others[0] is None:
        return None
    last = node.attrs["axis"] in (-1, rank - 1)
    return first if last and same(first, others[0]) else None
