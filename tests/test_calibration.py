"""Statistics of a model on data: of all of it, of its values as they stand, and bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from graphwright import calibration
from graphwright.calibration import MADE_UP, Calibration
from graphwright.ir import parse
from graphwright.ir.const import Array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Value
from graphwright.passes.technique import Tap
from graphwright.runtime import Runtime
from graphwright.verification.data import Data

TEXT = """
def model(x: f32[B, S, 3], m: f32[B, S, 1]):
    h = x * m
    y = h @ f32([[1, 2], [3, 4], [5, 6]])
    return Tanh(y)
"""
RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 5, 3)).astype(np.float32)
M = (RNG.random((20, 5, 1)) < 0.7).astype(np.float32)


def values(graph: Graph) -> dict[str, Value]:
    return {node.op: node.outputs[0] for node in graph.nodes()}


def total(state: Any, *arrays: Array) -> Any:
    return state + sum(float(a.astype(np.float64).sum()) for a in arrays)


def observe(taps: list[Tap[Any]], data: Data | None, graph: Graph, **more: Any) -> list[Any]:
    with Runtime(isolated=False) as runtime:
        return Calibration(graph, runtime, data, **more).observe(taps)


def test_a_statistic_is_of_all_samples() -> None:
    graph = parse(TEXT)
    h, y = values(graph)["Mul"], values(graph)["MatMul"]
    both = Tap(
        (h, graph.inputs[0]), (0, 0.0), lambda s, a, b: (s[0] + len(a), s[1] + (a - b).sum())
    )
    found, (count, apart) = observe([Tap((y,), 0.0, total), both], {"x": X, "m": M}, graph)
    weight = np.array([[1, 2], [3, 4], [5, 6]])
    assert np.isclose(found, ((X * M) @ weight).sum(), rtol=1e-5)
    assert count == 20
    assert np.isclose(apart, (X * M - X).sum(), rtol=1e-4)


def test_a_child_process_gives_the_same() -> None:
    graph = parse(TEXT)
    tap = Tap((values(graph)["Tanh"],), 0.0, total)
    with Runtime(isolated=True) as runtime:
        apart = Calibration(graph, runtime, {"x": X, "m": M}).observe([tap])
        again = Calibration(graph, runtime, {"x": X, "m": M}).observe([tap])
    assert apart == again == observe([tap], {"x": X, "m": M}, graph)


def test_data_may_be_whatever_begins_anew() -> None:
    class Samples:
        def __iter__(self) -> Iterator[dict[str, Array]]:
            return (
                {"x": X[i : i + 1, : 1 + i % 5], "m": M[i : i + 1, : 1 + i % 5]} for i in range(20)
            )

    graph = parse(TEXT)
    tap = Tap((graph.inputs[0],), 0.0, total)
    wanted = sum(float(X[i, : 1 + i % 5].astype(np.float64).sum()) for i in range(20))
    assert np.isclose(observe([tap], Samples(), graph)[0], wanted)
    with pytest.raises(ModelError, match="only once"):
        observe([tap], iter(Samples()), graph)


def test_the_graph_is_run_as_it_stands() -> None:
    graph = parse(TEXT)
    tap = Tap((values(graph)["Tanh"],), 0.0, total)
    with Runtime(isolated=False) as runtime:
        running = Calibration(graph, runtime, {"x": X, "m": M})
        before = running.observe([tap])
        graph.replace(values(graph)["Mul"], graph.inputs[0])
        after = running.observe([tap])
    weight = np.array([[1, 2], [3, 4], [5, 6]])
    assert np.isclose(before[0], np.tanh((X * M) @ weight).sum(), rtol=1e-4)
    assert np.isclose(after[0], np.tanh(X @ weight).sum(), rtol=1e-4)


def test_what_is_too_much_at_once_takes_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = parse(TEXT)
    taps = [Tap((v,), 0.0, total) for v in values(graph).values()]
    wanted = observe(taps, {"x": X, "m": M}, graph)
    monkeypatch.setattr(calibration, "HELD", 500)  # one of the values of a batch is 480 bytes
    said: list[str] = []
    assert observe(taps, {"x": X, "m": M}, graph, progress=said.append) == wanted
    assert said == ["calibrating: batch 1", "calibrating: batch 2", "calibrating: batch 3"] * 3


def test_made_inputs_are_a_last_resort_and_said_to_be() -> None:
    graph, notes = parse(TEXT), list[str]()
    tap = Tap((graph.inputs[0],), 0, lambda s, a: s + a.size)
    assert observe([tap, tap], None, graph, notes=notes)[0] > 0
    assert notes == [MADE_UP]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"x": X}, "nothing for the inputs 'm'"),
        ({"x": X, "m": M, "z": M}, "the data has 'z'"),
        ({"x": X[..., :2], "m": M}, r"is f32\[B, S, 3\], and its data has the shape \[20, 5, 2\]"),
        ({"x": X.astype(np.int64), "m": M}, "is f32, and its data is i64"),
        ({"x": X * np.nan, "m": M}, "holds NaN"),
        ({"x": X[:0], "m": M[:0]}, "holds no samples"),
        ([], "the data is empty"),
        ([{"x": X, "m": M}, {"x": X}], "set 2 of the data"),
        ({"x": X, "m": M[:, :4]}, "the size S is 5 in 'x' and 4 in 'm'"),
    ],
)
def test_data_that_does_not_fit_gets_a_sentence(data: Data, why: str) -> None:
    graph = parse(TEXT)
    with pytest.raises(ModelError, match=why):
        observe([Tap((graph.inputs[0],), 0.0, total)], data, graph)


def test_a_model_that_fails_on_data_names_the_samples() -> None:
    graph = parse("""
def model(x: f32[B, 3], at: i64[B]):
    return Gather(x, at, axis=1)
""")
    data = {"x": X[:16, 0], "at": np.array([0] * 9 + [7] + [0] * 6)}
    with pytest.raises(ModelError, match="samples 8 to 15 of the data: ONNX Runtime cannot run"):
        observe([Tap((values(graph)["Gather"],), 0.0, total)], data, graph)
