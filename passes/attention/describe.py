"""What is done to the scores of an attention between the contraction and the normalizer."""

from __future__ import annotations

from dataclasses import dataclass, field

from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import scalar
from graphwright.passes.attention.factors import Unprovable, View, broadcast_view
from graphwright.passes.attention.search import ScoreStep, Site
from graphwright.passes.attention.steps import shape

HIDDEN = -1000.0  # what is added to a score that is to count for nothing is at most this
LOOK = 48  # nodes looked at to tell a mask from a bias


@dataclass
class Program:
    """What happens to the scores, in the order in which it happens.

    `scale` is None where a factor is computed at run time. `masks` and `biases` are the tensors
    themselves; `boolean` says of each mask whether it chooses (Where) or is added, and `views`
    along which factors it lies, where that is proved.
    """

    scale: float | None = 1.0
    cap: float | None = None
    masks: list[Value] = field(default_factory=list)
    boolean: list[bool] = field(default_factory=list)
    views: list[View | None] = field(default_factory=list)
    biases: list[Value] = field(default_factory=list)
    sinks: bool = False
    fillers: list[float] = field(default_factory=list)


def program(site: Site) -> Program:
    """The steps of a site, read one after the other.

    Raises Unprovable for steps that no attention takes.
    """
    found = Program(site.scale * site.q.scale * site.k.scale)
    for step in site.steps:
        node, other = step.node, _other(step)
        if node.op in ("Mul", "Div"):
            _scaled(found, node, other)
        elif node.op == "Neg":
            _multiplied(found, -1.0)
        elif node.op == "Tanh":
            _bent(found)
        elif node.op == "Where":
            _chosen(found, step, other)
        elif node.op == "Concat":
            found.sinks = True
        elif node.op in ("Max", "Min"):
            _bounded(node, other)
        elif node.op in ("Add", "Sub") and other is not None and not _is_row_maximum(other):
            _added(found, step, other)
    return found


def _scaled(found: Program, node: Node, other: Value | None) -> None:
    by = scalar(other)
    if by is not None:
        _multiplied(found, 1 / by if node.op == "Div" and by else by)
    elif found.cap is None:
        found.scale = None
    else:
        raise Unprovable("what its capped scores are multiplied by is known only at run time")


def _multiplied(found: Program, by: float) -> None:
    """The scale and the cap when all is multiplied: `c*tanh(a*x)` caps `c*a*x` at `c`."""
    if found.scale is not None:
        found.scale *= by
    if found.cap is not None:
        found.cap *= by


def _bent(found: Program) -> None:
    if found.cap is not None or found.masks or found.biases:
        raise Unprovable("its soft cap bends more than the product of queries and keys")
    found.cap = 1.0


def _chosen(found: Program, step: ScoreStep, other: Value | None) -> None:
    filler = scalar(other)
    if filler is None and other is not None:
        filler = _most_negative(other)
    if filler is None or not filler <= HIDDEN:
        raise Unprovable("what it puts in the place of scores hides no keys")
    _masked(found, step, _condition(step.node), filler, boolean=True)


def _masked(found: Program, step: ScoreStep, mask: Value, filler: float, *, boolean: bool) -> None:
    found.masks.append(mask)
    found.boolean.append(boolean)
    try:
        view = broadcast_view(step.view, shape(step.node.outputs[0]), shape(mask))
    except Unprovable:
        view = None  # it is a mask all the same; only which of its axes is which is not known
    found.views.append(view)
    found.fillers.append(filler)


def _bounded(node: Node, other: Value | None) -> None:
    """Bounds that no score reaches do nothing: exporters keep infinities away with them."""
    bound = scalar(other)
    if bound is None or not (bound <= HIDDEN if node.op == "Max" else bound >= -HIDDEN):
        raise Unprovable("its scores are cut off at a bound that they may reach")


def _added(found: Program, step: ScoreStep, other: Value) -> None:
    filler = _most_negative(other)
    if filler is None:
        found.biases.append(other)
    else:
        _masked(found, step, other, filler, boolean=False)


def _other(step: ScoreStep) -> Value | None:
    """The input of a step that is not the scores; of Where, the other branch."""
    inputs = step.node.inputs
    if step.node.op == "Where":
        return inputs[2 if step.operand == 1 else 1]
    return inputs[1 - step.operand] if len(inputs) == 2 else None


def _condition(node: Node) -> Value:
    value = node.inputs[0]
    assert value is not None
    return value


def _is_row_maximum(value: Value) -> bool:
    """Whether a tensor has one number for each row of keys: softmax gives the same without it."""
    node = value.producer
    return node is not None and node.op == "ReduceMax" and shape(value)[-1:] == (1,)


def _most_negative(value: Value) -> float | None:
    """The number that hides keys where `value` is added; None if it holds no such number."""
    work, seen = [value], set[Value]()
    while work and len(seen) < LOOK:
        at = work.pop(0)
        if at in seen:
            continue
        seen.add(at)
        low = _lowest(at)
        if low is not None and low <= HIDDEN:
            return low
        if at.producer is not None:
            work += [v for v in at.producer.inputs if v is not None]
    return None


def _lowest(value: Value) -> float | None:
    if value.const is None or value.const.type.dtype not in ("f16", "bf16", "f32", "f64"):
        return None
    if (value.const.type.nbytes or 0) > 1 << 24:
        return None
    array = value.const.load()
    return float(array.min()) if array.size else None
