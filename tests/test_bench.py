"""`bench` times two models side by side."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.calling import MLP, Run, sentence, written

import graphwright as gw
from graphwright.benching import bench


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return written(tmp_path / "other.onnx", MLP.replace("Tanh", "Sigmoid"))


def test_it_says_how_long_each_takes(model: Path, other: Path, graphwright: Run) -> None:
    status, out, error = graphwright("bench", model, other, "--runs", 6)
    assert (status, error) == (0, "")
    first, second, ratio, how = out.splitlines()
    assert first.startswith("model.onnx  ")
    assert " ms  (" in second
    assert " times as fast (" in ratio
    assert how == "medians and quartiles of 6 runs each, on x 1x8"


def test_json(model: Path, other: Path, graphwright: Run) -> None:
    said = json.loads(graphwright("bench", model, other, "--runs", 5, "--json")[1])
    assert said["schema"] == 1
    assert said["runs"] == 5
    assert said["before"]["low"] <= said["before"]["median"] <= said["before"]["high"]
    assert said["ratio"] > 0
    assert said["inputs"] == {"x": "1x8"}


def test_shapes_and_data(model: Path, other: Path, graphwright: Run, tmp_path: Path) -> None:
    out = graphwright("bench", model, other, "--runs", 2, "--shape", "x=3x8")[1]
    assert "on x 3x8" in out
    np.savez(tmp_path / "d.npz", x=np.ones((5, 8), np.float32))
    out = graphwright("bench", model, other, "--runs", 2, "--data", tmp_path / "d.npz")[1]
    assert "on x 5x8" in out


def test_models_of_other_inputs(model: Path, graphwright: Run, tmp_path: Path) -> None:
    renamed = written(tmp_path / "r.onnx", "y = Tanh(z)", given="float[B,8] z")
    status, out, error = graphwright("bench", model, renamed, "--runs", 2)
    assert (status, out) == (2, "")
    assert "the two cannot be compared" in sentence(error, "graphwright")


def test_a_model_that_does_not_run(graphwright: Run, tmp_path: Path) -> None:
    odd = written(tmp_path / "odd.onnx", "h = MatMul(x, w) y = Unheard(h)")
    status, out, error = graphwright("bench", odd, odd, "--runs", 2)
    assert (status, out) == (2, "")
    assert sentence(error, "graphwright")


@pytest.mark.parametrize("runs", ["0", "-1", "x"])
def test_runs_that_cannot_be(runs: str, model: Path, graphwright: Run) -> None:
    status, _, error = graphwright("bench", model, model, "--runs", runs)
    assert status == 2
    assert "--runs" in sentence(error, "graphwright")


def test_it_stops_after_some_seconds(
    model: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphwright.benching.SECONDS", 0.0)
    found = bench(gw.load(model), gw.load(other))
    assert found.runs == 5


def test_the_runtime_stays_in_the_child(model: Path, other: Path) -> None:
    program = (
        "import sys\n"
        "from graphwright import cli\n"
        f"args = ['bench', {str(model)!r}, {str(other)!r}, '--runs', '2']\n"
        "cli.run(cli.graphwright, 'graphwright', args)\n"
        "assert 'onnxruntime' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
