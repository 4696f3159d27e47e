"""Patterns read like the mathematics they match.

    x = var("x")
    gelu = 0.5 * x * (1 + Erf(x / 2**0.5))

`+ - * / **` match modulo algebra: in any order and grouping, `Div` by a constant as `Mul` by its
reciprocal, `Sqrt` and `Reciprocal` as powers, and scalar constants gathered from wherever they
stand. `p | q` matches either, `p @ q` is MatMul. A pattern used twice must meet the same value
twice. Nothing in the graph is changed to match; a match is a way of reading it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import scalar as number_in
from graphwright.ir.types import TensorType

Env: TypeAlias = "dict[object, Any]"  # what each pattern met; copied to be extended, never changed
EPS = {"f16": 2.0**-10, "bf16": 2.0**-7, "f32": 2.0**-23, "f64": 2.0**-52}
UNITS = 4  # constants were rounded to the element type, once or twice
PRODUCT_OPS = frozenset({"Mul", "Div", "Neg", "Pow", "Sqrt", "Reciprocal"})
SUM_OPS = frozenset({"Add", "Sub", "Neg"})


def number(value: Value | None, beside: Value | None = None) -> float | None:
    """The number in a constant of one element that does not raise the rank of what it meets."""
    found = number_in(value)
    if found is None or beside is None or value is None:
        return found
    rank = value.type.rank if isinstance(value.type, TensorType) else None
    room = beside.type.rank if isinstance(beside.type, TensorType) else None
    return found if not rank or (room is not None and rank <= room) else None


class Pattern:
    """`match(value, env)` yields every way in which `value` fits, as `env` extended by what was met."""

    def match(self, value: Value | None, env: Env) -> Iterator[Env]:
        """Every way to read `value` as this pattern."""
        if self in env:
            if env[self] is value:
                yield env
        elif value is not None:
            yield from self.fits(value, {**env, self: value})

    def fits(self, value: Value, env: Env) -> Iterator[Env]:
        """As `match`, for a pattern that was not met yet."""
        raise NotImplementedError

    def roots(self) -> frozenset[str]:
        """The operators that a match can end in."""
        raise TypeError(f"{type(self).__name__} cannot be a rule's pattern: it would match anywhere")

    def anchors(self) -> frozenset[str]:
        """Operators of which every match holds at least one; empty if it may hold none."""
        return frozenset()

    def inside(self) -> frozenset[str]:
        """All operators that a match may hold."""
        return frozenset()

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

    def __pow__(self, e: float) -> Pattern:
        return Product(*[self] * int(e)) if e in (2, 3) else Product(Power(self, e))

    def __matmul__(self, other: Pattern) -> Pattern:
        return Apply("MatMul", (self, other), {})


class Var(Pattern):
    """Any value, known to the rule as `m.<name>`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def fits(self, value: Value, env: Env) -> Iterator[Env]:
        """Any value does."""
        yield {**env, self.name: value}


class Scalar(Pattern):
    """The scalar constants of a product (or sum), known as the float `m.<name>`; 1 (or 0) if none."""

    def __init__(self, name: str) -> None:
        self.name = name


class AnyNode(Pattern):
    """The output of any operator, or of one of those named, where `when(node)` holds."""

    def __init__(self, *ops: str, when: Callable[[Node], bool] | None = None) -> None:
        self.ops, self.when = frozenset(ops or "*"), when

    def roots(self) -> frozenset[str]:
        """Every operator, as `*`, or those named."""
        return self.ops

    def fits(self, value: Value, env: Env) -> Iterator[Env]:
        """What some node gives does, if it passes the test."""
        if value.producer is not None and (self.when is None or self.when(value.producer)):
            yield env


class Apply(Pattern):
    """An application of operator `op`. An attribute given as a string binds it: `axes="axes"`
    matches anything the first time and the same thing after that; a function tests it.
    """

    def __init__(self, op: str, args: Sequence[Pattern | float], attrs: Mapping[str, object]) -> None:
        self.op, self.attrs = op, attrs
        self.args = tuple(a if isinstance(a, Pattern) else Sum(a) for a in args)

    def roots(self) -> frozenset[str]:
        """The operator itself."""
        return frozenset({self.op})

    anchors = roots

    def inside(self) -> frozenset[str]:
        """The operator, and what its arguments hold."""
        return frozenset({self.op}).union(*(a.inside() for a in self.args))

    def fits(self, value: Value, env: Env) -> Iterator[Env]:
        """A node of that operator with those attributes does, if its inputs fit."""
        node = value.producer
        if node is None or node.op != self.op or node.outputs[0] is not value:
            return
        inputs = node.inputs
        if len(inputs) != len(self.args) and any(v is not None for v in inputs[len(self.args) :]):
            return
        for key, want in self.attrs.items():
            have = node.attrs.get(key)
            if isinstance(want, str) and want.startswith("="):
                if have != want[1:]:
                    return
            elif isinstance(want, str):
                if env.setdefault(want, have) != have:
                    return
            elif not (want(have) if callable(want) else want == have):
                return
        yield from _all(self.args, inputs, env)


