"""What `optimize` writes and says, and how both commands start."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.calling import Run, hash_of, sentence

from graphwright import cli
from graphwright.verification.judge import Verdict

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
        np.savez(folder / f"{i}.npz", x=np.full((2 + i, 8), i, np.float32))
    assert optimize(model, "--data", folder, "-q") == (0, "", "")
    assert json.loads(optimize(model, "--data", folder, "--json")[1])["verified"]["runs"] == 3


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


def test_a_target_takes_the_operators_that_it_has(
    model: Path, optimize: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out.onnx"
    report = json.loads(optimize(model, "--target", "ort", "-o", out, "--json")[1])
    assert report["ok"]
    assert "lower-gelu" in [each["rule"] for each in report["rewrites"]]
    assert "com.microsoft" in {o.domain for o in onnx.load(out).opset_import}
    assert not onnx.load(out).functions
