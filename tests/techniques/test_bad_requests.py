"""What is wrong in a file of one's own, or in what is asked of a technique, is one sentence."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from tests.calling import Run, optimize, sentence
from tests.models import encoder

from graphwright.applying import steps
from graphwright.ir.errors import ModelError

__all__ = ["optimize"]

HEAD = """
from graphwright import Example, normalizer

example = Example(
    "q: f32[B, 2, S, 4], k: f32[B, 2, T, 4], v: f32[B, 2, T, 4]",
    "Attention(q, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='')",
)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "encoder.onnx"
    onnx.save(encoder(), path)
    return path


def own(path: Path, gives: str, *, knobs: str = "", error: str = "None") -> Path:
    """A file with a normalizer."""
    head = f"{HEAD}\n@normalizer(example, error={error})\ndef mine({knobs}) -> str:\n"
    path.write_text(f"{head}    {gives}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("gives", "knobs", "error", "said"),
    [
        ("raise ValueError('no')", "", "None", "the formula of mine fails: ValueError: no"),
        ("raise SystemExit", "", "None", "the formula of mine fails: SystemExit"),
        ("return f'Relu(s) * {1 / k}'", "*, k: float = 0.0", "None", "ZeroDivisionError"),
        ("return 5", "", "None", "the formula of mine is 5, and no text"),
        ("return 'Relu(s)'", "k: float = 1.0", "None", "the parameter k has to stand behind"),
        ("return 'Relu(s)'", "", "lambda: 0.5", "bound of mine is 0.5, and not two numbers"),
        ("return 'Relu(s)'", "", "0.5", "bound of mine fails: TypeError"),
        ("return 'Relu(s)'\nexit(0)", "", "None", "mine.py: SystemExit: 0"),
        ("return (", "", "None", "mine.py, line 11: SyntaxError: '(' was never closed"),
    ],
)
def test_files_with_mistakes(gives: str, knobs: str, error: str, said: str, tmp_path: Path) -> None:
    path = own(tmp_path / "mine.py", gives, knobs=knobs, error=error)
    with pytest.raises(ModelError) as caught:
        steps([str(path)])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("ReduceSum(s)", "it gives one number for a whole row, and not one for each key"),
        ("s > 0.0", "its weights are bool, and the scores f32"),
    ],
)
def test_weights_that_are_no_row(
    formula: str, said: str, model: Path, optimize: Run, tmp_path: Path
) -> None:
    path = own(tmp_path / "mine.py", f"return '{formula}'")
    out = tmp_path / "out.onnx"
    status, _, error = optimize(model, "-o", out, "--apply", path, "-q")
    assert status == 2
    assert said in sentence(error)
    assert not out.exists()


def test_a_path_may_have_what_knobs_and_places_begin_with(tmp_path: Path) -> None:
    folder = tmp_path / "a@b:c"
    folder.mkdir()
    path = own(folder / "mine.py", "return f'Relu(s) * {k}'", knobs="*, k: float = 1.0")
    assert len(steps([f"{path}:k=2@layers=0"])) == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("log2-softmax:bits=4,bits=5", "sets a knob twice"),
        ("sigmoid-attention:bias=nan", "bias is a number, not NaN"),
        (f"dynamic-mask:keep=1{'0' * 400}", "keep is a whole number and less than 2^63"),
        (f"clipped-softmax:gamma=1{'0' * 400}", "gamma is"),
    ],
)
def test_knobs(asked: str, said: str) -> None:
    with pytest.raises(ModelError) as caught:
        steps([asked])
    assert said in str(caught.value)


def test_many_layers_and_heads_that_are_not_there(model: Path, optimize: Run) -> None:
    status, _, error = optimize(model, "--apply", "stablemax@layers=0-999", "--dry-run")
    assert status == 2
    assert len(sentence(error)) < 200
    status, out, _ = optimize(model, "--apply", "stablemax@heads=0-999", "--dry-run", "-q")
    assert status == 0
    assert not out


def test_what_was_not_done_is_not_told_as_chosen(model: Path, optimize: Run) -> None:
    _, out, _ = optimize(model, "--apply", "head-pruning:share=1", "--dry-run")
    assert "one head has to stay" in out
    assert "by the data" not in out


def test_a_technique_that_failed_is_not_told_as_of_no_use(
    model: Path, optimize: Run, tmp_path: Path
) -> None:
    path = own(tmp_path / "mine.py", "return 'Sqrt(-1.0 - Abs(s))'")
    _, out, error = optimize(model, "--apply", path, "--dry-run")
    assert "it was left out wherever it was tried" in out
    assert "mine was left out at" in error
