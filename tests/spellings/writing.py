"""Writes a formula as the ONNX nodes an exporter would leave, in one of many dresses.

A formula is a line of Python: ``d = x - mean(x); d / sqrt(mean(d * d) + 1e-5) * g + b``. Every
operator and call becomes one node, in the order it is read; what is written twice is computed
twice. A dress says what the formula does not: opset, element type, how constants and axes are
given. ``x`` and ``y`` are graph inputs, ``g`` and ``b`` stored parameters, ``N`` how many elements
the reductions go over and ``perN`` its inverse; ``up`` casts to float32 and ``down`` back again.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Dims = tuple[str | int, ...]

IR_VERSIONS = {9: 4, 11: 6, 13: 7, 14: 7, 17: 8, 18: 8, 20: 9, 23: 11}
AXES_AS_INPUT = {"ReduceSum": 13, "Unsqueeze": 13}  # all other reductions: since 18
BINARY = {ast.Add: "Add", ast.Sub: "Sub", ast.Mult: "Mul", ast.Div: "Div", ast.Pow: "Pow"}
UNARY = {
    "erf": "Erf",
    "tanh": "Tanh",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "abs": "Abs",
    "recip": "Reciprocal",
    "sigmoid": "Sigmoid",
}
REDUCTIONS = {
    "mean": "ReduceMean",
    "sum": "ReduceSum",
    "max": "ReduceMax",
    "min": "ReduceMin",
    "sumsq": "ReduceSumSquare",
    "norm": "ReduceL2",
    "lse": "ReduceLogSumExp",
}


@dataclass(frozen=True)
class Dress:
    """How a formula is written down."""

    opset: int = 17
    half: bool = False
    constants: str = "initializer"  # or "node"
    rank: int = 0  # of the numbers: 0, or 1 for shape [1]
    dims: Dims = ("B", "S", 8)
    axes: tuple[int, ...] = (2,)  # what reductions go over unless they say otherwise
    signs: str = "negative"  # of the axes: "positive", or "mixed" for turn by turn
    reduced: str = "kept"  # axes; "unsqueezed": dropped, then put back; "dropped": for good

    def __str__(self) -> str:
        kind = "f16" if self.half else "f32"
        dims = "x".join(map(str, self.dims))
        over = ",".join(map(str, self.axes))
        return (
            f"opset{self.opset} {kind} {dims} {self.constants}{self.rank} over {over} {self.signs}"
            f" {self.reduced}"
        )


@dataclass(frozen=True)
class Value:
    """A tensor of the graph being written: its name and its element type."""

    name: str
    kind: int


@dataclass
class Sheet:
    """One graph being written."""

    dress: Dress
    parameters: dict[str, np.ndarray]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    stored: list[onnx.TensorProto] = field(default_factory=list)
    known: dict[str, Value] = field(default_factory=dict)
    reductions: int = 0

    def __post_init__(self) -> None:
        self.kind = TensorProto.FLOAT16 if self.dress.half else TensorProto.FLOAT
        self.known |= {name: Value(name, self.kind) for name in ("x", "y")}

    def node(self, op: str, *inputs: str, **attributes: object) -> str:
        """Add one node and return its output."""
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], f"n{len(self.nodes)}"))
        made = (helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes[-1].attribute.extend(made)
        return output

    def constant(self, value: np.ndarray) -> str:
        """Store a tensor the way the dress says."""
        if self.dress.constants == "node":
            return self.node("Constant", value=numpy_helper.from_array(value))
        name = f"c{len(self.stored)}"
        self.stored.append(numpy_helper.from_array(value, name))
        return name

    def typed(self, value: np.ndarray | float, kind: int) -> Value:
        array = np.asarray(value, helper.tensor_dtype_to_np_dtype(kind))
        return Value(self.constant(array), kind)

    def leaf(self, tree: ast.expr, kind: int) -> Value | None:
        """The value of a number or a parameter, stored in the type of what it meets."""
        number = _number(tree)
        if isinstance(tree, ast.Name) and tree.id in ("N", "perN"):
            sizes = [self.dress.dims[axis] for axis in self.dress.axes]
            count = float(np.prod([int(size) for size in sizes]))
            number = count if tree.id == "N" else 1 / count
        if number is not None:
            return self.typed(np.full((1,) * self.dress.rank, number), kind)
        if isinstance(tree, ast.Name) and tree.id in self.parameters:
            return self.typed(self.parameters[tree.id], kind)
        return None

    def kind_of(self, tree: ast.expr) -> int | None:
        """The element type a subtree has by itself: None if it is of constants alone."""
        if isinstance(tree, ast.Name):
            found = self.known.get(tree.id)
            return found.kind if found else None
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
            if tree.func.id in ("up", "down"):
                return TensorProto.FLOAT if tree.func.id == "up" else self.kind
            return self.kind_of(tree.args[0])
        if isinstance(tree, ast.BinOp):
            return self.kind_of(tree.left) or self.kind_of(tree.right)
        return self.kind_of(tree.operand) if isinstance(tree, ast.UnaryOp) else None

    def write(self, tree: ast.expr, kind: int | None = None) -> Value:
        """Write one expression; constants alone take the type ``kind``."""
        kind = self.kind_of(tree) or kind or self.kind
        leaf = self.leaf(tree, kind)
        if leaf is not None:
            return leaf
        if isinstance(tree, ast.Name):
            return self.known[tree.id]
        if isinstance(tree, ast.BinOp):
            left, right = (self.write(side, kind).name for side in (tree.left, tree.right))
            return Value(self.node(BINARY[type(tree.op)], left, right), kind)
        if isinstance(tree, ast.UnaryOp):
            return Value(self.node("Neg", self.write(tree.operand, kind).name), kind)
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
            return self.call(tree.func.id, tree.args, kind)
        raise ValueError(f"no node is known for {ast.unparse(tree)}")

    def call(self, name: str, arguments: Sequence[ast.expr], kind: int) -> Value:
        """Write a call: a pointwise operator, a cast, a reduction or a LogSoftmax."""
        if name in ("up", "down"):
            inner = self.write(arguments[0])
            return Value(self.node("Cast", inner.name, to=kind), kind)
        inner = self.write(arguments[0], kind)
        if name in UNARY:
            return Value(self.node(UNARY[name], inner.name), kind)
        axes = tuple(int(ast.literal_eval(axis)) for axis in arguments[1:]) or self.dress.axes
        if name == "logsoftmax":
            return Value(self.node("LogSoftmax", inner.name, axis=self.signed(axes)[0]), kind)
        return Value(self.reduce(REDUCTIONS[name], inner.name, axes), kind)

    def signed(self, axes: tuple[int, ...]) -> list[int]:
        """Axes from the front or from the back, as the dress says."""
        self.reductions += 1
        turn = self.dress.signs == "mixed" and self.reductions % 2 == 0
        positive = self.dress.signs == "positive" or turn
        return [axis if positive else axis - len(self.dress.dims) for axis in axes]

    def reduce(self, op: str, value: str, axes: tuple[int, ...]) -> str:
        signed = self.signed(axes)
        reduced = self.over(op, value, signed, keepdims=int(self.dress.reduced == "kept"))
        if self.dress.reduced != "unsqueezed":
            return reduced
        return self.over("Unsqueeze", reduced, signed)

    def over(self, op: str, value: str, axes: list[int], **attributes: object) -> str:
        """A node whose axes are an attribute in old opsets and an input in newer ones."""
        if self.dress.opset < AXES_AS_INPUT.get(op, 18):
            return self.node(op, value, axes=axes, **attributes)
        return self.node(op, value, self.constant(np.array(axes, np.int64)), **attributes)


def _number(tree: ast.expr) -> float | None:
    """The value of a literal, with its sign."""
    if isinstance(tree, ast.Constant) and isinstance(tree.value, int | float):
        return float(tree.value)
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.operand, ast.Constant):
        inner = _number(tree.operand)
        return None if inner is None else -inner
    return None


def write(
    formula: str,
    dress: Dress,
    parameters: dict[str, np.ndarray] | None = None,
    also: Sequence[str] = (),
) -> onnx.ModelProto:
    """The formula as a model with the output ``out``, and ``also`` the named values as outputs."""
    sheet = Sheet(dress, parameters or {})
    for statement in ast.parse(formula).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            sheet.known[statement.targets[0].id] = sheet.write(statement.value)
        elif isinstance(statement, ast.Expr):
            result = sheet.write(statement.value)
    sheet.nodes[-1].output[0] = "out"
    shown = [Value("out", result.kind), *(sheet.known[name] for name in also)]
    outputs = [helper.make_tensor_value_info(v.name, v.kind, None) for v in shown]
    inputs = list(_inputs(formula, sheet))
    graph = helper.make_graph(sheet.nodes, "spelling", inputs, outputs, sheet.stored)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", dress.opset)])
    made.ir_version = IR_VERSIONS[dress.opset]
    _tell_shapes(made)
    return made


def _inputs(formula: str, sheet: Sheet) -> Iterator[onnx.ValueInfoProto]:
    used = {node.id for node in ast.walk(ast.parse(formula)) if isinstance(node, ast.Name)}
    for name in ("x", "y"):
        if name in used:
            yield helper.make_tensor_value_info(name, sheet.kind, sheet.dress.dims)


def _tell_shapes(model: onnx.ModelProto) -> None:
    """Complete the outputs: a model whose outputs have no shapes is not valid."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    for output, known in zip(model.graph.output, inferred.graph.output, strict=True):
        output.CopyFrom(known)
