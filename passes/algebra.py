"""Products and sums as patterns: in any order and grouping, with their constants gathered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from graphwright.ir.graph import Node, Value
from graphwright.ir.types import TensorType
from graphwright.passes.pattern import Env, Memo, Pattern, Scalar
from graphwright.passes.readings import (
    PRODUCT_OPS,
    SUM_OPS,
    Part,
    Reading,
    is_negative,
    products,
    sums,
    tops,
)

EPS = {"f16": 2.0**-10, "bf16": 2.0**-7, "f32": 2.0**-23, "f64": 2.0**-52}
UNITS = 4  # constants were rounded to the element type, once or twice
READERS = 16  # a value inside a match has no more; only what a match ends in may


class Power(Pattern):
    """`pattern ** exponent`, as a factor of a product."""

    def __init__(self, pattern: Pattern, exponent: float) -> None:
        self.pattern, self.exponent = pattern, exponent


def power(pattern: Pattern, exponent: float) -> Pattern:
    """`pattern ** exponent`; a square is a product."""
    if exponent in (2, 3):
        return Product(*[pattern] * int(exponent))
    return Product(Power(pattern, exponent))


class Product(Pattern):
    """Factors in any order and grouping, times a constant."""

    unit: ClassVar[float] = 1.0
    ops: ClassVar[frozenset[str]] = PRODUCT_OPS
    reach = None

    def __init__(self, *args: Pattern | float) -> None:
        self.const, self.scalar = self.unit, ""
        self.terms: list[tuple[Pattern, float]] = []
        for arg in args:
            self._take(arg)
        self.terms.sort(key=lambda term: -term[0].depth)  # what fits seldom is tried first
        self.depth = max((p.depth for p, _ in self.terms), default=0)
        self.weights = sorted(weight for _, weight in self.terms)
        anchored = [p for p, _ in self.terms if p.anchors and "*" not in p.anchors]
        self.within = anchored[0] if anchored else None
        self.anchors = self.within.anchors if self.within else frozenset()

    def _take(self, arg: Pattern | float) -> None:
        if isinstance(arg, Product) and type(arg) is type(self):  # so that grouping does not matter
            self.const = self.join(self.const, arg.const)
            self.terms += arg.terms
            self.scalar = self.scalar or arg.scalar
        elif isinstance(arg, Scalar):
            self.scalar = arg.name
        elif isinstance(arg, Pattern):
            self.terms.append(self.term(arg))
        else:
            self.const = self.join(self.const, float(arg))

    def inside(self) -> tuple[Pattern, ...]:
        """The factors."""
        return tuple(p for p, _ in self.terms)

    @staticmethod
    def readings(value: Value, room: int) -> Iterator[Reading]:
        """The ways to read the value as a constant and at most `room` factors."""
        return products(value, 1.0, room)

    @staticmethod
    def join(a: float, b: float) -> float:
        """Two constants as one."""
        return a * b

    @staticmethod
    def term(p: Pattern) -> tuple[Pattern, float]:
        """A factor and its exponent."""
        return (p.pattern, p.exponent) if isinstance(p, Power) else (p, 1.0)

    def rest(self, found: float) -> float:
        """What of the constant found is not in the pattern."""
        return found / self.const

    def slack(self) -> float:
        """What constants are compared in units of."""
        return 1.0

    def weighs(self, parts: tuple[Part, ...]) -> bool:
        """Whether the exponents may be the wanted ones."""
        return sorted([w for _, w in parts]) == self.weights

    def may(self, value: Value) -> bool:
        """Whether the value is joined of several, where several are wanted."""
        if len(self.terms) < 2:
            return True
        return value.producer is not None and value.producer.op in self.ops

    def fits(self, value: Value, env: Env, sign: float = 1.0) -> Iterator[Env]:
        """What can be read as these factors does; times `sign`, where it stands in a sum."""
        eps = EPS.get(value.type.dtype) if isinstance(value.type, TensorType) else None
        if eps is None or not self.may(value):
            return
        count = len(self.terms)
        for found, parts in self.readings(value, count):
            if len(parts) != count or not self.weighs(parts):
                continue
            rest = self.rest(found) * sign
            if self.scalar:
                if env.get(self.scalar, rest) == rest:
                    yield from self._assign(0, parts, {**env, self.scalar: rest})
            elif abs(rest - self.unit) <= UNITS * eps * self.slack():
                yield from self._assign(0, parts, env)

    def _assign(self, index: int, parts: tuple[Part, ...], env: Env) -> Iterator[Env]:
        """Every way to pair the terms from `index` on with `parts`."""
        pattern, weight = self.terms[index]
        last = len(parts) == 1
        for i, (value, w) in enumerate(parts):
            for bound in self.pair(pattern, weight, value, w, env):
                if last:
                    yield bound
                else:
                    yield from self._assign(index + 1, parts[:i] + parts[i + 1 :], bound)

    def pair(
        self, pattern: Pattern, weight: float, value: Value, w: float, env: Env
    ) -> Iterable[Env]:
        """Every way to read `value ** w` as `pattern ** weight`."""
        return pattern.match(value, env) if w == weight and pattern.may(value) else ()

    def climb(self, node: Node, memo: Memo) -> list[Value]:
        """What is above those that the factor with the anchor may fit."""
        found = memo.get(self)
        if found is None:
            starts = self.within.climb(node, memo) if self.within else []
            found = memo[self] = tops(starts, self.ops, len(self.terms) - 1, READERS)
        return found


class Sum(Product):
    """Terms in any order and grouping, plus a constant; each term has the sign +1 or -1."""

    unit = 0.0
    ops = SUM_OPS

    @staticmethod
    def readings(value: Value, room: int) -> Iterator[Reading]:
        """The ways to read the value as a constant and at most `room` terms."""
        return sums(value, 1.0, room)

    @staticmethod
    def join(a: float, b: float) -> float:
        """Two constants as one."""
        return a + b

    @staticmethod
    def term(p: Pattern) -> tuple[Pattern, float]:
        """A term and its sign."""
        if type(p) is Product and p.const < 0:
            plain = p.const == -1 and len(p.terms) == 1 and p.terms[0][1] == 1 and not p.scalar
            return (p.terms[0][0] if plain else Product(-1.0, p)), -1.0
        return p, 1.0

    def rest(self, found: float) -> float:
        """What of the constant found is not in the pattern."""
        return found - self.const

    def slack(self) -> float:
        """What constants are compared in units of."""
        return max(1.0, abs(self.const))

    def weighs(self, parts: tuple[Part, ...]) -> bool:
        """Whether the signs may be the wanted ones, where constants may turn some."""
        if sorted([w for _, w in parts]) == self.weights:
            return True
        turns = any(type(p) is Product and p.scalar for p, _ in self.terms)
        return turns or any(is_negative(value) for value, _ in parts)

    def pair(
        self, pattern: Pattern, weight: float, value: Value, w: float, env: Env
    ) -> Iterable[Env]:
        """Every way to read `w * value` as `weight * pattern`."""
        if not pattern.may(value):
            return ()
        if w == weight:
            return pattern.match(value, env)
        return pattern.fits(value, env, -1.0) if type(pattern) is Product else ()