class Either(Pattern):
    """`a | b`: either; the variables of the other are None."""

    def __init__(self, *options: Pattern) -> None:
        self.options = tuple(
            p for o in options for p in (o.options if isinstance(o, Either) else (o,))
        )

    def roots(self) -> frozenset[str]:
        """Those of all options."""
        return frozenset().union(*(o.roots() for o in self.options))

    def anchors(self) -> frozenset[str]:
        """Those of all options, if each has some."""
        each = [o.anchors() for o in self.options]
        return frozenset().union(*each) if all(each) else frozenset()

    def inside(self) -> frozenset[str]:
        """Those of all options."""
        return frozenset().union(*(o.inside() for o in self.options))

    def fits(self, value: Value, env: Env) -> Iterator[Env]:
        """What fits an option does, the first option first."""
        for option in self.options:
            yield from option.match(value, env)


class Power(Pattern):
    """`base ** exponent`, as a factor of a product."""

    def __init__(self, base: Pattern, exponent: float) -> None:
        self.base, self.exponent = base, exponent


Term: TypeAlias = "tuple[Pattern, float]"
Found: TypeAlias = "tuple[float, list[tuple[Value, float]]]"


class Product(Pattern):
    """Factors in any order and grouping, times a constant."""

    unit = 1.0
    ops = PRODUCT_OPS

    def __init__(self, *args: Pattern | float) -> None:
        self.const, self.terms, self.scalar = self.unit, list[Term](), None
        for arg in args:
            self._take(arg)
        anchored = [a for p, _ in self.terms if (a := p.anchors())]
        self._anchors = min(anchored, key=len, default=frozenset())

    def _take(self, arg: Pattern | float) -> None:
        if type(arg) is type(self):  # flatten, so that grouping does not matter
            self.const = self.join(self.const, arg.const)
            self.terms += arg.terms
            self.scalar = self.scalar or arg.scalar
        elif isinstance(arg, Scalar):
            self.scalar: Scalar | None = arg
        elif isinstance(arg, Pattern):
            self.terms.append(self.term(arg))
        else:
            self.const = self.join(self.const, float(arg))

    def roots(self) -> frozenset[str]:
        """The operators of algebra that a product may end in."""
        return self.ops

    def anchors(self) -> frozenset[str]:
        """Those of the factor that has the fewest."""
        return self._anchors

    def inside(self) -> frozenset[str]:
        """Those of the factors, and those that join them."""
        return self.ops.union(*(p.inside() for p, _ in self.terms))

    @staticmethod
    def join(a: float, b: float) -> float:
        """Two constants as one."""
        return a * b

    @staticmethod
    def term(p: Pattern) -> Term:
        """A factor and its exponent."""
        return (p.base, p.exponent) if isinstance(p, Power) else (p, 1)

    def rest(self, found: float) -> float:
        """What of the constant found is not in the pattern."""
        return found / self.const

    def fits(self, value: Value, env: Env) -> Iterator[Env]:
        """What can be read as these factors does."""
        eps = UNITS * EPS.get(value.type.dtype if isinstance(value.type, TensorType) else "", 0.0)
        for found, terms in self.readings(value, 1, len(self.terms)):
            if len(terms) != len(self.terms):
                continue
            rest = self.rest(found)
            if self.scalar is not None:
                yield from self._assign(self.terms, terms, {**env, self.scalar.name: rest})
            elif abs(rest - self.unit) <= eps * max(1.0, abs(self.const) if self.unit == 0 else 1.0):
                yield from self._assign(self.terms, terms, env)

    def _assign(self, wanted: list[Term], found: list[tuple[Value, float]], env: Env) -> Iterator[Env]:
        if not wanted:
            yield env
            return
        (pattern, weight), *others = wanted
        for i, (value, w) in enumerate(found):
            if w == weight:
                for bound in pattern.match(value, env):
                    yield from self._assign(others, found[:i] + found[i + 1 :], bound)

    @classmethod
    def readings(cls, value: Value, e: float, room: int) -> Iterator[Found]:
        """Every way to read `value ** e` as a constant and at most `room` factors with exponents."""
        constant = number(value)
        if constant is not None:
            if (constant or e > 0) and not (constant < 0 and e != int(e)):
                yield constant**e, []
            return
        node = value.producer
        if node is not None and node.op in PRODUCT_OPS:
            yield from cls._opened(node, value, e, room)
        if room:
            yield 1.0, [(value, e)]

    @classmethod
    def _opened(cls, node: Node, value: Value, e: float, room: int) -> Iterator[Found]:
        a, b = (*node.inputs, None)[:2]
        if a is None:
            return
        match node.op:
            case "Mul" if b is not None:
                yield from cls._both((a, e), (b, e), room, value)
            case "Div" if b is not None:
                yield from cls._both((a, e), (b, -e), room, value)
            case "Neg" if e == 1:
                yield from ((-c, f) for c, f in cls.readings(a, e, room))
            case "Reciprocal":
                yield from cls.readings(a, -e, room)
            case "Sqrt" if room:
                yield 1.0, [(a, e / 2)]
            case "Pow" if (p := number(b, a)) is not None and room:
                yield 1.0, ([(a, e)] * int(p) if p in (2, 3) and p <= room else [(a, e * p)])

    @classmethod
    def _both(
        cls, left: tuple[Value, float], right: tuple[Value, float], room: int, whole: Value
    ) -> Iterator[Found]:
        for (a, _), (b, _) in ((left, right), (right, left)):
            if a.const is not None and number(a) is not None and number(a, b) is None:
                return  # a constant of higher rank than its partner is not a number
        for ca, fa in cls.readings(*left, room):
            for cb, fb in cls.readings(*right, room - len(fa)):
                yield cls.join(ca, cb), fa + fb


