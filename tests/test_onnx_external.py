"""Weights in other files: referred to where they lie, streamed elsewhere, found nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.onnx_building import (
    body,
    function,
    info,
    model,
    node,
    on_ort,
    same,
    saved_twice_is_the_same,
    unranked,
    weight,
)

from graphwright.backends.onnx import placing, save
from graphwright.backends.ort.pack import Packed
from graphwright.backends.ort.session import run as run_session
from graphwright.backends.ort.session import session
from graphwright.frontends.onnx import load
from graphwright.ir.errors import ModelError

IN, OUT = info("x", "B", 3), info("y", "B", 3)
FEED = {"x": np.array([[-1.0, 2.0, 3.0]], np.float32)}
A = np.array([[0.5, 1.5, -2.0], [3.0, 0.25, 1.0]], np.float32)


def outside(
    name: str, location: str, offset: int | None, length: int | None, *dims: int, kind: int = 1
) -> onnx.TensorProto:
    """A weight whose data lies elsewhere."""
    tensor = onnx.TensorProto(name=name, data_type=kind, dims=dims, data_location=1)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    return tensor


def written(folder: Path, weights: list[onnx.TensorProto], nodes: list[onnx.NodeProto]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "m.onnx"
    path.write_bytes(model(nodes, [IN], [OUT], weights).SerializeToString())
    return path


def three(folder: Path) -> Path:
    """A model of weights at odd places in two files, one of them empty and one shared."""
    folder.mkdir(exist_ok=True)
    (folder / "sub").mkdir(exist_ok=True)
    ones = np.ones((2000, 3), np.float32)
    (folder / "one.bin").write_bytes(b"?" * 5 + A.tobytes() + b"!")
    (folder / "sub" / "two.bin").write_bytes(ones.tobytes())
    weights = [
        outside("a", "one.bin", 5, 12, 3),
        outside("b", "one.bin", 17, 12, 3),
        outside("a2", "one.bin", 5, None, 3),
        outside("none", "one.bin", 3, 0, 0, 3),
        outside("large", "sub/two.bin", None, None, 2000, 3),
    ]
    nodes = [
        node("Add", ["x", "a"], ["t"]),
        node("Mul", ["t", "b"], ["u"]),
        node("Sub", ["u", "a2"], ["v"]),
        node("Concat", ["v", "none"], ["w"], axis=0),
        node("ReduceMean", ["large"], ["r"], axes=[0]),
        node("Add", ["w", "r"], ["y"]),
    ]
    return written(folder, weights, nodes)


def expected() -> list[np.ndarray]:
    """What the model of `three` computes."""
    return [(FEED["x"] + A[0]) * A[1] - A[0] + np.float32(1)]


def run(path: Path) -> list[np.ndarray]:
    return run_session(session(Packed(path.read_bytes(), str(path.parent))), FEED)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_in_the_same_folder_it_is_referred_to(tmp_path: Path) -> None:
    path = three(tmp_path / "in")
    before = contents(tmp_path / "in")
    out = path.with_name("out.onnx")
    save(load(path), out)
    after = contents(tmp_path / "in")
    assert {k: after[k] for k in before} == before
    assert after.keys() - before.keys() == {"out.onnx"}
    said = {t.name: t for t in onnx.load(path, load_external_data=False).graph.initializer}
    assert not said.pop("none").dims[0], "which ONNX Runtime cannot read from a file"
    again = onnx.load(out, load_external_data=False).graph.initializer
    assert {t.name: t for t in again if t.name != "none"} == said
    assert same(run(out), expected())
    saved_twice_is_the_same(out)


def test_in_another_folder_it_is_copied(tmp_path: Path) -> None:
    path = three(tmp_path / "in")
    before = contents(tmp_path / "in")
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "m.onnx"
    save(load(path), out)
    assert contents(tmp_path / "in") == before
    assert sorted(contents(tmp_path / "out")) == ["m.onnx", "m.onnx.data"]
    places = {
        t.name: {e.key: e.value for e in t.external_data}
        for t in onnx.load(out, load_external_data=False).graph.initializer
        if t.name != "none"
    }
    assert {p["location"] for p in places.values()} == {"m.onnx.data"}
    assert places["a"] == places["a2"], "the same bytes are written once"
    assert int(places["large"]["offset"]) % 4096 == 0, "so that they can be mapped"
    assert same(run(out), expected())
    saved_twice_is_the_same(out)


def test_a_model_of_weights_too_large_for_its_file_has_them_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = [weight("w", np.ones((2000, 3))), weight("v", [1, 2, 3])]
    nodes = [node("ReduceMean", ["w"], ["r"], axes=[0]), node("Add", ["x", "r"], ["t"])]
    path = written(tmp_path / "in", weights, [*nodes, node("Add", ["t", "v"], ["y"])])
    monkeypatch.setattr(placing, "LIMIT", 20_000)
    out = path.with_name("out.onnx")
    save(load(path), out)
    assert (path.parent / "out.onnx.data").stat().st_size == 24_000
    assert same(run(path), run(out))
    saved_twice_is_the_same(out)


def test_what_lies_in_the_file_that_is_replaced_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OUT.data is read from while a new OUT.data is written."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "out.onnx.data").write_bytes(np.full((2000, 3), 2, np.float32).tobytes())
    weights = [outside("w", "out.onnx.data", 0, 24_000, 2000, 3), weight("v", np.ones((2000, 3)))]
    nodes = [
        node("Add", ["w", "v"], ["s"]),
        node("ReduceMean", ["s"], ["r"], axes=[0]),
        node("Add", ["x", "r"], ["y"]),
    ]
    path = written(folder, weights, nodes)
    expected = run(path)
    monkeypatch.setattr(placing, "LIMIT", 20_000)
    save(load(path), folder / "out.onnx")
    assert same(run(folder / "out.onnx"), expected)


def test_links_within_the_folder_are_followed(tmp_path: Path) -> None:
    path = three(tmp_path / "in")
    data = path.parent / "one.bin"
    data.rename(path.parent / "real.bin")
    data.symlink_to("real.bin")
    save(load(path), path.with_name("out.onnx"))
    assert same(run(path.with_name("out.onnx")), expected())
    (tmp_path / "else").mkdir()
    save(load(path), tmp_path / "else" / "out.onnx")
    assert same(run(tmp_path / "else" / "out.onnx"), expected())


def test_a_model_that_is_a_link_may_have_its_data_beside_what_it_links_to(tmp_path: Path) -> None:
    """As model hubs lay out what they have downloaded."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    (blobs / "d1").write_bytes(np.ones(3, np.float32).tobytes())
    made = model([node("Add", ["x", "w"], ["y"])], [IN], [OUT], [outside("w", "m.data", 0, 12, 3)])
    (blobs / "d2").write_bytes(made.SerializeToString())
    (snapshot / "m.onnx").symlink_to(blobs / "d2")
    (snapshot / "m.data").symlink_to(blobs / "d1")
    graph = load(snapshot / "m.onnx")
    save(graph, snapshot / "out.onnx")
    assert sorted(p.name for p in snapshot.iterdir()) == [
        *("m.data", "m.onnx", "out.onnx", "out.onnx.data")
    ]
    assert not (snapshot / "out.onnx.data").is_symlink()


