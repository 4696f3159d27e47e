"""The command line: exit statuses, one sentence for what is wrong, nothing written by accident."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from graphwright import cli
from graphwright.commands import optimize_command
from graphwright.ir.contracts import Exact
from graphwright.ir.graph import Value
from graphwright.passes import rule as rules_of
from graphwright.passes.pattern import Tanh, var
from graphwright.passes.rule import Builder, Match, rule
from graphwright.verification.judge import Verdict

HEAD = '<ir_version: 8, opset_import: ["" : 17]>'
MLP = """
    h = MatMul(x, w)
    s = Div(h, root)
    e = Erf(s)
    u = Add(e, one)
    p = Mul(h, u)
    g = Mul(p, half)
    t = Tanh(g)
    y = Identity(t)
"""
Run = Callable[..., tuple[int, str, str]]


def written(path: Path, body: str = MLP, given: str = "float[B,8] x", gives: str = "y") -> Path:
    """A model from the text of its nodes; `w` is a random matrix."""
    model = parser.parse_model(f"{HEAD} g ({given}) => (float[B,8] {gives}) {{ {body} }}")
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((8, 8), np.float32), "root": 2**0.5, "one": 1, "half": 0.5}
    for name, value in weights.items():
        if f"{name})" in body:
            array = np.asarray(value, np.float32)
            model.graph.initializer.append(numpy_helper.from_array(array, name))
    onnx.save(model, path)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return written(tmp_path / "model.onnx")


@pytest.fixture
def optimize(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `optimize`: the exit status, and what it said on stdout and stderr."""

    def called(*args: object) -> tuple[int, str, str]:
        status = cli.run(optimize_command.command, "optimize", [str(a) for a in args])
        return status, *capsys.readouterr()

    return called


@pytest.fixture
def graphwright(capsys: pytest.CaptureFixture[str]) -> Run:
    def called(*args: object) -> tuple[int, str, str]:
        status = cli.run(cli.graphwright, "graphwright", [str(a) for a in args])
        return status, *capsys.readouterr()

    return called


@pytest.fixture
def wrong_rule() -> Iterator[str]:
    """A rule that says it is exact, and is not."""

    @rule(Tanh(var("x")), Exact())
    def break_tanh(m: Match, op: Builder) -> Value:
        """tanh(x)  ->  sigmoid(x), which is wrong."""
        return op.Sigmoid(m.x)

    yield break_tanh.name
    del rules_of.RULES[break_tanh.name]


def sentence(error: str, name: str = "optimize") -> str:
    """The one line on stderr, without the command's name."""
    assert error.count("\n") == 1, error
    assert error.startswith(f"{name}: ")
    assert "Traceback" not in error
    return error.removeprefix(f"{name}: ").strip()


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# What optimize does.


def test_it_writes_beside_the_model_and_says_what_was_done(model: Path, optimize: Run) -> None:
    before = hash_of(model)
    status, out, error = optimize(model)
    assert status == 0
    assert error == ""
    assert model.with_name("model.opt.onnx").is_file()
    assert hash_of(model) == before
    assert sorted(p.name for p in model.parent.iterdir()) == ["model.onnx", "model.opt.onnx"]
    for said in ("fuse-gelu", "drop-identity", "Gelu", "the same function", "model.opt.onnx"):
        assert said in out
    assert max(map(len, out.replace(str(model.parent), "").splitlines())) <= 100


def test_the_same_input_gives_the_same_bytes(model: Path, optimize: Run, tmp_path: Path) -> None:
    for name in ("one.onnx", "two.onnx"):
        assert optimize(model, "-o", tmp_path / name, "-q")[0] == 0
    assert hash_of(tmp_path / "one.onnx") == hash_of(tmp_path / "two.onnx")


def test_quiet_says_nothing(model: Path, optimize: Run) -> None:
    assert optimize(model, "-q") == (0, "", "")


def test_verbose_says_each_rewrite(model: Path, optimize: Run) -> None:
    assert "fuse-gelu  " in optimize(model, "-v")[1]


def test_a_dry_run_writes_nothing(model: Path, optimize: Run) -> None:
    status, out, _ = optimize(model, "--dry-run")
    assert status == 0
    assert "written    nothing" in out
    assert os.listdir(model.parent) == ["model.onnx"]


