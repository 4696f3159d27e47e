"""What becomes of the scores of a site, read exactly: anything that has no place is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import TypeAlias

from graphwright.ir.graph import Value
from graphwright.ir.ops import scalar
from graphwright.ir.types import FLOATS
from graphwright.passes.attention.factors import View, all_leaves, broadcast_view
from graphwright.passes.attention.search import ScoreStep, Site, is_nan_guard, step_forward
from graphwright.passes.attention.steps import axis_of, shape
from graphwright.passes.rule import need
from graphwright.passes.shapes import dtype_of

SHIFTED = "the greatest score of each row is taken off before what depends on the scores themselves"
LOWEST = -1e30  # no score is less than this, unless something hides it


@dataclass(frozen=True)
class Term:
    """A tensor that meets the scores, laid along their axes, and the scalar that multiplies it."""

    value: Value
    view: View
    factor: float = 1.0


@dataclass
class Formula:
    """softmax(mask(cap tanh(scale q.k / cap) + biases), sink), times `weights`.

    `factors` multiply (or divide, where so said) the scores before they are capped; of `masks`,
    those that say which keys count have True. `floor` is the least that a score may be; `shifted`
    says that the greatest score of each row was taken off, which only softmax itself does not see.
    """

    scale: float = 1.0
    cap: float = 0.0
    factors: list[tuple[Term, bool]] = field(default_factory=list)
    biases: list[Term] = field(default_factory=list)
    masks: list[tuple[Term, bool]] = field(default_factory=list)
    filler: float = -inf
    floor: float | None = None
    sink: Term | None = None
    guard: bool = False
    shifted: bool = False
    weights: list[Term] = field(default_factory=list)

    @property
    def terms(self) -> Iterable[Term]:
        """All tensors that meet the scores or the weights."""
        yield from (term for term, _ in (*self.factors, *self.masks))
        yield from (*self.biases, *self.weights, *([self.sink] if self.sink else []))


Reader: TypeAlias = Callable[[Formula, Site, ScoreStep], None]


def formula(site: Site, scale: float) -> Formula:
    """The formula of a site whose product of queries and keys `scale` multiplies already.

    Raises NoMatch with what cannot be said in it.
    """
    found = Formula(scale)
    for step in site.steps:
        READERS[step.node.op](found, site, step)
    _after(found, site)
    return found


def _beside(step: ScoreStep, operand: int) -> Term:
    """Another operand of a step, along the axes of what the step gives."""
    value = step.node.inputs[operand]
    assert value is not None
    return Term(value, broadcast_view(step.view, shape(step.node.outputs[0]), shape(value)))


def _multiplied(found: Formula, site: Site, step: ScoreStep) -> None:
    other, divides = _beside(step, 1 - step.operand), step.node.op == "Div"
    need(not found.sink and found.floor is None, "its scores are scaled after a sink or a limit")
    number = scalar(other.value)
    if number is None:
        need(
            not (found.cap or found.biases or found.masks), "its scores are scaled by a tensor late"
        )
        need(not all_leaves(other.view) & set(site.key), "its scale is another for each key")
        found.factors.append((other, divides))
        return
    plain = not (found.cap or found.biases or found.masks)
    need(number > 0 or plain, "its scores are multiplied by what is not positive")
    need(number or not divides, "its scores are divided by 0")
    by = 1 / number if divides else number
    found.scale *= by
    found.cap *= by
    found.filler *= by
    found.biases = [Term(b.value, b.view, b.factor * by) for b in found.biases]


def _negated(found: Formula, site: Site, step: ScoreStep) -> None:
    need(
        not (found.cap or found.biases or found.masks or found.sink), "its scores are negated late"
    )
    found.scale = -found.scale


def _capped(found: Formula, site: Site, step: ScoreStep) -> None:
    late = found.cap or found.biases or found.masks or found.sink or found.floor is not None
    need(not late, "tanh is taken of scores that are masked, or twice")
    need(not found.shifted, SHIFTED)
    found.cap = 1.0


def _added(found: Formula, site: Site, step: ScoreStep) -> None:
    other = _beside(step, 1 - step.operand)
    if step.node.op == "Sub":
        maximum = other.value.producer
        if maximum is not None and maximum.op == "ReduceMax":
            same = maximum.inputs[0] is step.node.inputs[0]
            if same and not all_leaves(other.view) & set(_row(step, site)):
                found.shifted = True
                return
    need(not found.sink, "something is added beside a sink")
    need(not found.masks or found.filler == -inf, "something is added to what was hidden")
    need(found.floor is None, "something is added after a limit")
    same_type = all(dtype_of(b.value) == dtype_of(other.value) for b in found.biases)
    need(same_type, "what is added to its scores is of different types")
    rounds = dtype_of(other.value) == "f16" and found.biases
    need(not rounds, "in half precision it matters in which order it is added up")
    sign = -1.0 if step.node.op == "Sub" else 1.0
    found.biases.append(Term(other.value, other.view, sign))


def _row(step: ScoreStep, site: Site) -> set[object]:
    return {*site.key, *all_leaves(step.view) - all_leaves(site.q.laid) - all_leaves(site.k.laid)}


def _hidden(found: Formula, site: Site, step: ScoreStep) -> None:
    need(not found.sink and found.floor is None, "its scores are masked after a sink or a limit")
    filler = scalar(step.node.inputs[2 if step.operand == 1 else 1])
    need(filler is not None, "what hides scores is no number")
    assert filler is not None
    need(not found.shifted or filler <= LOWEST, SHIFTED)
    need(not found.masks or filler == found.filler, "its masks put different numbers")
    found.filler = float(filler)
    found.masks.append((_beside(step, 0), step.operand == 1))


def _limited(found: Formula, site: Site, step: ScoreStep) -> None:
    least = scalar(step.node.inputs[1 - step.operand])
    need(step.node.op == "Max" and least is not None, "its scores are limited from above")
    assert least is not None
    lowest = -65504 if dtype_of(step.node.outputs[0]) == "f16" else LOWEST
    need(least <= lowest, "its scores are limited from below")
    need(not found.sink, "its scores are limited beside a sink")
    need(not found.shifted, SHIFTED)
    found.floor = least
    found.filler = max(found.filler, least)


def _joined(found: Formula, site: Site, step: ScoreStep) -> None:
    need(len(step.node.inputs) == 2 and not found.sink, "several columns stand beside its scores")
    need(not found.shifted, SHIFTED)
    other = step.node.inputs[1 - step.operand]
    dims = shape(other)
    axis = axis_of(step.node, len(dims))
    need(dims[axis] == 1, "what stands beside its scores is no one column")
    assert other is not None
    found.sink = Term(other, [[] if i == axis else v for i, v in enumerate(step.view)])


READERS: dict[str, Reader] = {
    "Mul": _multiplied,
    "Div": _multiplied,
    "Neg": _negated,
    "Tanh": _capped,
    "Add": _added,
    "Sub": _added,
    "Where": _hidden,
    "Max": _limited,
    "Min": _limited,
    "Concat": _joined,
}


def _after(found: Formula, site: Site) -> None:
    """Read what becomes of the weights before they meet the values."""
    value, view = site.softmax.outputs[0], site.probabilities
    for node in site.after:
        at = next(i for i, v in enumerate(node.inputs) if v is value)
        moved = step_forward(node, at, value, view)
        assert moved is not None, "it was followed here"
        if node.op == "Where":
            need(is_nan_guard(node, value), "its weights are chosen from")
            found.guard = True
        elif node.op == "Mul":
            other = node.inputs[1 - at]
            assert other is not None
            along = broadcast_view(view, shape(node.outputs[0]), shape(other))
            need(not all_leaves(along) & set(site.key), "its weights are multiplied key by key")
            found.weights.append(Term(other, along))
        value, view = node.outputs[0], moved


def precision_of(site: Site) -> str:
    """The type that the softmax works in, where that is not the type of the scores."""
    first, second = dtype_of(site.scores.outputs[0]), dtype_of(site.softmax.outputs[0])
    need(first in FLOATS and second in FLOATS, "its scores are no floats")
    return "" if first == second == dtype_of(site.values.outputs[0]) else second