@pytest.mark.parametrize(
    ("location", "offset", "length", "said"),
    [
        ("../secret", 0, 12, "may lead out of the model's folder"),
        ("sub/../data", 0, 12, "may lead out of the model's folder"),
        ("link", 0, 12, "outside the model's folder"),
        ("linked/secret", 0, 12, "outside the model's folder"),
        ("/etc/passwd", 0, 12, "no relative path"),
        ("", 0, 12, "no relative path"),
        ("a\0b", 0, 12, "no relative path"),
        ("gone", 0, 12, "missing"),
        ("sub", 0, 12, "which is a folder"),
        ("data", 1, 12, "which has 12"),
        ("data", -1, 12, "lies at bytes -1"),
        ("data", 0, 11, "has 11 bytes"),
        ("data", 0, -12, "lies at bytes"),
        ("data", "x", 12, "no number"),
        ("data", 10**30, 12, "which has 12"),
    ],
)
def test_data_in_a_wrong_place_is_refused(
    location: str, offset: int, length: int, said: str, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"x" * 12)
    (folder / "data").write_bytes(b"x" * 12)
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path)
    path = written(
        folder, [outside("w", location, offset, length, 3)], [node("Add", ["x", "w"], ["y"])]
    )
    with pytest.raises(ModelError, match=said) as error:
        load(path)
    assert "\n" not in str(error.value)


