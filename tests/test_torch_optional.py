"""Without PyTorch everything else works, and what needs it says which extra to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BLOCKED = """
import sys
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torch_mlir", "triton", "transformers"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "torch" else found(name, *a)
sys.meta_path.insert(0, Blocked())
import graphwright as gw
"""


def run(program: str, folder: Path) -> str:
    command = [sys.executable, "-c", BLOCKED + program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_core_works_without_pytorch(tmp_path: Path) -> None:
    program = """
graph = gw.parse("def f(x: f32[B, 8]):\\n    return (0.5 * x) * (1.0 + Erf(x / 1.4142135))")
result = gw.optimize(graph)
assert result.report.ok
gw.save(result.graph, "out.onnx")
assert gw.verify(graph, gw.load("out.onnx")).ok
print("fine")
"""
    assert "fine" in run(program, tmp_path)


@pytest.mark.parametrize(
    "use",
    [
        "gw.load('model.pt2')",
        "gw.to_torch(None)",
        "gw.finetune(None, {}, teacher=None)",
        "gw.compile(None)",
        "gw.optimize(gw.parse('def f(x: f32[B]):\\n    return Exp(x)'), target='triton')",
    ],
)
def test_what_needs_pytorch_names_the_extra(use: str, tmp_path: Path) -> None:
    program = f"""
try:
    {use}
except gw.ModelError as error:
    print(error)
"""
    assert "pip install 'graphwright[torch]'" in run(program, tmp_path)


def test_an_exported_program_is_optimized_from_the_command_line(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.GELU(), torch.nn.Linear(8, 3))
    x = torch.randn(2, 8)
    torch.export.save(torch.export.export(layers, (x,)), tmp_path / "model.pt2")
    command = [sys.executable, "-m", "graphwright", "optimize", "model.pt2", "-o", "out.onnx"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "out.onnx")
    (found,) = session.run(None, {"input": x.numpy()})
    np.testing.assert_allclose(found, layers(x).detach().numpy(), atol=1e-6)


def test_a_file_that_is_no_program_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "bad.pt2").write_bytes(b"nothing")
    command = [sys.executable, "-m", "graphwright", "optimize", "bad.pt2", "-o", "out.onnx"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "bad.pt2: no program that torch.export has saved" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.onnx").exists()


def test_operators_without_a_reading_are_listed() -> None:
    torch = pytest.importorskip("torch")
    import graphwright as gw

    class Odd(torch.nn.Module):
        def forward(self, x: object) -> object:
            return torch.linalg.svdvals(x) + torch.special.i0(x).sum() + torch.linalg.det(x)

    with pytest.raises(gw.ModelError, match=r"i0.*svd|svd.*i0"):
        gw.load(Odd(), (torch.randn(3, 3),))
