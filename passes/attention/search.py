"""From a normalizer back to the contraction that gives its scores, and forward to the values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphwright.ir.dims import Dim
from graphwright.ir.graph import Node, Value
from graphwright.ir.ops import contents_of, scalar
from graphwright.ir.types import FLOATS
from graphwright.passes.attention.bodies import Weighing
from graphwright.passes.attention.contractions import Contraction, contraction, operand_views
from graphwright.passes.attention.factors import (
    Factor,
    Unprovable,
    View,
    all_leaves,
    broadcast_view,
    leaves,
    new_axis,
    regroup,
    size,
)
from graphwright.passes.attention.steps import (
    REGROUPING,
    axis_of,
    numbers,
    shape,
    source,
    step_back,
)

BACK, FORWARD = 24, 16
POINTWISE = frozenset({"Add", "Mul", "Div", "Sub", "Where", "Tanh", "Neg", "Max", "Min"})


@dataclass(frozen=True)
class ScoreStep:
    """One operator between contraction and normalizer: which of its inputs the scores are."""

    node: Node
    operand: int
    view: View


@dataclass(frozen=True)
class Seen:
    """A tensor, which factors its axes are, and the scalar that multiplies it.

    `operand` is what the contraction reads of it, and `laid` which factors its axes are.
    """

    value: Value
    view: View
    scale: float
    operand: Value
    laid: View


@dataclass(frozen=True)
class Site:
    """An attention as it stands in the graph: its tensors, and all that is done to its scores."""

    weighing: Weighing
    scores: Node
    values: Node
    q: Seen
    k: Seen
    v: Seen
    steps: tuple[ScoreStep, ...]
    after: tuple[Node, ...]
    probabilities: View
    key: tuple[Factor, ...]
    scale: float
    result: View


@dataclass(frozen=True)
class Path:
    """A way back from the normalizer: the view there, the axis of the keys, the steps so far."""

    value: Value
    view: View
    key: list[Factor]
    steps: tuple[ScoreStep, ...] = ()

    def through(
        self, node: Node, operand: int, view: View, key: list[Factor] | None = None
    ) -> Path:
        """One operator farther back."""
        value = node.inputs[operand]
        assert value is not None
        step = ScoreStep(node, operand, self.view)
        return Path(value, view, self.key if key is None else key, (*self.steps, step))


def score_paths(path: Path) -> Iterator[tuple[Node, Path]]:
    """Every contraction that a tensor is computed of by steps that keep its elements apart."""
    node = path.value.producer
    if node is None or len(path.steps) > BACK or path.value is not node.outputs[0]:
        return
    if contracts(node):
        yield node, path
        return
    if node.op in POINTWISE:
        for i in _followed(node):
            try:
                narrow = broadcast_view(path.view, shape(path.value), shape(node.inputs[i]))
            except Unprovable:
                continue
            yield from score_paths(path.through(node, i, narrow))
        return
    if node.op == "Concat":
        yield from _beside_sinks(node, path)
        return
    try:
        value, view = step_back(path.value, path.view)
    except Unprovable:
        return
    if node.op == "Cast":
        yield from score_paths(path.through(node, 0, view))
    else:
        yield from score_paths(Path(value, view, path.key, path.steps))


def _followed(node: Node) -> Iterator[int]:
    """The inputs that scores may come in by: not a divisor, what is subtracted, or a condition."""
    for i, operand in enumerate(node.inputs):
        other = node.op in ("Div", "Sub") if i else node.op == "Where"
        if operand is not None and not other:
            yield i


def _beside_sinks(node: Node, path: Path) -> Iterator[tuple[Node, Path]]:
    """Scores with columns beside them that stand for no key: each part may be the keys."""
    axis = axis_of(node, len(path.view))
    whole = path.view[axis]
    if [*whole] != [*path.key] or len(whole) != 1 or whole[0].parts or whole[0].segment:
        return
    start: Dim = 0
    for i, operand in enumerate(node.inputs):
        dim = shape(operand)[axis]
        keys = new_axis(dim)
        whole[0].segment = (start, keys)
        yield from score_paths(
            path.through(node, i, [*path.view[:axis], keys, *path.view[axis + 1 :]], keys)
        )
        start = start + dim
    whole[0].segment = None


def contracts(node: Node) -> Contraction | None:
    """A node as a contraction; None where it is none, or its shapes are not known."""
    try:
        return contraction(node)
    except Unprovable:
        return None


def value_paths(
    value: Value, view: View, passed: tuple[Node, ...] = ()
) -> Iterator[tuple[Node, int, View, tuple[Node, ...]]]:
    """Every contraction that reads `value` through steps that keep its elements apart."""
    if len(passed) > FORWARD:
        return
    for use in value.uses:
        node, at = use
        if contracts(node) and at < 2:
            yield node, at, view, passed
            continue
        try:
            moved = step_forward(node, at, value, view)
        except Unprovable:
            continue
        if moved is not None:
            yield from value_paths(node.outputs[0], moved, (*passed, node))


def step_forward(node: Node, at: int, value: Value, view: View) -> View | None:
    """The view of what `node` makes of `value`, which is its input `at`; None if it computes."""
    if node.op.partition("@")[0] in ("Identity", "Dropout"):
        return view if at == 0 else None
    if node.op == "Cast":
        return view if node.attrs["to"] in FLOATS else None
    if node.op == "Transpose":
        return [view[at] for at in numbers(node, "perm")]
    if node.op in REGROUPING and at == 0:
        return regroup([f for axis in view for f in axis], shape(node.outputs[0]))
    if node.op == "Where" and at == 2 and is_nan_guard(node, value):
        return view
    if node.op == "Mul" and shape(node.outputs[0]) == shape(value):
        return view
    if node.op == "Slice" and at == 0:
        return _without_sink_column(node, view)
    return None


def _without_sink_column(node: Node, view: View) -> View | None:
    """The view without the columns that stood for no key, if that is what the Slice takes away."""
    have, want = shape(node.inputs[0]), shape(node.outputs[0])
    cut = [axis for axis, (a, b) in enumerate(zip(have, want, strict=True)) if a != b]
    if len(cut) != 1 or len(view[cut[0]]) != 1 or (segment := view[cut[0]][0].segment) is None:
        return None
    start, keys = segment
    starts = contents_of(node.inputs[1])
    if starts != (start,) or want[cut[0]] != size(keys):
        return None
    return [*view[: cut[0]], keys, *view[cut[0] + 1 :]]


def is_nan_guard(node: Node, value: Value) -> bool:
    """Whether the node is Where(IsNaN(value), 0, value), which makes dead rows 0."""
    test = node.inputs[0].producer if node.inputs[0] else None
    return (
        test is not None
        and test.op == "IsNaN"
        and test.inputs[0] is value
        and scalar(node.inputs[1]) == 0
    )


def axis_views(weighing: Weighing) -> tuple[View, list[Factor]]:
    """The view of scores, each axis a factor of its own, and the axis of the keys."""
    view: View = [new_axis(dim) for dim in shape(weighing.scores)]
    return view, view[weighing.axis]


def sites(weighing: Weighing) -> Iterator[Site]:
    """The attentions whose weights are made so."""
    scores, weights = weighing.scores, weighing.weights
    view, key = axis_views(weighing)
    for node, path in score_paths(Path(scores, view, key)):
        try:
            sides = keys_side(node, path)
        except Unprovable:
            continue
        if sides is None:
            continue
        q, k, by = sides
        for values, at, weights_view, passed in value_paths(weights, view):
            contracted = _values(values, at, weights_view, path.key)
            if contracted is not None:
                v, result = contracted
                yield Site(
                    weighing,
                    node,
                    values,
                    q,
                    k,
                    v,
                    tuple(reversed(path.steps)),
                    passed,
                    view,
                    tuple(leaves(path.key)),
                    by,
                    result,
                )


def keys_side(node: Node, path: Path) -> tuple[Seen, Seen, float] | None:
    """Queries and keys of a contraction, and its scale; None if keys are in both or neither.

    Raises Unprovable where sizes are not known to be equal.
    """
    found = contracts(node)
    assert found is not None
    a, b = operand_views(node, found, dict(zip(found.result, path.view, strict=True)))
    keys = set(leaves(path.key))
    in_a, in_b = keys & all_leaves(a), keys & all_leaves(b)
    if not keys or bool(in_a) == bool(in_b) or (in_a | in_b) != keys:
        return None
    sides = [_seen(node.inputs[0], a), _seen(node.inputs[1], b)]
    q, k = sides if in_b else sides[::-1]
    return q, k, found.scale


def _values(node: Node, at: int, weights: View, key: list[Factor]) -> tuple[Seen, View] | None:
    """What the weights are contracted with, if over the keys and nothing else, and the result."""
    found = contracts(node)
    assert found is not None
    try:
        known = dict(zip(found.operands[at], weights, strict=True))
        views = operand_views(node, found, known)
    except Unprovable:
        return None
    summed = [label for label in found.operands[at] if label not in found.result]
    if [f for label in summed for f in leaves(known[label])] != leaves(key):
        return None
    result = [list(known.get(label, [])) for label in found.result]
    return _seen(node.inputs[1 - at], views[1 - at]), result


def _seen(value: Value | None, view: View) -> Seen:
    assert value is not None
    return Seen(*source(value, view), value, view)
