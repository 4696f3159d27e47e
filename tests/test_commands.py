"""The commands of `graphwright` beside optimize, bisect and bench."""

import json
from pathlib import Path

from tests.calling import MLP, Run, sentence, written


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
