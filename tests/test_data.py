from typing import Any

import numpy as np
import pytest

from graphwright.ir.dims import sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Value
from graphwright.ir.ops import return_node
from graphwright.ir.types import TensorType
from graphwright.verification.data import read_data

B, S = sym("B"), sym("S")


def graph(**inputs: TensorType) -> Graph:
    values = tuple(Value(type_, name=name) for name, type_ in inputs.items())
    return Graph("g", values, return_node(values, list(inputs)))


TEXT = graph(ids=TensorType("i64", (B, S)), mask=TensorType("i64", (B, S)))
ROWS = graph(x=TensorType("f32", (B, 4)))


def test_samples_run_in_batches() -> None:
    x = np.arange(40, dtype=np.float32).reshape(10, 4)
    feeds = read_data({"x": x}, ROWS, batch=5)
    assert [feed["x"].tolist() for feed in feeds] == [x[:5].tolist(), x[5:].tolist()]
    assert feeds[1].about == "samples 5 to 9 of the data"
    assert [len(feed["x"]) for feed in read_data(x, ROWS)] == [8, 2]
    assert [len(feed["x"]) for feed in read_data(x[:3], ROWS)] == [3]


def test_a_model_of_a_fixed_batch_gets_that() -> None:
    fixed = graph(x=TensorType("f32", (3, 2)))
    feeds = read_data(np.zeros((7, 2), np.float32), fixed)
    assert [feed["x"].shape for feed in feeds] == [(3, 2), (3, 2)]


def test_each_sample_may_be_a_run_of_its_own() -> None:
    data = {"ids": np.zeros((4, 2, 5), np.int64), "mask": np.ones((4, 2, 5), np.int64)}
    feeds = read_data(data, TEXT)
    assert len(feeds) == 4
    assert feeds[3]["ids"].shape == (2, 5)
    assert feeds[3].about == "sample 3 of the data"


def test_inputs_without_axes_are_given_as_they_are() -> None:
    both = graph(x=TensorType("f32", (B, 2)), scale=TensorType("f32", ()))
    feeds = read_data({"x": np.zeros((3, 2), np.float32), "scale": np.float32(2)}, both, batch=1)
    assert [float(feed["scale"]) for feed in feeds] == [2, 2, 2]


def test_data_is_brought_to_the_type_of_the_input() -> None:
    assert read_data(np.zeros((2, 4)), ROWS)[0]["x"].dtype == np.float32
    narrow = {"ids": np.zeros((2, 5), np.int32), "mask": np.ones((2, 5), np.bool_)}
    assert read_data(narrow, TEXT)[0]["ids"].dtype == np.int64
    words = graph(x=TensorType("str", (B,)))
    assert read_data(np.array(["a", "b"]), words)[0]["x"].dtype == object


GOOD = {"ids": np.zeros((4, 5), np.int64), "mask": np.ones((4, 5), np.int64)}


@pytest.mark.parametrize(
    ("model", "data", "why"),
    [
        (TEXT, {}, "the data has nothing for the inputs 'ids', 'mask'"),
        (TEXT, {**GOOD, "label": np.ones(4)}, "the data has 'label', and the model's inputs are"),
        (TEXT, np.zeros((4, 5)), "the data is one array, and the model has the inputs"),
        (TEXT, {**GOOD, "mask": np.ones((3, 5), np.int64)}, "4 of 'ids', 3 of 'mask'"),
        (TEXT, {**GOOD, "mask": np.ones((4, 6), np.int64)}, "S is 5 in 'ids' and 6 in 'mask'"),
        (TEXT, {**GOOD, "mask": np.ones((4, 5))}, "'mask' is i64, and its data is f64"),
        (TEXT, {**GOOD, "mask": np.full((4, 5), "a")}, "'mask' is i64, and its data is <U1"),
        (ROWS, np.zeros((2, 4), np.int64), "'x' is f32, and its data is i64"),
        (ROWS, np.zeros((2, 5), np.float32), r"'x' is f32\[B, 4\].*the shape \[2, 5\]"),
        (ROWS, np.zeros((2, 2, 2, 4), np.float32), r"the shape \[2, 2, 2, 4\]"),
        (ROWS, np.full((2, 4), np.nan), "the data for 'x' holds NaN"),
        (ROWS, np.zeros((0, 4)), "the data holds no samples"),
        (graph(x=TensorType("i8", (B,))), np.array([300]), "'x' is i8, and its data is i64"),
        (
            graph(x=TensorType("f32", (4, 2))),
            np.zeros((3, 2)),
            "takes 4 samples at a time.* holds 3",
        ),
        (TEXT, {**GOOD, "mask": np.ones((4, 1, 5), np.int64)}, "in some of the data each sample"),
        (graph(x=TensorType("f32")), np.zeros((3, 2)), "'x' has no shape"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(model: Graph, data: Any, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        read_data(data, model)


def test_numbers_may_be_in_the_byte_order_of_another_machine() -> None:
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    (feed,) = read_data({"x": x.astype(">f4")}, ROWS)
    assert (feed["x"] == x).all()
    (feed,) = read_data({"ids": x.astype(">i8"), "mask": x.astype(">i2")}, TEXT)
    assert feed["mask"].dtype == np.int64
    assert (feed["ids"] == x).all()