def test_data_is_found_wherever_a_file_may_speak_of_it(tmp_path: Path) -> None:
    """In bodies, Constants, functions, attributes and sparse weights."""
    folder = tmp_path / "in"
    folder.mkdir()
    array = np.arange(3, dtype=np.float32)
    (folder / "d").write_bytes(array.tobytes() + np.array([0, 1, 2], np.int64).tobytes())
    there = outside("", "d", 0, 12, 3)
    then = body(
        [node("Add", ["x", "k"], ["r"])], [unranked("r")], weights=[outside("k", "d", 0, 12, 3)]
    )
    other = body([node("Constant", [], ["r"], value=there)], [unranked("r")])
    nodes = [
        node("Constant", [], ["c"], value=there),
        node("ConstantOfShape", ["s"], ["f"], value=outside("", "d", 4, 4, 1)),
        node("Plus", ["x"], ["p"], domain="my"),
        node("Add", ["p", "c"], ["q"]),
        node("Add", ["q", "z"], ["t"]),
        node("Add", ["t", "f"], ["u"]),
        node("If", ["yes"], ["v"], then_branch=then, else_branch=other),
        node("Add", ["u", "v"], ["y"]),
    ]
    plus = function(
        "Plus", [node("Constant", [], ["k"], value=there), node("Add", ["a", "k"], ["b"])]
    )
    weights = [weight("yes", True, np.bool_), weight("s", [3], np.int64)]
    made = model(nodes, [IN], [OUT], weights, ir=10, functions=[plus], domains=["my"])
    sparse = made.graph.sparse_initializer.add(dims=[3])
    sparse.values.CopyFrom(outside("z", "d", 0, 12, 3))
    sparse.indices.CopyFrom(outside("", "d", 12, 24, 3, kind=7))
    path = folder / "m.onnx"
    path.write_bytes(made.SerializeToString())
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "m.onnx"
    save(load(path), out)
    graph = load(out)
    (tmp_path / "in" / "d").unlink()
    loaded = onnx.load(out)
    (found,) = on_ort(loaded, FEED)
    assert np.allclose(found, FEED["x"] * 2 + array * 4 + 1)
    assert graph.header is not None


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = three(tmp_path / "in")
    graph = load(path)
    data = path.parent / "sub" / "two.bin"
    data.write_bytes(b"\1" * 24_000)
    os.utime(data, ns=(1, 1))
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelError, match=r"two\.bin has changed since"):
        save(graph, tmp_path / "out" / "m.onnx")
    assert not list((tmp_path / "out").iterdir())


def test_a_model_saved_over_itself_must_be_loaded_again(tmp_path: Path) -> None:
    weights = [weight("w", np.ones((2000, 3)))]
    nodes = [node("ReduceMean", ["w"], ["r"], axes=[0]), node("Add", ["x", "r"], ["y"])]
    path = written(tmp_path / "in", weights, nodes)
    expected = run(path)
    graph = load(path)
    save(graph, path)
    assert same(run(path), expected)
    with pytest.raises(ModelError, match="load it again"):
        save(graph, path.with_name("other.onnx"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells memory by its kind")
def test_weights_are_copied_in_pieces(tmp_path: Path) -> None:
    size = 320 << 20
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    with (folder / "holes").open("wb") as file:
        file.truncate(size)
    weights = [outside("w", "holes", 0, size, size // 4)]
    nodes = [node("ReduceMean", ["w"], ["r"], keepdims=0), node("Add", ["x", "r"], ["y"])]
    path = written(folder, weights, nodes)
    done = subprocess.run(
        [sys.executable, "-c", HUGE, str(path), str(out / "m.onnx")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (out / "m.onnx.data").stat().st_size == size
    (out / "m.onnx.data").unlink()
    assert int(done.stdout) < 250, "MiB"


HUGE = """
import sys
from graphwright.backends.onnx import save
from graphwright.frontends.onnx import load
graph = load(sys.argv[1])
save(graph, sys.argv[2])
lines = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(int(lines["VmHWM"].split()[0]) // 1024)  # ru_maxrss is what the parent had, if that is more
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells memory by its kind")
def test_a_model_of_many_gibibytes_takes_little_memory(tmp_path: Path) -> None:
    rows, count = 1 << 20, 6
    size = rows * 256 * 4  # a GiB each, and next to nothing on disk
    folder = tmp_path / "in"
    folder.mkdir()
    with (folder / "holes").open("wb") as file:
        file.truncate(size * count)
    weights = [outside(f"w{i}", "holes", i * size, size, 256, rows) for i in range(count)]
    nodes = [node("ReduceMean", [f"w{i}"], [f"r{i}"], keepdims=0) for i in range(count)]
    total = node("Sum", ["x", *(f"r{i}" for i in range(count))], ["y"])
    path = written(folder, weights, [*nodes, total])
    done = subprocess.run(
        [sys.executable, "-c", HUGE, str(path), str(folder / "out.onnx")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 400, "MiB"
    assert (folder / "out.onnx").stat().st_size < 10_000