def test_json_is_all_there_is(model: Path, optimize: Run) -> None:
    status, out, error = optimize(model, "--json", "-v")
    assert (status, error) == (0, "")
    said = json.loads(out)
    assert said["schema"] == 1
    assert said["ok"] is True
    assert {"fuse-gelu", "drop-identity"} <= {r["rule"] for r in said["rewrites"]}
    assert said["verified"]["outputs"][0]["name"] == "y"
    assert said["written"].endswith("model.opt.onnx")
    assert said["nodes_before"]["Erf"] == 1
    assert said["nodes_after"] == {"Gelu": 1, "MatMul": 1, "Tanh": 1}


def test_rules_can_be_left_out(model: Path, optimize: Run) -> None:
    out = optimize(model, "--skip", "fuse-gelu", "--json")[1]
    assert "Gelu" not in json.loads(out)["nodes_after"]


def test_without_verification_nothing_is_run(model: Path, optimize: Run) -> None:
    out = optimize(model, "--no-verify", "--json")[1]
    assert json.loads(out)["verified"] is None


def test_shapes_are_fixed(model: Path, optimize: Run, tmp_path: Path) -> None:
    assert optimize(model, "--shape", "x=3x8", "-o", tmp_path / "o.onnx")[0] == 0
    made = onnx.load(tmp_path / "o.onnx").graph
    dims = made.input[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in dims] == [3, 8]


def test_data_is_what_it_is_checked_on(model: Path, optimize: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones((4, 8), np.float32))
    out = optimize(model, "--data", tmp_path / "d.npz", "--json")[1]
    assert json.loads(out)["verified"]["inputs"] == "the data given"
    folder = tmp_path / "several"
    folder.mkdir()
    for i in range(3):
        np.savez(folder / f"{i}.npz", x=np.full((2, 8), i, np.float32))
    assert optimize(model, "--data", folder, "-q") == (0, "", "")


def test_a_rewrite_that_breaks_its_contract_is_left_out_and_named(
    model: Path, optimize: Run, wrong_rule: str
) -> None:
    status, out, error = optimize(model, "--apply", wrong_rule)
    assert status == 0
    assert sentence(error).startswith("break-tanh was left out at ")
    assert "break-tanh" not in out
    kept = onnx.load(model.with_name("model.opt.onnx")).graph.node
    assert "Tanh" in [n.op_type for n in kept]
    status, out, error = optimize(model, "--apply", wrong_rule, "--json")
    assert [r["rule"] for r in json.loads(out)["left_out"]] == ["break-tanh"]
    assert error == ""


