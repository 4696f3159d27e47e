"""Writes ONNX nodes whose tensors know which letters their axes are made of.

A letter is one size: b batch, w windows, h heads of keys, g queries' heads that share one, s
queries, t keys, p keys of the cache, u new keys, d width, e width of values, m width of the model,
n the three packed tensors, c all that is packed. An axis "hg" is heads and groups in one, the
heads slower; "1" has one element.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.attention_shapes.form import Form

Axes = tuple[str, ...]
Size = int | str
CONTRIB = "com.microsoft"
LOWEST = {"f32": float(np.finfo(np.float32).min), "f16": -65504.0}
IR_VERSIONS = {13: 7, 17: 8, 18: 8, 20: 9}


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph being written."""

    name: str
    axes: Axes

    def at(self, axis: str) -> int:
        return self.axes.index(axis)


def relabelled(tensor: Tensor, old: str, new: str) -> Tensor:
    """The same tensor, an axis of which is called otherwise."""
    return Tensor(tensor.name, tuple(new if axis == old else axis for axis in tensor.axes))


class Sheet:
    """One graph being written. `drawn` are the parameters by name, `given` the axes of inputs."""

    def __init__(self, form: Form, sizes: Mapping[str, Size], seed: int = 0) -> None:
        self.form = form
        self.sizes = dict(sizes)
        self.opset = int(form.opset)
        self.float = np.float16 if form.kind == "f16" else np.float32
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.told: list[onnx.ValueInfoProto] = []
        self.given: dict[str, Axes] = {}
        self.drawn: dict[str, np.ndarray] = {}
        self.rng = np.random.default_rng(seed)
        self._places: dict[str, tuple[str, int]] = {}
        self._lengths: dict[str, str] = {}

    # Nodes.

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: object) -> str:
        """Add one node and give its output."""
        output = f"t{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(op, inputs, [output], f"n{len(self.nodes)}", domain=domain or None)
        )
        made = (helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes[-1].attribute.extend(made)
        return output

    def make(self, op: str, axes: Sequence[str], *inputs: str, **attributes: object) -> Tensor:
        return self.known(self.node(op, *inputs, **attributes), axes)

    def contrib(self, op: str, axes: Sequence[str], *inputs: str, **attributes: object) -> Tensor:
        """An operator of ONNX Runtime's own, with the type that ONNX Runtime writes of it."""
        made = self.known(self.node(op, *inputs, domain=CONTRIB, **attributes), axes)
        dims = [self.size(axis) or self.symbol(axis) for axis in axes]
        self.told.append(helper.make_tensor_value_info(made.name, TensorProto.FLOAT, dims))
        return made

    def nodes_of(self, op: str, count: int, *inputs: str, **attributes: object) -> list[str]:
        """Add one node of several outputs."""
        first = self.node(op, *inputs, **attributes)
        more = [f"{first}_{i}" for i in range(1, count)]
        self.nodes[-1].output.extend(more)
        return [first, *more]

    def known(self, name: str, axes: Sequence[str]) -> Tensor:
        """A tensor, noted as a place where the sizes of its axes can be read."""
        for at, axis in enumerate(axes):
            self._places.setdefault(self._called(axis), (name, at))
        return Tensor(name, tuple(axes))

    # Constants, inputs and parameters.

    def constant(self, value: object, dtype: type = np.int64) -> str:
        """Store a tensor the way the form says."""
        array = np.asarray(value, dtype)
        if self.form.constants == "node":
            return self.node("Constant", value=numpy_helper.from_array(array))
        name = f"c{len(self.stored)}"
        self.stored.append(numpy_helper.from_array(array, name))
        return name

    def number(self, value: float) -> str:
        return self.constant(value, self.float)

    def given_input(self, name: str, axes: Sequence[str], dtype: int | None = None) -> Tensor:
        """An input of the graph."""
        kind = TensorProto.FLOAT16 if self.form.kind == "f16" else TensorProto.FLOAT
        dims = [self.size(axis) or self.symbol(axis) for axis in axes]
        self.inputs.append(helper.make_tensor_value_info(name, dtype or kind, dims))
        self.given[name] = tuple(axes)
        return self.known(name, axes)

    def parameter(self, name: str, axes: Sequence[str], spread: float = 1.0) -> Tensor:
        """A stored tensor of made numbers."""
        shape = [self.size(axis) or 1 for axis in axes]
        array = (self.rng.normal(size=shape) * spread).astype(self.float)
        self.drawn[name] = array
        return Tensor(self.constant(array, self.float), tuple(axes))

    # Sizes.

    def size(self, axis: str) -> int | None:
        """How long an axis is; None if that is known only at run time."""
        if axis == "1":
            return 1
        sizes = [self.sizes[letter] for letter in axis]
        numbers = [size for size in sizes if isinstance(size, int)]
        return math.prod(numbers) if len(numbers) == len(sizes) else None

    def symbol(self, axis: str) -> str:
        """The name of an axis whose length is known only at run time."""
        return " * ".join(str(self.sizes[letter]) for letter in axis)

    def _called(self, axis: str) -> str:
        """What an axis is looked up by: its size, which several letters may share."""
        return str(self.sizes.get(axis, axis))

    def length(self, axis: str) -> str:
        """The length of an axis as a scalar of the graph."""
        size, called = self.size(axis), self._called(axis)
        computed = self.form.reshapes == "computed" and called in self._places
        if size is not None and not computed:
            return self.constant(size)
        if called not in self._lengths:
            whole = called not in self._places and axis == "b"
            name, at = self._places["bw" if whole else called]
            shape = self.node("Shape", name)
            found = self.node("Gather", shape, self.constant(at), axis=0)
            if whole:  # of windows only the product with the batch is an axis
                found = self.node("Div", found, self.constant(self.size("w")))
            self._lengths[called] = found
        return self._lengths[called]

    def shape(self, axes: Sequence[str]) -> str:
        """A shape, computed where it is not known."""
        if self.form.reshapes != "computed" and all(self.size(axis) for axis in axes):
            return self.constant([self.size(axis) or 0 for axis in axes])
        parts = [
            self.constant([size])
            if (size := self.size(axis)) is not None
            else self.node("Unsqueeze", self._product(axis), self.constant([0]))
            for axis in axes
        ]
        return self.node("Concat", *parts, axis=0)

    def _product(self, axis: str) -> str:
        if len(axis) > 1 and axis in self._places:
            return self.length(axis)
        first, *others = (self.length(letter) for letter in axis)
        for other in others:
            first = self.node("Mul", first, other)
        return first

    # Layout.

    def transpose(self, tensor: Tensor, axes: Sequence[str]) -> Tensor:
        """The axes in another order; no node where they are in it already."""
        if tuple(axes) == tensor.axes:
            return tensor
        perm = [tensor.at(axis) for axis in axes]
        return self.make("Transpose", axes, tensor.name, perm=perm)

    def reshape(self, tensor: Tensor, axes: Sequence[str]) -> Tensor:
        """The elements in the same order, the axes cut otherwise."""
        if tuple(axes) == tensor.axes:
            return tensor
        return self.make("Reshape", axes, tensor.name, self._target(tensor, axes))

    def _target(self, tensor: Tensor, axes: Sequence[str]) -> str:
        copied = list(zip(tensor.axes, axes, strict=False))
        zeros = self.form.reshapes == "zeros"
        target = [
            0 if zeros and i < len(copied) and copied[i][0] == axis else self.size(axis)
            for i, axis in enumerate(axes)
        ]
        unknown = [i for i, size in enumerate(target) if size is None]
        if self.form.reshapes == "computed" or len(unknown) > 1:
            return self.shape(axes)
        return self.constant([-1 if size is None else size for size in target])

    def unsqueeze(self, tensor: Tensor, at: int) -> Tensor:
        """An axis of one element more."""
        axes = (*tensor.axes[:at], "1", *tensor.axes[at:])
        return self.make("Unsqueeze", axes, tensor.name, self.constant([at]))

    def cast(self, tensor: Tensor, to: int) -> Tensor:
        return self.make("Cast", tensor.axes, tensor.name, to=to)

    def einsum(self, a: Tensor, b: Tensor, axes: Sequence[str]) -> Tensor:
        """A contraction of two tensors, each axis a letter of its own."""
        letters: dict[str, str] = {}
        for axis in (*a.axes, *b.axes):
            letters.setdefault(axis, chr(ord("a") + len(letters)))
        left, right, result = ("".join(letters[x] for x in each) for each in (a.axes, b.axes, axes))
        return self.make("Einsum", axes, a.name, b.name, equation=f"{left},{right}->{result}")

    # The whole.

    def model(self, result: Tensor, also: Sequence[Tensor] = ()) -> onnx.ModelProto:
        """The graph as a model with the output "out", and `also` other tensors as outputs."""
        self.node("Identity", result.name)
        self.nodes[-1].output[0] = "out"
        kind = self.inputs[0].type.tensor_type.elem_type
        outputs = [
            helper.make_tensor_value_info(shown.name, kind, self._shown(shown.axes))
            for shown in (Tensor("out", result.axes), *also)
        ]
        graph = helper.make_graph(self.nodes, "attention", self.inputs, outputs, self.stored)
        graph.value_info.extend(self.told)
        opsets = [helper.make_opsetid("", self.opset)]
        if any(node.domain == CONTRIB for node in self.nodes):
            opsets.append(helper.make_opsetid(CONTRIB, 1))
        made = helper.make_model(graph, opset_imports=opsets)
        made.ir_version = IR_VERSIONS[self.opset]
        return made

    def _shown(self, axes: Axes) -> list[Size]:
        """The shape of an output, whose open sizes are promised to be nothing else's."""
        return [self.size(axis) or f"{self.symbol(axis)}_out" for axis in axes]
