"""Operators that work element by element, along one axis, or on sizes: how they treat axes."""

from __future__ import annotations

from graphwright.ir.graph import Node
from graphwright.ir.operators.operands import axes_of, axis_of
from graphwright.ir.ops import contents_of, scalar
from graphwright.passes.attention.factors import Unprovable, View, leaves, new_axis
from graphwright.passes.attention.steps import shape
from graphwright.passes.axes.working import How, Working, axes, meeting

ELEMENTWISE = frozenset(
    {"Sqrt", "Exp", "Log", "Sin", "Cos", "Tanh", "Erf", "Sigmoid", "Reciprocal", "Softplus"}
    | {"Gelu", "Swish", "Floor", "Ceil", "Round", "Neg", "Abs", "Sign", "Relu", "Identity"}
    | {"Cast", "Not", "IsNaN", "IsInf", "Elu", "Selu", "LeakyRelu", "HardSwish", "HardSigmoid"}
    | {"Add", "Sub", "Mul", "Div", "Pow", "Mod", "Max", "Min", "Sum", "Mean", "And", "Or", "Xor"}
    | {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Where", "Clip", "PRelu"}
    | {"com.microsoft::Gelu", "com.microsoft::FastGelu", "com.microsoft::QuickGelu"}
)


def elementwise(node: Node) -> Working:
    """Each element is made of those that stand at its place."""
    dims = shape(node.outputs[0])
    result = axes(node.outputs[0])
    found = Working([], [result])
    found.inputs = [meeting(found, result, dims, v) for v in node.inputs]
    return found


def dropout(node: Node) -> Working:
    """A Dropout that drops nothing gives its input, and a mask that is True."""
    if len(node.inputs) > 2 and scalar(node.inputs[2]) != 0:
        raise Unprovable("a Dropout that may drop at random")
    view = axes(node.inputs[0])
    return Working([view, *(None for _ in node.inputs[1:])], [view for _ in node.outputs])


def reduction(node: Node) -> Working:
    """A reduction over some axes, or all."""
    given = axes(node.inputs[0])
    if len(node.inputs) > 1:
        raise Unprovable("a reduction over axes that are computed")
    gone = axes_of(node.attrs["axes"], len(given)) if "axes" in node.attrs else range(len(given))
    return _reduced(node, given, tuple(gone), bool(node.attrs["keepdims"]))


def greatest(node: Node) -> Working:
    """ArgMax and ArgMin, over one axis."""
    given = axes(node.inputs[0])
    gone = axis_of(node.attrs.get("axis", 0), len(given))
    return _reduced(node, given, (gone,), bool(node.attrs.get("keepdims", 1)))


def _reduced(node: Node, given: View, gone: tuple[int, ...], keep: bool) -> Working:
    left = [[] if i in gone else axis for i, axis in enumerate(given) if keep or i not in gone]
    found = Working([given], [left])
    found.treats((f for i in gone for f in given[i]), How.REDUCES)
    return found


def along_axis(node: Node) -> Working:
    """Softmax, LogSoftmax and TopK: each row along the axis by itself."""
    given = axes(node.inputs[0])
    axis = axis_of(node.attrs.get("axis", -1), len(given))
    found = Working([given, *(None for _ in node.inputs[1:])], [])
    found.treats(given[axis], How.MIXES)
    for value in node.outputs:
        same = shape(value)[axis] == shape(node.inputs[0])[axis]
        along = given[axis] if same else new_axis(shape(value)[axis])
        found.treats(along, How.MIXES)
        found.outputs.append([*given[:axis], along, *given[axis + 1 :]])
    return found


def running_sum(node: Node) -> Working:
    """CumSum: each element is of those before it, unless it is added up from the end."""
    given, at = axes(node.inputs[0]), contents_of(node.inputs[1])
    if not isinstance(at, int):
        at = at[0] if isinstance(at, tuple) and len(at) == 1 else None
    axis = axis_of(at, len(given))
    found = Working([given, None], [given])
    found.treats(given[axis], How.MIXES if node.attrs.get("reverse") else How.CAUSAL)
    return found


def triangle(node: Node) -> Working:
    """Trilu: what stands at a place depends on row and column."""
    given = axes(node.inputs[0])
    found = Working([given, *(None for _ in node.inputs[1:])], [given])
    found.treats((f for axis in given[-2:] for f in axis), How.PLACES)
    return found


def normalization(node: Node) -> Working:
    """LayerNormalization and RMSNormalization, over the axes from one on."""
    given = axes(node.inputs[0])
    dims = shape(node.inputs[0])
    axis = axis_of(node.attrs.get("axis", -1), len(given))
    found = Working([given], [given])
    found.treats((f for each in given[axis:] for f in each), How.MIXES)
    found.inputs += [meeting(found, given, dims, v) for v in node.inputs[1:]]
    found.outputs += [[*given[:axis], *([] for _ in given[axis:])] for _ in node.outputs[1:]]
    return found


def batch_normalization(node: Node) -> Working:
    """With statistics that are given, each element by itself; they have an axis of channels."""
    if node.attrs.get("training_mode") or len(node.outputs) > 1 or len(node.inputs) != 5:
        raise Unprovable("a BatchNormalization that trains")
    given = axes(node.inputs[0])
    return Working([given, *([given[1]] for _ in node.inputs[1:])], [given])


def pooling(node: Node) -> Working:
    """Convolutions mix all but the batch, pools all but batch and channels."""
    given, result = axes(node.inputs[0]), axes(node.outputs[0])
    alike = 1 if node.op == "Conv" else 2
    result[:alike] = given[:alike]
    weights = [None if v is None else axes(v) for v in node.inputs[1:]]
    found = Working([given, *weights], [result, *(axes(v) for v in node.outputs[1:])])
    for view in found.views():
        known = view is given or view is result
        found.treats((f for axis in view[alike if known else 0 :] for f in axis), How.MIXES)
    return found


def rotary(node: Node) -> Working:
    """RotaryEmbedding turns pairs of channels; its tables go along with the other axes."""
    x = axes(node.inputs[0])
    dims = shape(node.inputs[0])
    found = Working([x], [x])
    found.treats(x[-1], How.MIXES)
    for table in node.inputs[1:]:
        channels = axes(table)[-1]
        found.treats(channels, How.MIXES)
        lead = meeting(found, [*x[:-1], channels], (*dims[:-1], shape(table)[-1]), table)
        found.inputs.append(lead)
    return found


def reads_sizes(node: Node) -> Working:
    """Shape, Size, Sizes and Range: a list whose elements say something of their places."""
    found = Working([None for _ in node.inputs], [axes(v) for v in node.outputs])
    for view in found.views():
        found.treats((f for axis in view for f in leaves(axis)), How.PLACES)
    return found


def filled(node: Node) -> Working:
    """ConstantOfShape is the same everywhere."""
    return Working([None for _ in node.inputs], [axes(node.outputs[0])])
