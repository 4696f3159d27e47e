"""What becomes of the scores of a site, read step by step, and what of it has no place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import inf
from typing import TypeAlias

from graphwright.ir.dims import Dim
from graphwright.ir.graph import Value
from graphwright.ir.ops import scalar
from graphwright.ir.types import FLOATS, WIDTHS
from graphwright.passes.attention.factors import Unprovable, View, all_leaves, broadcast_view
from graphwright.passes.attention.search import ScoreStep, Site, is_nan_guard, step_forward
from graphwright.passes.attention.steps import axis_of, shape
from graphwright.passes.hiding import HIDDEN, buries, most_negative
from graphwright.passes.rule import NoMatch, need
from graphwright.passes.shapes import dtype_of

SHIFTED = "the greatest score of each row is taken off before what depends on the scores themselves"


@dataclass(frozen=True)
class Term:
    """A tensor that meets the scores, laid along their axes, and the scalar that multiplies it.

    Where it is not proved whether it is repeated along an axis, `wide` is the shape it is to get.
    """

    value: Value
    view: View
    factor: float = 1.0
    wide: tuple[Dim, ...] | None = None


@dataclass
class Formula:
    """softmax(mask(cap tanh(scale q.k / cap) + biases), sink), times `weights`.

    `factors` multiply (or divide, where so said) the scores before they are capped; of `masks`,
    those that say which keys count have True. `floor` is the least that a score may be; `shifted`
    says that the greatest score of each row was taken off, which only softmax itself does not see.
    `left` says what has no place in it, where something has none: then it describes, no more.
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
    left: str | None = None

    @property
    def terms(self) -> Iterable[Term]:
        """All tensors that meet the scores or the weights."""
        yield from (term for term, _ in (*self.factors, *self.masks))
        yield from (*self.biases, *self.weights, *([self.sink] if self.sink else []))


Reader: TypeAlias = Callable[[Formula, Site, ScoreStep], None]


def formula(site: Site, scale: float) -> Formula:
    """The formula of a site whose product of queries and keys `scale` multiplies already.

    Raises Unprovable for steps that no attention takes. Each reader notes what a step does, and
    then refuses what has no place.
    """
    found = Formula(scale)
    for step in site.steps:
        try:
            READERS[step.node.op](found, site, step)
        except Unprovable:
            raise
        except NoMatch as reason:
            found.left = found.left or str(reason)
    try:
        _after(found, site)
        _rounded(site)
    except NoMatch as reason:
        found.left = found.left or str(reason)
    return found


def _beside(step: ScoreStep, operand: int) -> Term:
    """Another operand of a step, along the axes of what the step gives."""
    value = step.node.inputs[operand]
    assert value is not None
    have, whole = shape(value), shape(step.node.outputs[0])
    # An axis is that of the result or is repeated along it, since they broadcast.
    wide = tuple(
        h if h == 1 else w for h, w in zip(have, whole[len(whole) - len(have) :], strict=True)
    )
    view = broadcast_view(step.view, whole, wide)
    return Term(value, view, wide=None if wide == have else wide)


def _multiplied(found: Formula, site: Site, step: ScoreStep) -> None:
    other, divides = _beside(step, 1 - step.operand), step.node.op == "Div"
    number = scalar(other.value)
    late = found.cap or found.biases or found.masks
    if number is None:
        if found.cap:
            raise Unprovable("what its capped scores are multiplied by is known only at run time")
        found.factors.append((other, divides))
        need(not late, "its scores are scaled by a tensor late")
        need(not all_leaves(other.view) & set(site.key), "its scale is another for each key")
        return
    need(number or not divides, "its scores are divided by 0")
    by = 1 / number if divides else number
    found.scale *= by
    found.cap *= by
    found.filler *= by
    found.biases = [replace(b, factor=b.factor * by) for b in found.biases]
    need(not found.sink and found.floor is None, "its scores are scaled after a sink or a limit")
    need(number > 0 or not late, "its scores are multiplied by what is not positive")


def _negated(found: Formula, site: Site, step: ScoreStep) -> None:
    late = found.cap or found.biases or found.masks or found.sink
    found.scale = -found.scale
    need(not late, "its scores are negated late")


def _capped(found: Formula, site: Site, step: ScoreStep) -> None:
    if found.cap or found.biases or found.masks or found.sink or found.floor is not None:
        raise Unprovable("its soft cap bends more than the product of queries and keys")
    found.cap = 1.0
    need(not found.shifted, SHIFTED)


