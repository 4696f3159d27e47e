"""Bad input is one sentence, and nothing is written: no traceback, no half file, no crash."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.onnx_building import body, info, is_valid, model, node, unranked, weight
from tests.test_onnx_carried import functions
from tests.test_onnx_notes import noted
from tests.test_onnx_roundtrip import MODELS

from graphwright.backends.onnx import save, stream
from graphwright.frontends.onnx import from_proto, load
from graphwright.ir.errors import ModelError
from graphwright.ir.problems import problems

IN, OUT = info("x", "B", 3), info("y", "B", 3)
SEEDS = [make()[0] for make in MODELS.values()] + [functions(), noted()]
FILES = [seed.SerializeToString() for seed in SEEDS]


def refused(data: bytes, folder: Path, inline: bool = False) -> str:
    """Why a file is refused; "" where it is not, and then what is written is as good as it."""
    path, out = folder / "m.onnx", folder / "out.onnx"
    path.write_bytes(data)
    out.unlink(missing_ok=True)
    try:
        graph = load(path, inline=inline)
        list(problems(graph))
        save(graph, out)
    except ModelError as error:
        said = str(error)
        assert said
        assert "\n" not in said
        assert sorted(p.name for p in folder.iterdir()) == ["m.onnx"], "nothing is written"
        return said
    again = folder / "again.onnx"
    save(load(out), again)
    assert again.read_bytes() == out.read_bytes()
    if not inline:
        assert is_valid(onnx.load(out)) or not is_valid(onnx.load(path))
    again.unlink()
    return ""


NOT_MODELS = {
    "nothing": b"",
    "text": b"this is a text, and no model at all\n" * 20,
    "an archive": b"PK\x03\x04" + bytes(range(256)) * 4,
    "zeros": bytes(1000),
    "noise": np.random.default_rng(0).bytes(5000),
    "a tensor": weight("w", np.ones(100)).SerializeToString(),
    "a model without a graph": onnx.ModelProto(ir_version=8).SerializeToString(),
    "two graphs": model([], [IN], [IN]).SerializeToString() * 2,
}


@pytest.mark.parametrize("name", NOT_MODELS)
def test_what_is_no_model_is_refused(name: str, tmp_path: Path) -> None:
    assert refused(NOT_MODELS[name], tmp_path)


def test_a_model_cut_short_is_refused_or_whole(tmp_path: Path) -> None:
    for data in (functions().SerializeToString(), noted().SerializeToString()):
        for end in range(0, len(data), 3):
            refused(data[:end], tmp_path)


@settings(
    max_examples=600,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    file=st.sampled_from(FILES),
    flips=st.lists(st.tuples(st.floats(0, 0.999999), st.integers(0, 255)), min_size=1, max_size=8),
    inline=st.booleans(),
)
def test_a_model_with_bytes_changed_is_refused_or_valid(
    file: bytes, flips: list[tuple[float, int]], inline: bool, tmp_path: Path
) -> None:
    data = bytearray(file)
    for where, byte in flips:
        data[int(where * len(data))] = byte
    for leftover in tmp_path.iterdir():
        leftover.unlink()
    refused(bytes(data), tmp_path, inline)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(40))
def test_many_models_with_bytes_changed_are_refused_or_valid(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(2000):
        data = bytearray(FILES[rng.integers(len(FILES))])
        for _ in range(rng.integers(1, 9)):
            data[rng.integers(len(data))] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
        for leftover in tmp_path.iterdir():
            leftover.unlink()
        refused(bytes(data), tmp_path, bool(rng.integers(2)))


def _typed(field: str, *numbers: float) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[3])
    getattr(tensor, field).extend(numbers)
    return tensor


def _sparse(indices: object, dims: list[int]) -> onnx.ModelProto:
    made = model([node("Add", ["x", "w"], ["y"])], [IN], [OUT])
    sparse = made.graph.sparse_initializer.add(dims=dims)
    sparse.values.CopyFrom(weight("w", [1.0, 2.0]))
    sparse.indices.CopyFrom(weight("", indices, np.int64))
    return made


def _plain(*nodes: onnx.NodeProto, **more: object) -> onnx.ModelProto:
    return model(list(nodes), [IN], [OUT], **more)


def _twice(proto: onnx.ModelProto) -> onnx.ModelProto:
    proto.graph.node[0].attribute.append(proto.graph.node[0].attribute[0])
    return proto


def _imports(proto: onnx.ModelProto, *versions: int) -> onnx.ModelProto:
    del proto.opset_import[:]
    for version in versions:
        proto.opset_import.add(version=version)
    return proto


NEG = node("Neg", ["x"], ["y"], "first")
WRONG: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "a cycle": (
        lambda: _plain(node("Add", ["x", "b"], ["a"]), node("Neg", ["a"], ["b"]), NEG),
        "2 nodes stand in a cycle",
    ),
    "a node that reads itself": (lambda: _plain(node("Add", ["x", "y"], ["y"])), "in a cycle"),
    "what nothing gives": (lambda: _plain(node("Neg", ["q"], ["y"], "n")), "'n' reads 'q'"),
    "an output that nothing gives": (lambda: _plain(node("Neg", ["x"], ["z"])), "output 'y'"),
    "a name twice": (
        lambda: _plain(NEG, node("Abs", ["x"], ["y"], "second")),
        "'y' is given twice",
    ),
    "a name of an input": (lambda: _plain(node("Neg", ["x"], ["x"]), NEG), "'x' is given twice"),
    "an input twice": (lambda: model([NEG], [IN, IN], [OUT]), "'x' is given twice"),
    "a weight twice": (
        lambda: _plain(NEG, weights=[weight("w", [1]), weight("w", [2])]),
        "'w' is given twice",
    ),
    "an attribute twice": (
        lambda: _twice(_plain(node("Elu", ["x"], ["y"], alpha=1.0))),
        "the attribute 'alpha' twice",
    ),
    "no opset": (lambda: _imports(_plain(NEG)), "does not say which opset"),
    "an old opset": (lambda: _imports(_plain(NEG), 6), "opset 6; graphwright reads 7"),
    "two opsets": (lambda: _imports(_plain(NEG), 13, 17), "imports two versions"),
    "no outputs": (lambda: model([NEG], [IN], []), "without outputs"),
    "a weight of no type": (
        lambda: _plain(NEG, weights=[onnx.TensorProto(name="w", data_type=99, dims=[1])]),
        "no type or shape",
    ),
    "a weight of negative size": (
        lambda: _plain(NEG, weights=[onnx.TensorProto(name="w", data_type=1, dims=[-1])]),
        "no type or shape",
    ),
    "a weight without data": (lambda: _plain(NEG, weights=[_typed("float_data")]), "0 elements"),
    "a weight cut short": (lambda: _plain(NEG, weights=[_typed("float_data", 1, 2)]), "2 elements"),
    "a weight in the wrong field": (
        lambda: _plain(NEG, weights=[_typed("int32_data", 1, 2, 3)]),
        "0 elements",
    ),
    "sparse indices of another count": (lambda: _sparse([1], [3]), "do not fit"),
    "sparse indices of another rank": (lambda: _sparse([[1], [2]], [3, 3]), "do not fit"),
    "operands that do not fit": (
        lambda: _plain(
            node("Add", ["x", "w"], ["y"], "sum"), weights=[weight("w", np.ones((4, 5)))]
        ),
        "'sum' does not fit its inputs",
    ),
    "too few inputs": (lambda: _plain(node("Add", ["x"], ["y"], "sum")), "'sum' has 1 inputs"),
    "too many outputs": (lambda: _plain(node("Neg", ["x"], ["y", "z"])), "and 2 outputs"),
    "an axis that is not there": (
        lambda: _plain(node("Concat", ["x", "x"], ["y"], axis=7)),
        "does not fit",
    ),
    "a body that reads nothing": (
        lambda: model(
            [
                node(
                    "If",
                    ["c"],
                    ["y"],
                    then_branch=body([node("Neg", ["q"], ["r"])], [unranked("r")]),
                    else_branch=body([], [unranked("x")]),
                )
            ],
            [info("c", dtype=9), IN],
            [OUT],
        ),
        "'q', which nothing gives",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(name: str, tmp_path: Path) -> None:
    make, said = WRONG[name]
    assert said in refused(make().SerializeToString(), tmp_path)


def test_a_sparse_index_outside_is_said_when_it_is_read() -> None:
    graph = from_proto(_sparse([1, 3], [3]))
    const = graph.nodes()[0].inputs[1].const
    with pytest.raises(ModelError, match="has an index outside of it"):
        const.load()


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="irectory"):
        load(tmp_path)


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A model with a weight that is streamed, in a folder of its own."""
    weights = [weight("w", np.ones((100_000, 3)))]
    nodes = [node("ReduceMean", ["w"], ["r"], axes=[0]), node("Add", ["x", "r"], ["y"])]
    path = tmp_path / "in" / "m.onnx"
    path.parent.mkdir()
    path.write_bytes(model(nodes, [IN], [OUT], weights).SerializeToString())
    return path


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_what_is_interrupted_leaves_what_was_there(
    failure: BaseException, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = sound.with_name("out.onnx")
    out.write_bytes(b"what was there")

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(stream, "copy", fail)
    with pytest.raises(type(failure)):
        save(load(sound), out)
    assert out.read_bytes() == b"what was there"
    assert sorted(p.name for p in sound.parent.iterdir()) == ["m.onnx", "out.onnx"]


def test_a_full_disk_leaves_nothing(sound: Path) -> None:
    program = (
        "import sys\nfrom graphwright.frontends.onnx import load\n"
        "from graphwright.backends.onnx import save\n"
        "try:\n    save(load(sys.argv[1]), sys.argv[2])\n"
        "except OSError as error:\n    print(error.strerror)\n"
    )
    out = sound.with_name("out.onnx")
    done = subprocess.run(
        [sys.executable, "-c", program, str(sound), str(out)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.stdout == "File too large\n"
    assert sorted(p.name for p in sound.parent.iterdir()) == ["m.onnx"]


def test_only_files_are_written_over(sound: Path) -> None:
    graph = load(sound)
    with pytest.raises(ModelError, match="not a file"):
        save(graph, sound.parent)
    with pytest.raises(ModelError, match="does not exist"):
        save(graph, sound.parent / "gone" / "out.onnx")
    with pytest.raises(ModelError, match="not a file"):
        save(graph, os.devnull)


def test_a_new_file_has_the_permissions_of_any(sound: Path) -> None:
    plain, out = sound.with_name("plain"), sound.with_name("out.onnx")
    plain.touch()
    save(load(sound), out)
    assert out.stat().st_mode == plain.stat().st_mode
