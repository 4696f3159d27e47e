"""Calling the commands in this process: a model, the calls, and what they say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from graphwright import cli
from graphwright.commands import optimize_command

if TYPE_CHECKING:
    from graphwright.ir.graph import Value
    from graphwright.passes.rule import Builder, Match

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
    from graphwright.ir.contracts import Exact
    from graphwright.passes.pattern import Tanh, var
    from graphwright.passes.rule import RULES, rule

    @rule(Tanh(var("x")), Exact())
    def break_tanh(m: Match, op: Builder) -> Value:
        """tanh(x)  ->  sigmoid(x), which is wrong."""
        return op.Sigmoid(m.x)

    yield break_tanh.name
    del RULES[break_tanh.name]


def sentence(error: str, name: str = "optimize") -> str:
    """The one line on stderr, without the command's name."""
    assert error.count("\n") == 1, error
    assert error.startswith(f"{name}: ")
    assert "Traceback" not in error
    return error.removeprefix(f"{name}: ").strip()


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
