"""A function of the torch dialect as a graph."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch_mlir import ir

from graphwright.frontends.aten import Builder, NotRead, is_known, read
from graphwright.frontends.torch_mlir.literals import Blobs, Weights, literal
from graphwright.frontends.torch_mlir.numbers import CONSTANTS, NUMBERS
from graphwright.frontends.torch_mlir.schemas import arguments
from graphwright.frontends.torch_mlir.types import Unknown, is_list, is_tensor, read_type
from graphwright.ir.const import from_array
from graphwright.ir.dims import Dim, sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Value
from graphwright.ir.provenance import Origin
from graphwright.ir.types import NUMPY, TensorType, Type

SAME = (
    "torch.copy.to_vtensor",
    "torch.copy.to_tensor",
    "torch.tensor_static_info_cast",
    "torch.aten.detach",
)
"""Operators that give the tensor that they get."""
READ_HERE = (
    *SAME,
    "torch.vtensor.literal",
    "torch.tensor.literal",
    "torch.prim.NumToTensor.Scalar",
    "torch.prim.ListUnpack",
    "torch.prim.TupleUnpack",
    "torch.prims.convert_element_type",
    "torch.symbolic_int",
)
_FRAME = re.compile(r'"([^"]+)":(\d+):\d+')
_FILE = re.compile(r"[\w-]+\.py")


@dataclass(frozen=True)
class Signature:
    """What is known of a function beside its text: names, and the types of what it takes."""

    inputs: tuple[str, ...] = ()
    types: tuple[Type, ...] = ()
    outputs: tuple[str, ...] = ()


def read_function(function: Any, blobs: Blobs, weights: Weights, known: Signature) -> Graph:
    """The graph of a function; `known` counts where it has as many inputs and outputs.

    Raises ModelError: for operators without a reading, all of them in one.
    """
    (block,) = function.regions[0].blocks
    reader = _Reader(blobs, weights)
    inputs = reader.inputs(list(block.arguments), block, known)
    *body, last = block.operations
    given = list(last.operands)
    needed = _needed(given)
    operations = [op for op in body if op.operation in needed]
    _refuse_unknown(operations)
    for place, op in enumerate(operations):
        reader.operation(op, place)
    found = [reader.output(value) for value in given]
    names = _output_names(found, known)
    kept = [(value, name) for value, name in zip(found, names, strict=True) if value is not None]
    if not kept:
        raise ModelError("the module gives no tensor")
    return reader.builder.graph(inputs, [value for value, _ in kept], [name for _, name in kept])


def _output_names(found: Sequence[object], known: Signature) -> Sequence[str]:
    if len(known.outputs) == len(found):
        return known.outputs
    return ["output"] if len(found) == 1 else [f"output_{i}" for i in range(len(found))]


def _needed(values: Sequence[Any]) -> set[Any]:
    """The operations that values depend on."""
    found: set[Any] = set()
    loose = list(values)
    while loose:
        owner = loose.pop().owner
        if not isinstance(owner, ir.Block) and owner not in found:
            found.add(owner)
            loose += owner.operands
    return found


def name_of(op: Any) -> str:
    """The name of an operator, also of one that torch-mlir has no class for."""
    name = str(op.operation.name)
    return str(op.attributes["name"].value) if name == "torch.operator" else name


def aten_name(name: str) -> str:
    """`torch.aten.linear` as ATen calls it: `aten.linear.default`."""
    # Twins are what lists of tensors without holes are given to.
    said = name.removeprefix("torch.").replace("Tensor_hacked_twin", "Tensor")
    said = said.replace(".hacked_twin", "").replace("prims.collapse", "aten.flatten.using_ints")
    return said if said.count(".") > 1 else f"{said}.default"


def _refuse_unknown(operations: Sequence[Any]) -> None:
    """Raise one ModelError for all operators without a reading."""
    here = {*CONSTANTS, *NUMBERS, *READ_HERE}
    unknown = Counter(
        name
        for op in operations
        if (name := name_of(op)) not in here and not is_known(aten_name(name))
    )
    onnx = [name for name in unknown if name.startswith("onnx.")]
    if onnx:
        raise ModelError("the module was imported from ONNX, and is not read; load the ONNX file")
    if unknown:
        listed = ", ".join(f"{name} ({count} times)" for name, count in sorted(unknown.items()))
        raise ModelError(f"there is no reading of these operators of PyTorch: {listed}")


class _Reader:
    """Reads the operations of one function, in their order."""

    def __init__(self, blobs: Blobs, weights: Weights) -> None:
        self.blobs, self.weights = blobs, weights
        self.builder = Builder()
        self.found: dict[Any, Any] = {}
        self.literals: dict[str, Value] = {}
        self.open = 0

    def inputs(self, arguments: Sequence[Any], block: Any, known: Signature) -> tuple[Value, ...]:
        """The graph's inputs."""
        bound = _bound_shapes(block)
        whole = len(known.inputs) == len(arguments)
        found = []
        for i, argument in enumerate(arguments):
            name = known.inputs[i] if whole else f"arg{i}"
            text = str(argument.type)
            if not is_tensor(text):
                raise ModelError(
                    f"the input '{name}' is {text}, and no tensor of the torch dialect"
                )
            type_ = read_type(text, _named(name, bound.get(argument)))
            value = self.found[argument] = Value(known.types[i] if whole else type_, name=name)
            found.append(value)
        return tuple(found)

    def output(self, value: Any) -> Value | None:
        """A value that the graph gives; a size or a number becomes a tensor."""
        found = self.found[value]
        if found is None or isinstance(found, Value):
            return found
        if isinstance(found, float):
            return self.builder.constant(found, "f32")
        return self.builder.size(found)

    def operation(self, op: Any, place: int) -> None:
        """Note what an operation gives."""
        name = name_of(op)
        results = list(op.results)
        if name in CONSTANTS:
            self.found[results[0]] = CONSTANTS[name](op)
            return
        source = source_of(op, name, place)
        self.builder.origin = Origin((source,))
        try:
            values = self._results(op, name, [self.found[v] for v in op.operands])
        except NotRead as error:
            raise ModelError(f"at {source}: {error}") from error
        first = values[0] if values else None
        if isinstance(first, Value) and first.producer is not None and not first.producer.name:
            first.producer.name = source.partition(" ")[0]
        self.found.update(zip(results, values, strict=False))

    def _results(self, op: Any, name: str, args: list[Any]) -> Sequence[Any]:
        """What an operation gives, one for each of its results."""
        if name in SAME:
            return args[:1]
        if name in NUMBERS:
            return [NUMBERS[name](*args)]
        if name.endswith("tensor.literal"):
            return [self._literal(op)]
        if name in ("torch.prim.ListUnpack", "torch.prim.TupleUnpack"):
            return list(args[0])
        types = self._types(op)
        if name == "torch.symbolic_int":
            return [sym(str(op.attributes["symbol_name"].value))]
        if name == "torch.prim.NumToTensor.Scalar":
            return [self.builder.tensor(args[0], _dtype(types))]
        if name == "torch.prims.convert_element_type":
            return [self._converted(args[0], _dtype(types))]
        aten = aten_name(name)
        values = read(aten, self.builder, *arguments(aten, args), types)
        return [list(values)] if is_list(str(op.results[0].type)) else values

    def _types(self, op: Any) -> list[Type]:
        """The types that an operation promises to give; those of a list from who takes it apart."""
        results = list(op.results)
        if len(results) == 1 and is_list(str(results[0].type)):
            users = [use.owner for use in results[0].uses]
            results = next((list(u.results) for u in users if name_of(u).endswith("Unpack")), [])
        return [read_type(str(r.type), self._unknown) for r in results]

    def _unknown(self, axis: int) -> Dim:
        self.open += 1
        return sym(f"_{self.open}")

    def _literal(self, op: Any) -> Value:
        """A weight: that of the program which holds the same, or what the module says."""
        attribute = op.attributes["value"]
        type_ = read_type(str(op.results[0].type), self._unknown)
        if not isinstance(type_, TensorType):
            raise NotRead(f"a literal of the type {op.results[0].type}")
        key = f"{type_} {attribute}"
        if key not in self.literals:
            const = literal(attribute, type_, self.blobs)
            self.literals[key] = self.weights.value_of(const) or Value(const.type, const=const)
        return self.literals[key]

    def _converted(self, x: Value, dtype: str) -> Value:
        """`x` of another element type; torch-mlir also writes masks so, which are bytes to it."""
        if x.const is None:
            return self.builder.cast(x, dtype)
        const = from_array(x.const.load().astype(NUMPY[dtype]))
        return self.weights.value_of(const) or Value(const.type, const=const, name=x.name)


