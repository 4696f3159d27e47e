"""Patterns read like the mathematics they match.

    x = var("x")
    gelu = 0.5 * x * (1 + Erf(x / 2**0.5))

`+ - * / **` match modulo algebra: in any order and grouping, `Div` by a constant as `Mul` by its
reciprocal, `Sqrt` and `Reciprocal` as powers, and scalar constants gathered from wherever they
stand. `p | q` matches either, `p @ q` is MatMul. A pattern used twice must meet the same value
twice. Nothing in the graph is changed to match; a match is a way of reading it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from graphwright.ir.graph import Node, Value

Env: TypeAlias = "dict[object, Any]"  # what each pattern met; copied to be extended, never changed
Memo: TypeAlias = "dict[Pattern, list[Value]]"


class Pattern:
    """`match(value, env)` gives every way in which `value` fits: `env` extended by what was met.

    `anchors` are operators of which every match holds one, and `climb(node)` the values that may
    fit if `node` is that one. `depth` is how many operators stand one above the other, at most;
    `reach` how many nodes do, where the anchor is what a match ends in, else None. `times` is how
    often `count_uses` has met the pattern.
    """

    anchors: frozenset[str] = frozenset()
    depth: int = 0
    reach: int | None = 0
    times: int = 0

    def match(self, value: Value | None, env: Env) -> Iterable[Env]:
        """Every way to read `value` as this pattern."""
        if value is None:
            return ()
        return self.fits(value, env) if self.times == 1 else self._again(value, env)

    def _again(self, value: Value, env: Env) -> Iterator[Env]:
        if self in env:
            if same(env[self], value):
                yield env
        else:
            for bound in self.fits(value, env):
                yield {**bound, self: value}

    def fits(self, value: Value, env: Env) -> Iterable[Env]:
        """As `match`, for a pattern that was not met yet."""
        raise NotImplementedError

    def may(self, value: Value) -> bool:
        """Whether it may fit, at a glance."""
        return True

    def climb(self, node: Node, memo: Memo) -> list[Value]:
        """Values that this may fit if `node` is the anchor, the nearest first."""
        return []

    def inside(self) -> tuple[Pattern, ...]:
        """The patterns that it is made of."""
        return ()

    def __or__(self, other: Pattern) -> Pattern:
        return Either(self, other)

    def __add__(self, other: Pattern | float) -> Pattern:
        return _algebra().Sum(self, other)

    def __radd__(self, other: Pattern | float) -> Pattern:
        return _algebra().Sum(other, self)

    def __sub__(self, other: Pattern) -> Pattern:
        return _algebra().Sum(self, -other)

    def __rsub__(self, other: float) -> Pattern:
        return other + -self

    def __mul__(self, other: Pattern | float) -> Pattern:
        return _algebra().Product(self, other)

    def __rmul__(self, other: Pattern | float) -> Pattern:
        return _algebra().Product(other, self)

    def __truediv__(self, other: Pattern | float) -> Pattern:
        return self * other**-1

    def __rtruediv__(self, other: float) -> Pattern:
        return other * self**-1

    def __neg__(self) -> Pattern:
        return -1.0 * self

    def __pow__(self, e: float) -> Pattern:
        return _algebra().power(self, e)

    def __matmul__(self, other: Pattern) -> Pattern:
        return application("MatMul")(self, other)


def _algebra() -> Any:
    from graphwright.passes import algebra  # which is made of patterns itself

    return algebra


def same(a: Value, b: Value) -> bool:
    """Whether they are one value, or constants of equal content."""
    if a is b:
        return True
    if a.const is None or b.const is None or a.const.type != b.const.type:
        return False
    return a.const.key() == b.const.key()


def count_uses(pattern: Pattern) -> None:
    """Note which parts occur but once, since the others must meet the same value each time."""
    pattern.times += 1
    if pattern.times == 1:
        for part in pattern.inside():
            count_uses(part)


class Var(Pattern):
    """Any value, known to the rule as `m.<name>`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def match(self, value: Value | None, env: Env) -> Iterable[Env]:
        """Any value the first time, and the same one after that."""
        if value is None:
            return ()
        have = env.get(self.name)
        if have is None:
            return ({**env, self.name: value},)
        return (env,) if same(have, value) else ()


class Scalar(Pattern):
    """The scalar constants of a product (or sum), as the float `m.<name>`; 1 (or 0) if none."""

    def __init__(self, name: str) -> None:
        self.name = name


class Either(Pattern):
    """`a | b`: either; the variables of the other are None."""

    def __init__(self, *options: Pattern) -> None:
        self.options: tuple[Pattern, ...] = ()
        for option in options:
            self.options += option.options if isinstance(option, Either) else (option,)
        if all(p.anchors for p in self.options):
            self.anchors = frozenset().union(*(p.anchors for p in self.options))
        self.depth = max(p.depth for p in self.options)
        each = [p.reach for p in self.options]
        self.reach = None if None in each else max(n for n in each if n is not None)

    def inside(self) -> tuple[Pattern, ...]:
        """The options."""
        return self.options

    def fits(self, value: Value, env: Env) -> Iterator[Env]:
        """What fits an option does, the first option first."""
        for option in self.options:
            if option.may(value):
                yield from option.match(value, env)

    def may(self, value: Value) -> bool:
        """Whether any option may."""
        return any(option.may(value) for option in self.options)

    def climb(self, node: Node, memo: Memo) -> list[Value]:
        """What any option may fit."""
        found = [v for p in self.options if node.op in p.anchors for v in p.climb(node, memo)]
        return list(dict.fromkeys(found))


var, scalar = Var, Scalar


def application(op: str) -> Callable[..., Pattern]:
    """What makes the pattern of an operator: of the patterns of its inputs, and attributes."""
    from graphwright.passes.application import Apply  # which is made of patterns itself

    return lambda *args, **attrs: Apply(op, args, attrs)


def __getattr__(op: str) -> Callable[..., Pattern]:
    """Any operator's name makes its pattern: `from graphwright.passes.pattern import Erf`."""
    if not op[:1].isupper():
        raise AttributeError(op)
    return application(op)
