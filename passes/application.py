"""Patterns of single nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import OPS
from graphwright.ir.types import TensorType
from graphwright.passes.algebra import Sum
from graphwright.passes.pattern import Env, Memo, Pattern


class AnyNode(Pattern):
    """What any operator, or one of `ops`, gives, where `when(node)`, a quick test, holds.

    `of` is the pattern of its first input, where that matters.
    """

    def __init__(
        self, *ops: str, when: Callable[[Node], bool] | None = None, of: Pattern | None = None
    ) -> None:
        self.anchors, self.when, self.of = frozenset(ops or "*"), when, of
        self.depth = 1 + (of.depth if of else 0)
        self.reach = 1 if of is None else None if of.reach is None else 1 + of.reach

    def inside(self) -> tuple[Pattern, ...]:
        """The pattern of the first input."""
        return () if self.of is None else (self.of,)

    def may(self, value: Value) -> bool:
        """Whether such an operator gives it."""
        node = value.producer
        return node is not None and ("*" in self.anchors or node.op in self.anchors)

    def fits(self, value: Value, env: Env) -> Iterator[Env]:
        """What such a node gives does."""
        node = value.producer
        if node is not None and self.may(value) and (self.when is None or self.when(node)):
            rest = node.operands() if self.of is None else node.operands()[1:]
            met: Env = {(self, i): v for i, v in enumerate(rest) if v is not None}
            met.update(env)
            yield from [met] if self.of is None else self.of.match(node.inputs[0], met)

    def climb(self, node: Node, memo: Memo) -> list[Value]:
        """What the node gives, if it passes the test and what it reads may fit."""
        if self.when is not None and not self.when(node):
            return []
        if self.of is not None:
            first = node.inputs[0] if node.inputs else None
            if first is None or not self.of.may(first):
                return []
        return list(node.outputs)


class EachOutput(AnyNode):
    """What any of the outputs of a node gives, so that a rule replaces them one after another."""

    def __init__(self, *ops: str) -> None:
        super().__init__(*ops)
        self.reach = None  # the node itself is looked at again


class Apply(Pattern):
    """An application of operator `op`.

    An attribute given as a string binds it: `axes="axes"` matches anything the first time and the
    same thing after that; a function tests it, and `"=x"` is the string x. Axes are met counted
    from the end, `axis=-1`, however they are written.
    """

    def __init__(
        self, op: str, args: Sequence[Pattern | float], attrs: Mapping[str, object]
    ) -> None:
        self.op, self.attrs = op, attrs
        self.args = tuple(a if isinstance(a, Pattern) else Sum(a) for a in args)
        self.anchors = frozenset({op})
        self.depth = 1 + max((a.depth for a in self.args), default=0)
        each = [a.reach for a in self.args]
        self.reach = (
            None if None in each else 1 + max((n for n in each if n is not None), default=0)
        )
        row = OPS.get(op)
        self.swaps = row is not None and row.commutes and len(self.args) == 2

    def inside(self) -> tuple[Pattern, ...]:
        """The patterns of the inputs."""
        return self.args

    def may(self, value: Value) -> bool:
        """Whether the operator gives it."""
        return value.producer is not None and value.producer.op == self.op

    def climb(self, node: Node, memo: Memo) -> list[Value]:
        """What the node gives, if what it reads may fit."""
        if node.op != self.op:
            return []
        for arg, value in zip(self.args, node.inputs, strict=False):
            if value is not None and not arg.may(value) and not self.swaps:
                return []
        return [node.outputs[0]]

    def fits(self, value: Value, env: Env) -> Iterator[Env]:
        """A node of that operator with those attributes does, if its inputs fit."""
        node = value.producer
        if node is None or node.op != self.op or node.outputs[0] is not value:
            return
        inputs = node.inputs
        if len(inputs) != len(self.args) and any(v is not None for v in inputs[len(self.args) :]):
            return
        for key, want in self.attrs.items():
            have = axes_from_end(node) if key in ("axes", "axis") else node.attrs.get(key)
            if isinstance(want, str) and want[:1] != "=":
                if env.get(want, have) != have:
                    return
                env = {**env, want: have}
            elif not (want(have) if callable(want) else have == _literal(want)):
                return
        yield from _all(self.args, inputs, env)
        if self.swaps:
            yield from _all(self.args, inputs[::-1], env)


def _literal(want: object) -> object:
    return want[1:] if isinstance(want, str) else want


def axes_from_end(node: Node) -> object:
    """The attribute `axis`, or `axes` as an ascending tuple, counted from the end if possible."""
    value = node.inputs[0] if node.inputs else None
    rank = value.type.rank if value is not None and isinstance(value.type, TensorType) else None
    found: Any = node.attrs["axis"] if "axis" in node.attrs else node.attrs.get("axes")
    if rank is None:
        return found
    if node.op == "Unsqueeze":
        rank += len(found)
    if isinstance(found, tuple):
        return tuple(sorted(a - rank if a >= 0 else a for a in found))
    if isinstance(found, int):
        return found - rank if found >= 0 else found
    return tuple(range(-rank, 0)) if found is None else found


def _all(patterns: Sequence[Pattern], values: Sequence[Value | None], env: Env) -> Iterator[Env]:
    """Every way to match each pattern with its value."""
    if not patterns:
        yield env
        return
    for bound in patterns[0].match(values[0] if values else None, env):
        yield from _all(patterns[1:], values[1:], bound)


any_node = AnyNode
