"""What is wrong with what `optimize` is given is one sentence, and nothing is written."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser
from tests.calling import HEAD, Run, hash_of, sentence, written

ROOT = Path(__file__).resolve().parent.parent


def test_no_such_file(optimize: Run, tmp_path: Path) -> None:
    status, out, error = optimize(tmp_path / "none.onnx")
    assert (status, out) == (2, "")
    assert sentence(error) == f"{tmp_path / 'none.onnx'}: No such file or directory"


@pytest.mark.parametrize("kind", ["folder", "empty", "text", "cut short", "no graph"])
def test_what_is_no_model(kind: str, model: Path, optimize: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    match kind:
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
        case "text":
            path.write_text("this is no model\n" * 100)
        case "cut short":
            path.write_bytes(model.read_bytes()[:-40])
        case "no graph":
            path.write_bytes(onnx.ModelProto(ir_version=8).SerializeToString())
    status, out, error = optimize(path)
    assert (status, out) == (2, "")
    assert str(path) in sentence(error)
    assert not list(tmp_path.glob("*.opt.onnx"))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--verfy"], "there is no option --verfy; did you mean --no-verify?"),
        (["--aply", "x"], "there is no option --aply; did you mean --apply?"),
        (["--zzzz"], "there is no option --zzzz; see `optimize --help`"),
        (["--apply", "fuse-gelo"], "no rule 'fuse-gelo'; did you mean 'fuse-gelu'?"),
        (["--skip", "drop-identiy"], "there is no rule 'drop-identiy'; did you mean 'drop-ident"),
        (["--apply", "zzz"], "no rule 'zzz'; see `graphwright techniques` and `graphwright rules`"),
        (["--apply", "fuse-gelu:bits=4"], "the rule 'fuse-gelu' takes no knobs, layers or heads"),
        (["--apply", "fuse-gelu@layers=0-3"], "the rule 'fuse-gelu' takes no knobs, layers or"),
        (["--apply", "fuse-gelu@heads=1,2"], "the rule 'fuse-gelu' takes no knobs, layers or"),
        (["--apply", "fuse-gelu@axes=1"], "'fuse-gelu@axes=1': '@axes=1' is neither @layers="),
        (["--apply", "fuse-gelu@layers=3-1"], "the range '3-1' is empty"),
        (["--apply", "fuse-gelu:bits"], "'fuse-gelu:bits': 'bits' sets no knob"),
        (["--apply", ":"], "':' asks for nothing that can be understood"),
        (["--target", "orrt"], "there is no target 'orrt'; did you mean 'ort'?"),
        (["--shape", "x"], "--shape x: write it as INPUT=1x128"),
        (["--shape", "x=ax8"], "--shape x=ax8: write it as INPUT=1x128"),
        (["--shape", "z=1x8"], "there is no input 'z' to give a shape to; there are 'x'"),
        (["--shape", "x=1x9"], "a 9 stands where the model has 8"),
        (["--shape", "x=8"], "it has 2 axes"),
        (["--opset", "12"], "cannot be lowered to 12"),
        (["--opset", "many"], "'many' is not a valid integer"),
        (["extra"], "extra argument (extra)"),
        (["-o"], "Option '-o' requires an argument"),
    ],
)
def test_arguments_that_cannot_be(args: list[str], said: str, model: Path, optimize: Run) -> None:
    status, out, error = optimize(model, *args)
    assert (status, out) == (2, "")
    assert said.lower() in sentence(error).lower()
    assert os.listdir(model.parent) == ["model.onnx"]


def test_nothing_to_optimize(optimize: Run) -> None:
    assert sentence(optimize()[2]) == "MODEL is missing; see `optimize --help`"


def test_the_output_is_the_input(model: Path, optimize: Run) -> None:
    before = hash_of(model)
    status, _, error = optimize(model, "-o", model.parent / "." / model.name)
    assert status == 2
    assert "is the model itself" in sentence(error)
    assert hash_of(model) == before


def test_where_nothing_can_be_written(
    model: Path, optimize: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "there is no folder" in sentence(optimize(model, "-o", tmp_path / "no" / "o.onnx")[2])
    assert "is a folder" in sentence(optimize(model, "-o", tmp_path)[2])
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)  # root may write anywhere
    assert "is read-only" in sentence(optimize(model)[2])


def test_a_full_disk_leaves_nothing_behind(
    model: Path, optimize: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    status, _, error = optimize(model)
    assert status == 2
    assert "No space left on device" in sentence(error)
    assert os.listdir(model.parent) == ["model.onnx"]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"z": np.ones((2, 8), np.float32)}, "the data has nothing for the inputs 'x'"),
        ({"x": np.ones((2, 8), "f4"), "z": np.ones(2)}, "the data has 'z'"),
        ({"x": np.ones((2, 9), np.float32)}, "its data has the shape [2, 9]"),
        ({"x": np.ones(8, np.float32)}, "its data has the shape [8]"),
        ({"x": np.ones((2, 8), np.int64)}, "the input 'x' is f32, and its data is i64"),
        ({"x": np.full((2, 8), np.nan, np.float32)}, "the data for 'x' holds NaN"),
        ({"x": np.ones((0, 8), np.float32)}, "the data holds no samples"),
        ({"x": np.array([object()])}, "not an npz file of arrays"),
        ({}, "the data has nothing for the inputs 'x'"),
    ],
)
def test_data_that_does_not_fit(
    arrays: dict[str, np.ndarray], said: str, model: Path, optimize: Run, tmp_path: Path
) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    status, out, error = optimize(model, "--data", tmp_path / "d.npz")
    assert (status, out) == (2, "")
    assert said in sentence(error)


def test_data_that_is_none(model: Path, optimize: Run, tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    assert sentence(optimize(model, "--data", path)[2]) == f"{path}: No such file or directory"
    path.write_text("x = 1")
    assert "not an npz file" in sentence(optimize(model, "--data", path)[2])
    path.write_bytes(b"")
    assert "not an npz file" in sentence(optimize(model, "--data", path)[2])
    folder = tmp_path / "empty"
    folder.mkdir()
    assert "holds no npz files" in sentence(optimize(model, "--data", folder)[2])
    np.savez(folder / "a.npz", x=np.ones((2, 8), "f4"))
    np.savez(folder / "b.npz", y=np.ones((2, 8), "f4"))
    assert "set 2 of the data: the data has nothing" in sentence(
        optimize(model, "--data", folder)[2]
    )


def test_a_model_that_the_runtime_refuses_is_not_written(optimize: Run, tmp_path: Path) -> None:
    path = written(tmp_path / "odd.onnx", "h = MatMul(x, w) t = Tanh(h) y = Unheard(t)")
    status, _, error = optimize(path)
    assert status in (1, 2)
    assert sentence(error)
    assert os.listdir(tmp_path) == ["odd.onnx"]


def test_interrupted_while_it_writes(
    model: Path, optimize: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stop)
    status, _, error = optimize(model)
    assert status == 130
    assert sentence(error) == "interrupted; nothing was written"
    assert os.listdir(model.parent) == ["model.onnx"]


ENDLESS = """
    h = MatMul(x, w)
    y = Loop(trips, always, h) <body = turn (int64 i, bool c, float[B,8] a)
        => (bool again, float[B,8] b) { again = Identity(c) b = Tanh(a) }>
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for children in /proc")
def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "endless.onnx"
    model = parser.parse_model(f"{HEAD} g (float[B,8] x) => (float[B,8] y) {{ {ENDLESS} }}")
    for name, array in (
        ("w", np.eye(8, dtype=np.float32)),
        ("trips", np.array(2**60)),
        ("always", np.array(True)),
    ):
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    onnx.save(model, path)
    command = [sys.executable, "-m", "graphwright", "optimize", str(path)]
    # A shell that runs this in the background has the signal ignored, also by what it starts.
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        signal.signal(signal.SIGINT, heard)
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
        end = time.monotonic() + 60
        while not children.read_text().strip() and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        out, error = running.communicate(timeout=30)
    assert running.returncode == 130
    assert (out, error.decode()) == (b"", "graphwright: interrupted; nothing was written\n")
    assert os.listdir(tmp_path) == ["endless.onnx"]