def _added(found: Formula, site: Site, step: ScoreStep) -> None:
    other = _beside(step, 1 - step.operand)
    if step.node.op == "Sub" and _is_shift(other, site, step):
        found.shifted = True
        return
    before, sign = list(found.biases), -1.0 if step.node.op == "Sub" else 1.0
    found.biases.append(replace(other, factor=sign))
    need(not found.sink, "something is added beside a sink")
    need(not found.masks or found.filler == -inf, "something is added to what was hidden")
    need(found.floor is None, "something is added after a limit")
    same_type = all(dtype_of(b.value) == dtype_of(other.value) for b in before)
    need(same_type, "what is added to its scores is of different types")
    rounds = dtype_of(other.value) == "f16" and before
    need(not rounds, "in half precision it matters in which order it is added up")


def _is_shift(other: Term, site: Site, step: ScoreStep) -> bool:
    """Whether the greatest score of each row is taken off, which softmax does not see."""
    maximum = other.value.producer
    if maximum is None or maximum.op != "ReduceMax" or other.wide:
        return False
    beside = all_leaves(step.view) - all_leaves(site.q.laid) - all_leaves(site.k.laid)
    row = {*site.key, *beside}
    return maximum.inputs[0] is step.node.inputs[0] and not all_leaves(other.view) & row


def _hidden(found: Formula, site: Site, step: ScoreStep) -> None:
    other = step.node.inputs[2 if step.operand == 1 else 1]
    number = scalar(other)
    filler = most_negative(other) if number is None and other is not None else number
    if filler is None or not filler <= HIDDEN:
        raise Unprovable("what it puts in the place of scores hides no keys")
    hidden_before, found.filler = found.filler if found.masks else None, float(filler)
    mask = _beside(step, 0)
    found.masks.append((mask, step.operand == 1))
    need(number is not None, "what hides scores is no number")
    need(not found.sink and found.floor is None, "its scores are masked after a sink or a limit")
    need(not found.shifted or buries(filler, dtype_of(step.node.outputs[0])), SHIFTED)
    need(hidden_before in (None, found.filler), "its masks put different numbers")


def _limited(found: Formula, site: Site, step: ScoreStep) -> None:
    """Bounds that no score reaches do nothing: exporters keep infinities away with them."""
    bound, above = scalar(step.node.inputs[1 - step.operand]), step.node.op == "Min"
    if bound is None or not (bound >= -HIDDEN if above else bound <= HIDDEN):
        raise Unprovable("its scores are cut off at a bound that they may reach")
    need(not above, "its scores are limited from above")
    need(buries(bound, dtype_of(step.node.outputs[0])), "its scores are limited from below")
    need(not found.sink, "its scores are limited beside a sink")
    need(not found.shifted, SHIFTED)
    found.floor = bound
    found.filler = max(found.filler, bound)


def _joined(found: Formula, site: Site, step: ScoreStep) -> None:
    other, before = step.node.inputs[1 - step.operand], found.sink
    assert other is not None
    axis = axis_of(step.node, len(shape(other)))
    found.sink = Term(other, [[] if i == axis else v for i, v in enumerate(step.view)])
    need(len(step.node.inputs) == 2 and not before, "several columns stand beside its scores")
    need(not found.shifted, SHIFTED)
    need(shape(other)[axis] == 1, "what stands beside its scores is no one column")


def _cast(found: Formula, site: Site, step: ScoreStep) -> None:
    """Read by `_rounded`, with the casts of the weights."""


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
    "Cast": _cast,
}


def _after(found: Formula, site: Site) -> None:
    """Read what becomes of the weights before they meet the values."""
    value, view = site.weighing.weights, site.probabilities
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
            found.weights.append(Term(other, along))
            need(not all_leaves(along) & set(site.key), "its weights are multiplied key by key")
        value, view = node.outputs[0], moved


def _rounded(site: Site) -> None:
    """Refuse casts to a narrower type and on to another: one type has a place, and no more."""
    casts = [step.node for step in site.steps if step.node.op == "Cast"]
    for path, what in ((casts, "scores"), (site.after, "weights")):
        kinds = [(dtype_of(n.inputs[0]), dtype_of(n.outputs[0])) for n in path if n.op == "Cast"]
        kinds = [(before, after) for before, after in kinds if before != after]
        narrow = [after for before, after in kinds if WIDTHS[after] <= WIDTHS[before]]
        need(len(kinds) < 2 or not narrow, f"its {what} are cast to {''.join(narrow[:1])} and on")


def precision_of(site: Site) -> str:
    """The type that the normalizer is given scores in, where not all is of that type."""
    given, weights = dtype_of(site.weighing.scores), dtype_of(site.weighing.weights)
    kinds = {given, weights, dtype_of(site.scores.outputs[0]), dtype_of(site.values.outputs[0])}
    need(kinds <= FLOATS, "its scores are no floats")
    return given if len(kinds) > 1 else ""
