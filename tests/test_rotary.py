"""Rotary position embedding in the forms of exporters: each is found, is the same, and is lowered.

What only looks like it is left alone.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.onnx_building import info, model

import graphwright as gw
from graphwright.driver import input_sizes
from graphwright.ir.clone import clone
from graphwright.ir.graph import Header
from graphwright.ir.types import TensorType
from graphwright.passes.pipelines import ROTARY
from graphwright.passes.rewrite import rewrite
from graphwright.passes.rule import Budget
from graphwright.runtime import Runtime

X, LAST = "x: f32[B, 2, S, 8]", "x: f32[B, S, 2, 8]"
OURS, RUNTIMES = "RotaryEmbedding", "com.microsoft::RotaryEmbedding"


def slices(x: str = "x", first: str = "a", second: str = "b", width: int = 8, axis: int = 3) -> str:
    half = width // 2
    return f"""
    {first} = Slice({x}, i64([0]), i64([{half}]), i64([{axis}]), i64([1]))
    {second} = Slice({x}, i64([{half}]), i64([9223372036854775807]), i64([{axis}]), i64([1]))"""


def every_other(x: str = "x", width: int = 8) -> str:
    return f"""
    a = Slice({x}, i64([0]), i64([{width}]), i64([3]), i64([2]))
    b = Slice({x}, i64([1]), i64([{width}]), i64([3]), i64([2]))"""


def tables(axis: int, repeated: str = "Concat(f, f, axis=-1)", width: int = 4) -> str:
    """The tables as models compute them: angles, repeated, their cosine and sine, and an axis."""
    freqs = [10.0**-i for i in range(width)]
    return f"""
    f = Cast(Unsqueeze(p, axes=(2,)), to="f32") * f32({freqs})
    e = {repeated}
    cos = Unsqueeze(Cos(e) * 1.25, axes=({axis},))
    sin = Unsqueeze(Sin(e) * 1.25, axes=({axis},))"""


STACKED = """
    u = Concat(Unsqueeze(-b, axes=(-1,)), Unsqueeze(a, axes=(-1,)), axis=-1)"""
JOINED, EXPANDED, TILED = (
    f"Reshape({pairs}, i64([0, 0, 8]))"
    for pairs in (
        "Concat(Unsqueeze(f, axes=(3,)), Unsqueeze(f, axes=(3,)), axis=3)",
        "Expand(Unsqueeze(f, axes=(3,)), i64([1, 1, 1, 2]))",
        "Tile(Unsqueeze(f, axes=(3,)), i64([1, 1, 1, 2]))",
    )
)
HALF = "x * cos + Concat(-b, a, axis=-1) * sin"
FORMS = {
    "slices": (f"{X}, p: i64[B, S]", f"{tables(1)}{slices()}", HALF),
    "one row for all": (f"{X}, p: i64[1, S]", f"{tables(1)}{slices()}", HALF),
    "one token": ("x: f32[B, 2, 1, 8], p: i64[B, 1]", f"{tables(1)}{slices()}", HALF),
    "split": (
        f"{X}, p: i64[1, S]",
        f"{tables(1)}\n    a, b = Split(x, axis=3, split=(4, 4))",
        "Concat(Neg(b), a, axis=3) * sin + cos * x",
    ),
    "minus by other means": (
        f"{X}, p: i64[1, S]",
        f"{tables(1)}{slices()}",
        "sin * Concat(b * -1.0, a, axis=-1) + x * cos",
    ),
    "heads last": (f"{LAST}, p: i64[1, S]", f"{tables(2)}{slices()}", HALF),
    "heads last, rows for each": (f"{LAST}, p: i64[B, S]", f"{tables(2)}{slices()}", HALF),
    "in halves of tables": (
        f"{X}, p: i64[1, S]",
        f"{tables(1, 'f')}\n    a, b = Split(x, axis=-1, split=(4, 4))",
        "Concat(a * cos - b * sin, b * cos + a * sin, axis=-1)",
    ),
    "in halves of tables, interleaved": (
        f"{X}, p: i64[1, S]",
        f"""{tables(1, "f")}
    pairs = Reshape(x, i64([0, 0, 0, 4, 2]))
    a = Gather(pairs, i64(0), axis=-1)
    b = Gather(pairs, i64(1), axis=-1)
    u = Unsqueeze(a * cos - b * sin, axes=(-1,))
    v = Unsqueeze(a * sin + b * cos, axes=(-1,))""",
        "Reshape(Concat(u, v, axis=-1), i64([0, 0, 0, 8]))",
    ),
    "interleaved": (
        f"{X}, p: i64[1, S]",
        f"{tables(1, JOINED)}{every_other()}{STACKED}",
        "x * cos + Reshape(u, i64([0, 0, 0, 8])) * sin",
    ),
    "interleaved, repeated by Expand": (
        f"{LAST}, p: i64[1, S]",
        f"{tables(2, EXPANDED)}{every_other()}{STACKED}",
        "x * cos + Reshape(u, i64([0, 0, 0, 8])) * sin",
    ),
    "interleaved, repeated by Tile": (
        f"{LAST}, p: i64[1, S]",
        f"{tables(2, TILED)}{every_other()}{STACKED}",
        "x * cos + Reshape(u, i64([0, 0, 0, 8])) * sin",
    ),
    "viewed as two halves": (
        f"{X}, p: i64[1, S]",
        f"""{tables(1)}
    halves = Reshape(x, i64([0, 0, 0, 2, 4]))
    a = Squeeze(Slice(halves, i64([0]), i64([1]), i64([3])), axes=(3,))
    b = Squeeze(Slice(halves, i64([1]), i64([2]), i64([3])), axes=(3,))""",
        HALF,
    ),
    "partial": (
        "x: f32[B, 2, S, 12], p: i64[1, S]",
        f"""{tables(1)}
    r = Slice(x, i64([0]), i64([8]), i64([3]), i64([1]))
    t = Slice(x, i64([8]), i64([12]), i64([3]), i64([1])){slices("r")}""",
        "Concat(r * cos + Concat(-b, a, axis=-1) * sin, t, axis=-1)",
    ),
    "partial, of a slice": (
        "z: f32[B, 2, S, 24], p: i64[1, S]",
        f"""{tables(1)}
    x = Slice(z, i64([0]), i64([12]), i64([3]), i64([1]))
    r, t = Split(x, axis=-1, split=(8, 4)){slices("r")}""",
        "Concat(r * cos + Concat(-b, a, axis=-1) * sin, t, axis=-1)",
    ),
    "cast before the products": (
        "h: f16[B, 2, S, 8], p: i64[1, S]",
        f"""{tables(1)}{slices("h")}
    x = Cast(h, to="f32")""",
        'Cast(x * cos + Cast(Concat(-b, a, axis=-1), to="f32") * sin, to="f16")',
    ),
}


def graph_of(form: str) -> gw.Graph:
    given, lines, result = FORMS[form]
    graph = gw.parse(f"def model({given}):{lines}\n    return {result}")
    graph.header = Header(8, {"": 17, "com.microsoft": 1})
    return graph


def counted(graph: gw.Graph) -> Counter[str]:
    return Counter(node.op for node in graph.nodes())


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime(isolated=False)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_found_and_the_same_to_the_bit(form: str, runtime: Runtime) -> None:
    before = graph_of(form)
    after = clone(before)
    rewrite(after, ROTARY, Budget(runtime.compute, sizes=input_sizes(after)))
    assert counted(after)[OURS] == 1, gw.show(after)
    assert not {"Neg", "Concat", "Add", "Sub"} & (
        counted(after).keys() - {n.op for n in table_nodes(after)}
    ), gw.show(after)
    feed = feed_of(before)
    (old,), (new,) = (runtime.evaluate(g, [feed])[0] for g in (before, after))
    np.testing.assert_array_equal(old, new)
    (wide,) = runtime.evaluate64(after, [feed])[0]
    np.testing.assert_allclose(wide, old, rtol=1e-2, atol=1e-2)  # one form is of 16 bits


def table_nodes(graph: gw.Graph) -> list[gw.Node]:
    """What the tables are made by."""
    turned = next(node for node in graph.nodes() if node.op == OURS)
    waiting = [v.producer for v in turned.inputs[1:] if v is not None and v.producer is not None]
    for node in waiting:
        waiting += [v.producer for v in node.inputs if v is not None and v.producer is not None]
    return waiting


def feed_of(graph: gw.Graph) -> dict[str, np.ndarray]:
    random, sizes, feed = np.random.default_rng(0), {"B": 2, "S": 3}, {}
    for value in graph.inputs:
        assert isinstance(value.type, TensorType)
        shape = tuple(sizes.get(str(d), d) for d in value.type.shape or ())
        if value.type.dtype == "i64":
            feed[value.name] = random.integers(0, 50, shape)
        else:
            kind = np.float16 if value.type.dtype == "f16" else np.float32
            feed[value.name] = random.standard_normal(shape).astype(kind)
    return feed


@pytest.mark.parametrize("opset", [17, 23])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_lowered(form: str, opset: int, runtime: Runtime) -> None:
    before = graph_of(form)
    before.header = Header(10, {"": opset, "com.microsoft": 1})
    result = gw.optimize(before, target="ort")
    done = counted(result.graph)
    assert result.report.ok
    assert not result.report.left_out
    wanted = RUNTIMES if opset < 23 else f"{OURS}@23"
    assert done[wanted] == 1, gw.show(result.graph)
    assert not done["Neg"]
    assert not done["Slice"] or form == "partial, of a slice"


NEAR = {
    "the sign of the sine": "x * cos - Concat(-b, a, axis=-1) * sin",
    "the halves the other way": "x * cos + Concat(-a, b, axis=-1) * sin",
    "the other half negative": "x * cos + Concat(b, -a, axis=-1) * sin",
    "no sign": "x * cos + Concat(b, a, axis=-1) * sin",
    "another tensor": "y * cos + Concat(-b, a, axis=-1) * sin",
    "halves of two tensors": "x * cos + Concat(-c, a, axis=-1) * sin",
    "other thirds": "x * cos + Concat(-Slice(x, i64([3]), i64([8]), i64([3])), "
    "Slice(x, i64([0]), i64([3]), i64([3])), axis=-1) * sin",
    "another axis": "x * cos + Concat(-Slice(x, i64([4]), i64([8]), i64([2])), "
    "Slice(x, i64([0]), i64([4]), i64([2])), axis=2) * sin",
    "a factor": "x * cos + 1.01 * Concat(-b, a, axis=-1) * sin",
    "turned one after the other": "x * cos + Concat(-every, other, axis=-1) * sin",
    "the split form with both signs": "Concat(a * s + b * t, b * s + a * t, axis=-1)",
    "the split form, swapped": "Concat(b * s - a * t, a * s + b * t, axis=-1)",
    "the split form, joined the other way": "Concat(b * s + a * t, a * s - b * t, axis=-1)",
    "the split form of two angles": "Concat(a * s - b * t, b * t + a * s, axis=-1)",
}


@pytest.mark.parametrize("near", NEAR)
def test_what_only_looks_like_it_is_left_alone(near: str, runtime: Runtime) -> None:
    tensors = "x: f32[B, 2, 8, 8], y: f32[B, 2, 8, 8], cos: f32[8, 8], sin: f32[8, 8]"
    graph = gw.parse(
        f"""def model({tensors}, s: f32[8, 4], t: f32[8, 4]):{slices()}
    c = Slice(y, i64([4]), i64([8]), i64([3]), i64([1]))
    other = Slice(x, i64([0]), i64([8]), i64([3]), i64([2]))
    every = Slice(x, i64([1]), i64([8]), i64([3]), i64([2]))
    return {NEAR[near]}"""
    )
    before = gw.show(graph)
    assert not rewrite(graph, ROTARY, Budget(runtime.compute)), before
    assert gw.show(graph) == before


@pytest.mark.parametrize(
    "repeated",
    ["Concat(f, g, axis=-1)", "Concat(f, f + 0.5, axis=-1)", "f32([[0, 1, 2, 3, 0, 1, 2, 4]])"],
)
def test_tables_whose_halves_may_differ_stay_whole(repeated: str, runtime: Runtime) -> None:
    """They are turned by our operator, which has a number for each channel, and written out."""
    graph = gw.parse(
        f"""def model({X}, f: f32[S, 4], g: f32[S, 4]):{slices()}
    e = {repeated}
    return x * Cos(e) + Concat(-b, a, axis=-1) * Sin(e)"""
    )
    graph.header = Header(8, {"": 17, "com.microsoft": 1})
    result = gw.optimize(graph, target="ort")
    assert result.report.ok
    assert counted(result.graph)[OURS] == 1
    assert not counted(result.graph)[RUNTIMES]


def test_constant_tables_are_halved_where_their_halves_are_equal() -> None:
    table = np.tile(np.linspace(0, 1, 12).reshape(3, 4), 2).tolist()
    graph = gw.parse(
        f"""def model(x: f32[B, 2, 3, 8]):{slices()}
    return x * f32({table}) + Concat(-b, a, axis=-1) * f32({table})"""
    )
    graph.header = Header(8, {"": 17, "com.microsoft": 1})
    result = gw.optimize(graph, target="ort")
    assert result.report.ok
    assert list(counted(result.graph)) == [RUNTIMES]


def test_a_default_run_leaves_older_models_as_they_are() -> None:
    result = gw.optimize(graph_of("slices"))
    assert not counted(result.graph)[OURS]
    assert counted(result.graph)["Neg"] == 1


def test_the_tables_are_made_once_for_all_that_read_them() -> None:
    lines = f"{tables(1)}{slices()}{slices('y', 'c', 'd')}"
    graph = gw.parse(
        f"def model({X}, y: f32[B, 2, S, 8], p: i64[B, S]):{lines}\n"
        f"    return {HALF}, y * cos + Concat(-d, c, axis=-1) * sin"
    )
    graph.header = Header(8, {"": 17, "com.microsoft": 1})
    done = counted(gw.optimize(graph, target="ort").graph)
    assert (done[RUNTIMES], done["Cos"], done["Sin"], done["Range"]) == (2, 1, 1, 1)


def test_what_is_measured_is_the_lowering(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one form is written out again as it was, which is not worth a measurement."""
    monkeypatch.setattr(Runtime, "interleaved", lambda *_: [[1.0], [1.0]])
    result = gw.optimize(graph_of("slices"), target="ort", tune=True)
    assert [each.rule for each in result.report.measured] == ["lower-rotary"]
    assert counted(result.graph)[RUNTIMES] == 1


def test_onnx_s_own_operator_goes_as_it_came(tmp_path: Path) -> None:
    """Ours has the name, with other inputs; a file's is carried under its opset."""
    node = onnx.helper.make_node(OURS, ["x", "cos", "sin"], ["y"], interleaved=1)
    given = [info("x", 2, 3, 4, 8), info("cos", 2, 4, 4), info("sin", 2, 4, 4)]
    proto = model([node], given, [info("y", 2, 3, 4, 8)], opset=23)
    onnx.save(proto, tmp_path / "in.onnx")
    result = gw.optimize(tmp_path / "in.onnx")
    assert result.report.ok
    assert counted(result.graph) == {f"{OURS}@23": 1}
    gw.save(result.graph, tmp_path / "out.onnx")
    assert list(onnx.load(tmp_path / "out.onnx").graph.node) == [node]