@pytest.mark.parametrize("start", ["main", "optimize_main"])
def test_ctrl_c_while_it_is_imported(start: str) -> None:
    interrupt = "raise KeyboardInterrupt"
    program = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name in ('click', 'numpy', 'graphwright.cli'): {interrupt}\n"
        f"from graphwright.start import {start}\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        f"{start}()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    name = "graphwright" if start == "main" else "optimize"
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == f"{name}: interrupted; nothing was written\n"


def test_the_commands_start_where_ctrl_c_is_heard() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert all(start.startswith("graphwright.start:") for start in scripts.values())


def test_an_operator_that_nobody_knows_is_carried(optimize: Run, tmp_path: Path) -> None:
    path, out = tmp_path / "foo.onnx", tmp_path / "out.onnx"
    node = helper.make_node("Foo", ["x"], ["y"], domain="nobody")
    kind = helper.make_tensor_value_info("x", 1, ["B", 4])
    graph = helper.make_graph([node], "g", [kind], [helper.make_empty_tensor_value_info("y")])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("nobody", 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    status, said, _ = optimize(path, "-o", out)
    assert status == 0
    assert "the whole was not verified" in " ".join(said.split())
    assert onnx.load(out).graph.node[0].op_type == "Foo"


def test_a_node_that_is_no_valid_onnx(optimize: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    kind = helper.make_tensor_value_info("x", 1, ["B", 4])
    node = helper.make_node("Softmax", ["x"], ["y"], axis="last")
    out = helper.make_empty_tensor_value_info("y")
    graph = helper.make_graph([node], "g", [kind], [out])
    imports = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    status, _, error = optimize(path)
    assert status == 2
    assert "is no valid ONNX" in sentence(error)


def test_what_is_read_is_never_written_over(model: Path, optimize: Run, tmp_path: Path) -> None:
    data = tmp_path / "d.npz"
    np.savez(data, x=np.ones((4, 8), np.float32))
    before = data.read_bytes()
    assert "is read here" in sentence(optimize(model, "--data", data, "-o", data)[2])
    assert data.read_bytes() == before
    weights = tmp_path / "w.bin"
    proto = onnx.load(model)
    onnx.save(
        proto, tmp_path / "big.onnx", save_as_external_data=True, location="w.bin", size_threshold=0
    )
    before = weights.read_bytes()
    status, _, error = optimize(tmp_path / "big.onnx", "-o", weights)
    assert status == 2
    assert "is read here" in sentence(error)
    assert weights.read_bytes() == before


def test_a_folder_is_no_model(optimize: Run) -> None:
    assert "is a folder" in sentence(optimize(".")[2])
    assert "is a folder" in sentence(optimize("/")[2])


def test_a_shape_is_given_once(model: Path, optimize: Run) -> None:
    error = optimize(model, "--shape", "x=1x8", "--shape", "x=2x8")[2]
    assert "given twice" in sentence(error)