def _dtype(types: Sequence[Type]) -> str:
    if not types or not isinstance(types[0], TensorType):
        raise NotRead("its result is of no known type")
    return types[0].dtype


def _bound_shapes(block: Any) -> dict[Any, list[Dim]]:
    """The sizes that a module was told of its tensors, by `torch.bind_symbolic_shape`."""
    found: dict[Any, list[Dim]] = {}
    for op in block.operations:
        if op.operation.name == "torch.bind_symbolic_shape":
            tensor, *symbols = op.operands
            names = [str(s.owner.attributes["symbol_name"].value) for s in symbols]
            said = re.fullmatch(
                r"affine_map<.*-> \((.*)\)>", str(op.attributes["shape_expressions"])
            )
            dims = [_dim(text, names) for text in said[1].split(", ")] if said and said[1] else []
            if None not in dims:
                found[tensor] = [d for d in dims if d is not None]
    return found


def _named(name: str, bound: Sequence[Dim] | None) -> Unknown:
    """What the sizes of an input are called that its type does not tell."""
    return lambda axis: sym(f"{name}_{axis}") if bound is None else bound[axis]


def _dim(text: str, names: Sequence[str]) -> Dim | None:
    """A size in an affine map, where it is a number or one symbol."""
    if text.isdigit():
        return int(text)
    symbol = re.fullmatch(r"s(\d+)", text)
    return sym(names[int(symbol[1])]) if symbol else None


def source_of(op: Any, name: str, place: int) -> str:
    """What an operation is called, and the line of the user's code where that is known."""
    own = f"{name.removeprefix('torch.').split('.')[1 if '.' in name[6:] else 0]}_{place}"
    frame = _FRAME.search(str(op.location))
    return f"{own} ({os.path.basename(frame[1])}:{frame[2]})" if frame else own
