"""What inference says that small integer tensors hold is what NumPy computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphwright.ir import parse
from graphwright.ir.const import from_array
from graphwright.ir.dims import Dim, sym
from graphwright.ir.graph import Attr, Value
from graphwright.ir.ops import MAX_CONTENTS, OPS, apply, constant, contents_of
from graphwright.ir.substitution import evaluate
from graphwright.ir.types import NAMES, TensorType

B, S = sym("B"), sym("S")
Array = np.ndarray[Any, Any]
Sizes = dict[str, int]
SMALL = st.integers(-3, 4)


class Machine:
    """Values, and the arrays that they are for some sizes."""

    def __init__(self, sizes: Sizes) -> None:
        x = Value(TensorType("f32", (B, S, 4)), name="x")
        self.sizes = sizes
        self.arrays: dict[Value, Array] = {x: np.zeros((sizes["B"], sizes["S"], 4), np.float32)}
        self.run("Shape", x)
        self.run("Size", x)

    def held(self, number: object, dtype: str = "i64") -> Value:
        value = constant(number, dtype)
        assert value.const is not None
        self.arrays[value] = value.const.load()
        return value

    def run(self, op: str, *values: Value, **attrs: Attr) -> None:
        """Apply an operator to values; nothing happens where that makes no sense."""
        row = OPS[op]
        assert row.numpy is not None
        try:
            with np.errstate(all="ignore"):
                array = row.numpy(*(self.arrays[v] for v in values), **attrs)
            array = np.asarray(array[0] if isinstance(array, tuple) else array)
        except (ArithmeticError, ValueError, IndexError):
            return
        try:
            made = apply(op, *values, **attrs).outputs[0]
        except TypeError:
            pytest.fail(f"{op} of {[v.type for v in values]} is not typed, and NumPy computes it")
        self.arrays[made] = array

    def integers(self) -> list[Value]:
        return [v for v, a in self.arrays.items() if a.dtype.kind in "iub" and a.ndim < 2]


def dtype_of(value: Value) -> str:
    assert isinstance(value.type, TensorType)
    return value.type.dtype


def step(machine: Machine, draw: Any) -> None:
    """One operator that exporters compute sizes with, of what there is."""
    pool = machine.integers()
    value = draw(st.sampled_from(pool))
    alike = [v for v in pool if dtype_of(v) == dtype_of(value)]
    other = draw(st.sampled_from(alike))
    numbers = draw(st.lists(SMALL, max_size=3))
    match draw(st.integers(0, 10)):
        case 0 | 1 if dtype_of(value) != "bool":
            op = draw(st.sampled_from(["Add", "Sub", "Mul", "Div", "Equal"]))
            machine.run(op, value, other)
        case 2 if dtype_of(value) != "bool":
            op = draw(st.sampled_from(["Add", "Sub", "Mul", "Div"]))
            number = draw(SMALL)
            number = abs(number) if dtype_of(value) == "u8" else number
            machine.run(op, value, machine.held(number, dtype_of(value)))
        case 3:
            machine.run("Concat", *(v for v in (value, other, value) if is_list(v)), axis=0)
        case 4 if is_list(value):
            machine.run(
                "Gather", value, machine.held(draw(st.sampled_from([numbers, 0, 1]))), axis=0
            )
        case 5 if is_list(value):
            start, end = draw(SMALL), draw(st.sampled_from([-9, -1, 1, 2, 2**31, 2**63 - 1]))
            step_ = draw(st.sampled_from([1, 2, -1, -2]))
            machine.run("Slice", value, *(machine.held([n]) for n in (start, end, 0, step_)))
        case 6:
            machine.run(draw(st.sampled_from(["Squeeze", "Unsqueeze"])), value, axes=(0,))
        case 7:
            machine.run("Reshape", value, machine.held(draw(st.sampled_from([[-1], [], [1], [0]]))))
        case 8:
            to = draw(st.sampled_from(["i64", "i32", "u8", "bool", "f32"]))
            machine.run("Cast", value, to=to)
        case 9:
            tests = [v for v in pool if dtype_of(v) == "bool"]
            if tests:
                machine.run("Where", draw(st.sampled_from(tests)), value, other)
        case 10:
            fill = from_array(np.array([draw(SMALL)]))
            machine.run("ConstantOfShape", machine.held([abs(n) for n in numbers]), value=fill)
            if machine.arrays[value].shape == (3,):
                machine.run("Split", value, axis=0, split=(1, 1, 1))


def is_list(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.rank == 1


@given(st.data(), st.integers(0, 5), st.integers(1, 5))
def test_contents_are_what_numpy_computes(data: st.DataObject, b: int, s: int) -> None:
    machine = Machine({"B": b, "S": s})
    for _ in range(data.draw(st.integers(1, 12))):
        step(machine, data.draw)
    for value, array in machine.arrays.items():
        assert isinstance(value.type, TensorType)
        assert value.type.dtype == NAMES[array.dtype]
        if value.type.shape is not None:
            assert numbers_of(value.type.shape, machine.sizes) == array.shape
        contents = contents_of(value)
        if isinstance(contents, tuple):
            assert list(numbers_of(contents, machine.sizes)) == array.tolist()
        elif contents is not None:
            assert evaluate(contents, machine.sizes) == array.item()


def numbers_of(dims: tuple[Dim, ...], sizes: Sizes) -> tuple[int, ...]:
    return tuple(evaluate(d, sizes) for d in dims)


EXPORTED = """
def f(x: f32[B, S, 64]):
    b = Gather(Shape(x), i64(0), axis=0)
    s = Gather(Shape(x), i64(1), axis=0)
    shape = Concat(Unsqueeze(b, axes=(0,)), Unsqueeze(s, axes=(0,)), i64([8, -1]), axis=0)
    heads = Transpose(Reshape(x, shape), perm=(0, 2, 1, 3))
    flat = Reshape(heads, Concat(Unsqueeze(b * 8, axes=(0,)), i64([-1, 8]), axis=0))
    sums = Concat(Cast(Cast(Shape(flat), to="i32"), to="i64") - 1, i64([3]), axis=0)
    half = Slice(flat, i64([0]), Unsqueeze(s / 2, axes=(0,)), i64([1]))
    some = Expand(i64([1]), Where(Equal(i64([-1]), i64([-1])), Unsqueeze(s, axes=(0,)), i64([-1])))
    steps = Range(s, s + b, i64(1))
    return heads, flat, sums, half, some, steps
"""


def test_sizes_are_known_through_what_exporters_write() -> None:
    heads, flat, sums, _, some, steps = parse(EXPORTED).outputs
    assert heads is not None
    assert heads.type == TensorType("f32", (B, 8, S, 8))
    assert flat is not None
    assert flat.type == TensorType("f32", (8 * B, S, 8))
    assert contents_of(sums) == (8 * B - 1, S - 1, 7, 3)
    assert some is not None
    assert some.type == TensorType("i64", (S,))
    assert steps is not None
    assert steps.type == TensorType("i64", (B,))


def test_numbers_that_wrap_around_are_not_known() -> None:
    graph = parse("def f(x: f32[2]):\n    return u8(200) + u8(100), i32(2000000000) * i32(2)")
    assert [contents_of(v) for v in graph.outputs] == [None, None]


def test_long_lists_are_not_looked_into() -> None:
    assert contents_of(constant(list(range(MAX_CONTENTS)), "i64")) is not None
    assert contents_of(constant(list(range(MAX_CONTENTS + 1)), "i64")) is None
    assert contents_of(constant([[1]], "i64")) is None
    assert contents_of(constant(1.0, "f32")) is None