class Sum(Product):
    """Terms in any order and grouping, plus a constant; each term has the sign +1 or -1."""

    unit = 0.0
    ops = SUM_OPS

    @staticmethod
    def join(a: float, b: float) -> float:
        """Two constants as one."""
        return a + b

    def rest(self, found: float) -> float:
        """What of the constant found is not in the pattern."""
        return found - self.const

    @staticmethod
    def term(p: Pattern) -> Term:
        """A term and its sign."""
        if type(p) is Product and p.const < 0 and p.scalar is None:
            factors = [Power(base, e) if e != 1 else base for base, e in p.terms]
            plain = p.const == -1 and len(factors) == 1 and not isinstance(factors[0], Power)
            return (factors[0] if plain else Product(-p.const, *factors)), -1
        return p, 1

    @classmethod
    def readings(cls, value: Value, e: float, room: int) -> Iterator[Found]:
        """Every way to read `value` with sign `e` as a constant and at most `room` signed terms."""
        constant = number(value)
        if constant is not None:
            yield e * constant, []
            return
        node = value.producer
        a, b = (*node.inputs, None, None)[:2] if node is not None else (None, None)
        if node is not None and a is not None and node.outputs[0] is value:
            if node.op == "Add" and b is not None:
                yield from cls._both((a, e), (b, e), room, value)
            elif node.op == "Sub" and b is not None:
                yield from cls._both((a, e), (b, -e), room, value)
            elif node.op == "Neg":
                yield from cls.readings(a, -e, room)
        if room:
            yield 0.0, [(value, e)]


def _all(patterns: Sequence[Pattern], values: Sequence[Value | None], env: Env) -> Iterator[Env]:
    """Every way to match each pattern with its value."""
    if not patterns:
        yield env
        return
    for bound in patterns[0].match(values[0] if values else None, env):
        yield from _all(patterns[1:], values[1:], bound)


def var(name: str) -> Pattern:
    """Any value, known to the rule as `m.<name>`."""
    return Var(name)


def scalar(name: str) -> Pattern:
    """The scalar constants of a product or sum, known to the rule as the float `m.<name>`."""
    return Scalar(name)


def any_node(*ops: str, when: Callable[[Node], bool] | None = None) -> Pattern:
    """The output of any operator, or of one of `ops`, where `when(node)`, a quick test, holds."""
    return AnyNode(*ops, when=when)


def __getattr__(op: str) -> Callable[..., Pattern]:
    """Any operator's name makes its pattern: `from graphwright.passes.pattern import Erf`."""
    if not op[:1].isupper():
        raise AttributeError(op)
    return lambda *args, **attrs: Apply(op, args, attrs)
