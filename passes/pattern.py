"""Patterns read like the mathematics they match.

    x = var("x")
    gelu = 0.5 * x * (1 + Erf(x / 2**0.5))

`+ - * / **` match modulo algebra: in any order and grouping, `Div` by a constant as `Mul` by its
reciprocal, `Sqrt` and `Reciprocal` as powers, and scalar constants gathered from wherever they
stand. `p | q` matches either, `p @ q` is MatMul. A pattern used twice must meet the same value
twice. Nothing in the graph is changed to match; a match is a way of reading it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeAlias

from graphwright.ir.graph import Node, Value
from graphwright.ir.types import TensorType
from graphwright.passes.readings import (
    PRODUCT_OPS,
    SUM_OPS,
    Part,
    Reading,
    products,
    sums,
    tops,
)

Env: TypeAlias = "dict[object, Any]"  # what each pattern met; copied to be extended, never changed
Memo: TypeAlias = "dict[Pattern, list[Value]]"
EPS = {"f16": 2.0**-10, "bf16": 2.0**-7, "f32": 2.0**-23, "f64": 2.0**-52}
UNITS = 4  # constants were rounded to the element type, once or twice
READERS = 16  # a value inside a match has no more; only what a match ends in may


class Pattern:
    """`match(value, env)` yields every way in which `value` fits: `env` extended by what was met.

    `anchors` are operators of which every match holds one, and `climb(node)` the values that may
    fit if `node` is that one. `depth` is how many operators stand one above the other, at most;
    `reach` how many nodes do, where the anchor is what a match ends in, else None.
    """

    anchors: frozenset[str] = frozenset()
    depth: int = 0
    reach: int | None = 0

    def match(self, value: Value | None, env: Env) -> Iterator[Env]:
        """Every way to read `value` as this pattern."""
        if self in env:
            if env[self] is value or _same_constant(env[self], value):
                yield env
        elif value is not None:
            for bound in self.fits(value, env):
                yield {**bound, self: value}

    def fits(self, value: Value, env: Env) -> Iterator[Env]:
        """As `match`, for a pattern that was not met yet."""
        raise NotImplementedError

    def climb(self, node: Node, memo: Memo) -> list[Value]:
        """Values that this may fit if `node` is the anchor, the nearest first."""
        return []

    def __or__(self, other: Pattern) -> Pattern:
        return Either(self, other)

    def __add__(self, other: Pattern | float) -> Pattern:
        return Sum(self, other)

    def __radd__(self, other: Pattern | float) -> Pattern:
        return Sum(other, self)

    def __sub__(self, other: Pattern) -> Pattern:
        return Sum(self, Product(-1.0, other))

    def __mul__(self, other: Pattern | float) -> Pattern:
        return Product(self, other)

    def __rmul__(self, other: Pattern | float) -> Pattern:
        return Product(other, self)

    def __truediv__(self, other: Pattern | float) -> Pattern:
        return Product(self, other**-1)

    def __rtruediv__(self, other: float) -> Pattern:
        return Product(other, self**-1)

    def __neg__(self) -> Pattern:
        return Product(-1.0, self)

    def __pow__(self, e: float) -> Pattern:
        return Product(*[self] * int(e)) if e in (2, 3) else Product(Power(self, e))

    def __matmul__(self, other: Pattern) -> Pattern:
        return application("MatMul")(self, other)


def _same_constant(a: Value, b: Value | None) -> bool:
    if a.const is None or b is None or b.const is None or a.const.type != b.const.type:
        return False
    return a.const.key() == b.const.key()


class Var(Pattern):
    """Any value, known to the rule as `m.<name>`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def fits(self, value: Value, env: Env) -> Iterator[Env]:
        """Any value does."""
        yield {**env, self.name: value}


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

    def fits(self, value: Value, env: Env) -> Iterator[Env]:
        """What fits an option does, the first option first."""
        for option in self.options:
            yield from option.match(value, env)

    def climb(self, node: Node, memo: Memo) -> list[Value]:
        """What any option may fit."""
        found = [v for p in self.options if node.op in p.anchors for v in p.climb(node, memo)]
        return list(dict.fromkeys(found))


class Power(Pattern):
    """`pattern ** exponent`, as a factor of a product."""

    def __init__(self, pattern: Pattern, exponent: float) -> None:
        self.pattern, self.exponent = pattern, exponent


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

    def fits(self, value: Value, env: Env, sign: float = 1.0) -> Iterator[Env]:
        """What can be read as these factors does; times `sign`, where it stands in a sum."""
        dtype = value.type.dtype if isinstance(value.type, TensorType) else ""
        if dtype not in EPS:
            return
        for found, parts in self.readings(value, len(self.terms)):
            if len(parts) != len(self.terms):
                continue
            rest = self.rest(found) * sign
            if self.scalar:
                if env.get(self.scalar, rest) == rest:
                    yield from self._assign(0, parts, {**env, self.scalar: rest})
            elif abs(rest - self.unit) <= UNITS * EPS[dtype] * self._size():
                yield from self._assign(0, parts, env)

    def _size(self) -> float:
        return 1.0

    def _assign(self, index: int, parts: tuple[Part, ...], env: Env) -> Iterator[Env]:
        if index == len(self.terms):
            yield env
            return
        pattern, weight = self.terms[index]
        for i, (value, w) in enumerate(parts):
            for bound in self.pair(pattern, weight, value, w, env):
                yield from self._assign(index + 1, parts[:i] + parts[i + 1 :], bound)

    def pair(
        self, pattern: Pattern, weight: float, value: Value, w: float, env: Env
    ) -> Iterator[Env]:
        """Every way to read `value ** w` as `pattern ** weight`."""
        return pattern.match(value, env) if w == weight else iter(())

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

    def rest(self, found: float) -> float:
        """What of the constant found is not in the pattern."""
        return found - self.const

    def _size(self) -> float:
        return max(1.0, abs(self.const))

    @staticmethod
    def term(p: Pattern) -> tuple[Pattern, float]:
        """A term and its sign."""
        if type(p) is Product and p.const < 0:
            plain = p.const == -1 and len(p.terms) == 1 and p.terms[0][1] == 1 and not p.scalar
            return (p.terms[0][0] if plain else Product(-1.0, p)), -1.0
        return p, 1.0

    def pair(
        self, pattern: Pattern, weight: float, value: Value, w: float, env: Env
    ) -> Iterator[Env]:
        """Every way to read `w * value` as `weight * pattern`."""
        if w == weight:
            return pattern.match(value, env)
        return pattern.fits(value, env, -1.0) if type(pattern) is Product else iter(())


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
