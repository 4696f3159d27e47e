"""Data for a technique that doesn't fit the model: one sentence on the command line, no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tests.calling import Run, optimize, sentence
from tests.models import encoder

__all__ = ["optimize"]

IDS = np.arange(24).reshape(4, 6) % 20
GOOD = {"input_ids": IDS, "token_type_ids": IDS * 0, "attention_mask": IDS * 0 + 1}
NEEDS_DATA = ["activation-pruning", "repquant-layer-norm:bits=4"]
OTHERS = ["head-pruning:share=0.5", "attention-drop", "uniform-softmax:scale=data"]
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a name is missing": (
        {"input_ids": IDS, "token_type_ids": IDS},
        "nothing for the inputs 'attention_mask'",
    ),
    "a name is wrong": ({**GOOD, "mask": IDS}, "the data has 'mask', and the model's inputs are"),
    "another rank": (
        {**GOOD, "input_ids": IDS[0]},
        "the input 'input_ids' is i64[batch, seq], and its data has the shape [6]",
    ),
    "another length": ({**GOOD, "attention_mask": IDS[:, :5]}, "the size seq is 6 in 'input_ids'"),
    "other counts": ({**GOOD, "input_ids": IDS[:3]}, "not of the same number of samples"),
    "floats for integers": (
        {**GOOD, "input_ids": IDS + 0.5},
        "the input 'input_ids' is i64, and its data is f64",
    ),
    "NaN": ({**GOOD, "input_ids": IDS * np.nan}, "the input 'input_ids' is i64"),
    "words": ({**GOOD, "input_ids": np.array([["a"] * 6] * 4)}, "input_ids"),
    "no samples": ({name: array[:0] for name, array in GOOD.items()}, "holds no samples"),
    "nothing": ({}, "nothing for the inputs"),
    "nothing but padding": (
        {**GOOD, "attention_mask": IDS * 0},
        "the data holds nothing but padding",
    ),
    "an index out of the table": ({**GOOD, "input_ids": IDS + 90}, "samples 0 to 3 of the data"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "encoder.onnx"
    onnx.save(encoder(), path)
    return path


@pytest.mark.parametrize("asked", NEEDS_DATA)
@pytest.mark.parametrize("case", BAD)
def test_it_is_said_in_one_sentence(
    case: str, asked: str, model: Path, tmp_path: Path, optimize: Run
) -> None:
    data, why = BAD[case]
    np.savez(tmp_path / "data.npz", **data)
    out = tmp_path / "out.onnx"
    status, said, error = optimize(
        model, "-o", out, "--apply", asked, "--data", tmp_path / "data.npz"
    )
    assert (status, said) == (2, "")
    assert why in sentence(error)
    assert not out.exists()


@pytest.mark.parametrize("asked", OTHERS)
def test_data_that_says_nothing(asked: str, model: Path, tmp_path: Path, optimize: Run) -> None:
    test_it_is_said_in_one_sentence("nothing but padding", asked, model, tmp_path, optimize)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut short"])
def test_a_file_that_holds_no_arrays(
    content: bytes, model: Path, tmp_path: Path, optimize: Run
) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    status, _, error = optimize(
        model, "--apply", NEEDS_DATA[0], "--data", tmp_path / "data.npz", "-o", tmp_path / "o.onnx"
    )
    assert status == 2
    assert sentence(error)


@pytest.mark.parametrize("asked", NEEDS_DATA)
def test_without_data_it_says_that_inputs_were_made(
    asked: str, model: Path, tmp_path: Path, optimize: Run
) -> None:
    status, said, error = optimize(model, "-o", tmp_path / "out.onnx", "--apply", asked)
    assert status == 0
    assert "no data was given" in said + error
