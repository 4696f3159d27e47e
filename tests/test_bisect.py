"""`bisect` names the rewrite that breaks a model."""

import json
import math
from pathlib import Path

import pytest
from tests.calling import Run, sentence, written

import graphwright as gw
from graphwright.verification.verify import Verification

LAYER = "h{i} = MatMul({x}, w) i{i} = Identity(h{i}) {op} j{i} = Identity(o{i})"


def deep(path: Path, layers: int, tanh_at: int) -> Path:
    """Layers with two rewrites each, and one Tanh."""
    parts, x = [], "x"
    for i in range(layers):
        op = f"o{i} = {'Tanh' if i == tanh_at else 'Neg'}(i{i})"
        parts.append(LAYER.format(i=i, x=x, op=op))
        x = f"j{i}"
    return written(path, " ".join(parts) + f" s = Abs({x}) y = Softmax<axis = -1>(s)")


def test_nothing_is_wrong(model: Path, graphwright: Run) -> None:
    status, out, error = graphwright("bisect", model)
    assert (status, error) == (0, "")
    assert out.startswith("nothing is wrong: after ")
    found = gw.bisect(model)
    assert found.ok
    assert found.guilty is None
    assert found.tried == 1


def test_the_guilty_one_is_named(tmp_path: Path, graphwright: Run, wrong_rule: str) -> None:
    path = deep(tmp_path / "deep.onnx", layers=10, tanh_at=4)
    status, out, _ = graphwright("bisect", path, "--apply", wrong_rule)
    assert status == 1
    assert out.startswith("break-tanh (exact) breaks it at o4\n")
    assert "the whole  'y':" in out
    assert "its part   " in out
    status, out, _ = graphwright("bisect", path, "--apply", wrong_rule, "--json")
    assert status == 1
    said = json.loads(out)
    assert said["guilty"]["rule"] == "break-tanh"
    assert said["guilty"]["where"] == ["o4"]
    assert said["guilty"]["distance"] > 1e-3


def test_it_takes_few_runs(tmp_path: Path, wrong_rule: str) -> None:
    graph = gw.load(deep(tmp_path / "deep.onnx", layers=10, tanh_at=4))
    before = gw.show(graph)
    found = gw.bisect(graph, apply=[wrong_rule])
    assert found.guilty is not None
    assert found.guilty.rule == wrong_rule
    assert found.guilty.number <= found.rewrites
    assert found.tried <= 3 + math.ceil(math.log2(found.rewrites))
    assert gw.show(graph) == before


def test_without_the_wrong_rule_it_is_right(tmp_path: Path, wrong_rule: str) -> None:
    path = deep(tmp_path / "deep.onnx", layers=2, tanh_at=1)
    assert not gw.bisect(path, apply=[wrong_rule]).ok
    assert gw.bisect(path, apply=[wrong_rule], skip=[wrong_rule, "drop-identity"]).rewrites >= 0
    assert gw.bisect(path).ok


def test_a_model_of_chance(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def differs(*_: object) -> Verification:
        return Verification(False, "another number", (), 1, 0, "made")

    monkeypatch.setattr("graphwright.bisection.verify_graphs", differs)
    with pytest.raises(gw.ModelError, match="does not give the same twice"):
        gw.bisect(model)


def test_a_model_that_does_not_run(tmp_path: Path, graphwright: Run) -> None:
    path = written(tmp_path / "odd.onnx", "h = MatMul(x, w) y = Unheard(h)")
    status, out, error = graphwright("bisect", path)
    assert (status, out) == (2, "")
    assert "nothing was compared" in sentence(error, "graphwright")


@pytest.mark.parametrize("args", [["--apply", "zzz"], ["--data", "none.npz"], ["--shape", "x"]])
def test_bad_options(args: list[str], model: Path, graphwright: Run) -> None:
    status, out, error = graphwright("bisect", model, *args)
    assert (status, out) == (2, "")
    assert sentence(error, "graphwright")