def test_a_whole_that_is_not_the_same_is_not_written(
    model: Path, optimize: Run, wrong_rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def believe(fragments: Sequence[object], *_: object) -> list[Verdict]:
        return [Verdict(True)] * len(fragments)

    monkeypatch.setattr("graphwright.api.check_fragments", believe)
    status, out, error = optimize(model, "--apply", wrong_rule)
    assert status == 1
    assert os.listdir(model.parent) == ["model.onnx"]
    said = sentence(error)
    assert said.startswith("the result is not the same function, so it was not written: 'y'")
    assert "it begins at" in said
    assert "written    nothing" in out


# What is wrong is said in one sentence.


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
        (["--apply", "fuse-gelo"], "there is no rule 'fuse-gelo'; did you mean 'fuse-gelu'?"),
        (["--skip", "drop-identiy"], "there is no rule 'drop-identiy'; did you mean 'drop-ident"),
        (["--apply", "zzz"], "there is no rule 'zzz'; see `graphwright rules`"),
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
    assert "does not hold the same arrays" in sentence(optimize(model, "--data", folder)[2])


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
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
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


# The console scripts and their help.


def script(*command: str) -> subprocess.CompletedProcess[str]:
    folder = Path(sys.executable).parent
    return subprocess.run(
        [str(folder / command[0]), *command[1:]], capture_output=True, text=True, check=False
    )


def test_the_scripts_are_there(model: Path) -> None:
    done = script("optimize", str(model), "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = script("graphwright", "diff", str(model), str(model.with_name("model.opt.onnx")))
    assert done.returncode == 1
    assert "-> Gelu (fuse-gelu, within tolerance" in done.stdout


def test_help_names_every_command(graphwright: Run) -> None:
    for args in ([], ["--help"]):
        status, out, _ = graphwright(*args)
        assert status == 0
        assert all(name in out for name in cli.COMMANDS)


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_has_help(name: str, graphwright: Run) -> None:
    status, out, _ = graphwright(name, "--help")
    assert status == 0
    assert out.startswith(f"Usage: graphwright {name}")


def test_an_unknown_command(graphwright: Run) -> None:
    status, _, error = graphwright("optimise", "x")
    assert status == 2
    said = sentence(error, "graphwright")
    assert said == "there is no command 'optimise'; did you mean 'optimize'?"


# The other commands.


def test_diff(model: Path, optimize: Run, graphwright: Run) -> None:
    optimize(model, "-q")
    after = model.with_name("model.opt.onnx")
    assert graphwright("diff", model, model) == (0, "", "")
    status, out, _ = graphwright("diff", model, after)
    assert status == 1
    assert "@@ 5 nodes -> Gelu (fuse-gelu, within tolerance, " in out
    assert "@@ 1 node removed: Identity" in out
    status, out, _ = graphwright("diff", model, after, "--json")
    assert status == 1
    assert json.loads(out)["same"] is False
    status, _, error = graphwright("diff", model, model.with_name("none.onnx"))
    assert status == 2
    assert "No such file" in sentence(error, "graphwright")


def test_verify(model: Path, optimize: Run, graphwright: Run, tmp_path: Path) -> None:
    optimize(model, "-q")
    after = model.with_name("model.opt.onnx")
    status, out, _ = graphwright("verify", model, after)
    assert status == 0
    assert "max abs" in out
    assert "is the same function as" in out
    status, out, _ = graphwright("verify", model, after, "--json")
    assert json.loads(out)["ok"] is True
    other = written(tmp_path / "other.onnx", MLP.replace("Tanh", "Sigmoid"))
    status, out, _ = graphwright("verify", model, other)
    assert status == 1
    assert "is not the same function as" in out
    assert "it begins at 't'" in out
    renamed = written(tmp_path / "renamed.onnx", MLP.replace("y =", "z ="), gives="z")
    status, out, _ = graphwright("verify", model, renamed)
    assert status == 1
    assert "the outputs were" in out


def test_verify_what_does_not_run(graphwright: Run, tmp_path: Path) -> None:
    odd = written(tmp_path / "odd.onnx", "h = MatMul(x, w) y = Unheard(h)")
    status, out, error = graphwright("verify", odd, odd)
    assert (status, out) == (2, "")
    assert "nothing was compared" in sentence(error, "graphwright")


def test_rules(graphwright: Run) -> None:
    status, out, _ = graphwright("rules")
    assert status == 0
    line = next(line for line in out.splitlines() if " fuse-gelu " in line)
    assert line.startswith("* ")
    assert "within tolerance" in line
    assert "Gelu(x)" in line
    found = json.loads(graphwright("rules", "--json")[1])["rules"]
    assert {"name", "contract", "default", "formula"} <= set(found[0])


def test_explain_a_rule(graphwright: Run) -> None:
    status, out, _ = graphwright("explain", "fuse-gelu")
    assert status == 0
    for said in ("fuse-gelu: within tolerance", "Source: Hendrycks", "becomes", "because:"):
        assert said in out
    status, _, error = graphwright("explain", "fuse-gelo")
    assert status == 2
    assert "did you mean 'fuse-gelu'?" in sentence(error, "graphwright")


def test_explain_a_model(graphwright: Run, tmp_path: Path) -> None:
    nearly = written(tmp_path / "nearly.onnx", MLP.replace("Mul(p, half)", "Mul(p, one)"))
    status, out, _ = graphwright("explain", nearly, "--rule", "fuse-gelu")
    assert status == 0
    assert "fuse-gelu" in out
    assert "1 place: the pattern does not fit around it" in out
    assert "Erf e" in out


def test_explain_a_rule_that_fits(model: Path, graphwright: Run, wrong_rule: str) -> None:
    status, out, _ = graphwright("explain", model)
    assert status == 0
    assert f"it fits, but only runs where asked for: --apply {wrong_rule}" in out


def test_show(model: Path, graphwright: Run) -> None:
    status, out, _ = graphwright("show", model)
    assert status == 0
    assert "Erf(" in out
    assert out.startswith("def g(x: f32[B, 8]):")
