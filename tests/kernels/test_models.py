"""Whole models as folders that stand alone, and in memory; their attentions run as kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tests.calling import Run, sentence, written
from tests.kernels.interpreted import Child
from tests.models import encoder
from tests.techniques.cached import decoder

import graphwright as gw
from graphwright.ir.contracts import Tolerance
from graphwright.runtime import Runtime
from graphwright.verification.feeds import make_feeds
from graphwright.verification.judge import holds

torch = pytest.importorskip("torch")
pytest.importorskip("triton")
pytest.importorskip("transformers")

from tests.torch_models import built  # noqa: E402  needs both

SAMPLE = ["bert", "llama_gqa", "llama_decode"]
REST = ["gpt2", "vit", "swin", "gpt_oss", "t5", "modernbert", "gemma2", "qwen3", "torch_encoder"]
ARCHITECTURES = [*SAMPLE, *(pytest.param(each, marks=pytest.mark.full) for each in REST)]


# Transformers and torch.export warn of their own code
pytestmark = pytest.mark.filterwarnings("ignore")


def in_a_folder(graph: gw.Graph, folder: Path) -> list[str]:
    """Write a graph as the command does; the notes of it."""
    from graphwright.triton_models import save_folder

    return save_folder(gw.optimize(graph, target="triton").graph, folder)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_as_a_folder_gives_what_the_model_does(
    name: str, tmp_path: Path, interpreter: Child
) -> None:
    case = built(name)
    graph = gw.load(case.module, (case.inputs,), dynamic_shapes=case.shapes)
    in_a_folder(graph, tmp_path / f"{name}_model")
    given = [x.numpy() for x in case.inputs.values()]
    found = interpreter.model(tmp_path / f"{name}_model", given)
    with torch.no_grad():
        wanted = case.module(case.inputs)
        truth = built(name).module.double()(
            {k: x.double() if x.is_floating_point() else x for k, x in case.inputs.items()}
        )
    for a, b, exact in zip(_arrays(wanted), found, _arrays(truth), strict=True):
        verdict = holds(Tolerance(), a, b, exact)
        assert verdict.ok, verdict.why


def _arrays(found: Any) -> list[Any]:
    values = found.values() if isinstance(found, dict) else found
    return [x.numpy() for x in ([values] if isinstance(values, torch.Tensor) else values)]


@pytest.mark.parametrize("apply", ["", "log2-softmax", "sigmoid-attention@heads=1"])
def test_an_onnx_model_under_padding(apply: str, tmp_path: Path, interpreter: Child) -> None:
    onnx.save(encoder(), tmp_path / "m.onnx")
    graph = gw.load(tmp_path / "m.onnx")
    applied = gw.optimize(graph, apply=[apply] if apply else []).graph
    result = gw.optimize(graph, target="triton", apply=[apply] if apply else [])
    from graphwright.triton_models import save_folder

    save_folder(result.graph, tmp_path / "folder")
    feeds = make_feeds(graph)[:3]
    with Runtime(isolated=False) as runtime:
        before = runtime.evaluate(applied, feeds)
        truth = runtime.evaluate64(applied, feeds)
    for feed, one, exact in zip(feeds, before, truth, strict=True):
        found = interpreter.model(tmp_path / "folder", [feed[v.name] for v in graph.inputs])
        for a, b, t in zip(one, found, exact, strict=True):
            verdict = holds(Tolerance(), a, b, t)
            assert verdict.ok, verdict.why


def test_the_command_writes_a_folder_that_stands_alone(tmp_path: Path, optimize: Run) -> None:
    feed = decoder(tmp_path / "m.onnx")
    status, out, error = optimize(tmp_path / "m.onnx", "--target", "triton")
    assert (status, error) == (0, "")
    assert "the same function" in out
    assert "1 kernel in" in out
    folder = tmp_path / "m_triton"
    texts = [path.read_text() for path in folder.rglob("*.py")]
    assert not any("from graphwright" in text or "import graphwright" in text for text in texts)
    graph = gw.load(tmp_path / "m.onnx")
    np.savez(tmp_path / "feed.npz", **{v.name: feed[v.name] for v in graph.inputs})
    program = f"""
import sys
import numpy as np
import torch
sys.path.insert(0, {str(tmp_path)!r})
from m_triton import load
with np.load({str(tmp_path / "feed.npz")!r}) as feed:
    given = [torch.from_numpy(feed[name]) for name in {[v.name for v in graph.inputs]}]
with torch.no_grad():
    found = load()(*given)
assert "graphwright" not in sys.modules
np.savez({str(tmp_path / "out.npz")!r}, *found)
"""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-I", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    with Runtime(isolated=False) as runtime, np.load(tmp_path / "out.npz") as arrays:
        (wanted,) = runtime.evaluate(graph, [feed])
        for a, b in zip(wanted, arrays.values(), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-5)
    names = ["feed.npz", "m.onnx", "m_triton", "out.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_compiled_model_runs_and_learns() -> None:
    graph = gw.parse(
        """
def f(x: f32[B, S, 8], m: bool[B, 1, 1, S]):
    h = Transpose(Reshape(x, Sizes(dims=(B, S, 2, 4))), perm=(0, 2, 1, 3))
    k = h @ f32([[1, 2, 0, 0], [0, 1, 0, 2], [0, 3, 1, 0], [1, 0, 0, 1]])
    return Attention(h, k, k, None, m, scale=0.5, cap=0.0, filler=-inf, guard=1, precision='')"""
    )
    module, plain = gw.compile(graph), gw.to_torch(graph)
    x, mask = torch.randn(2, 5, 8, requires_grad=True), torch.rand(2, 1, 1, 5) > 0.3
    found, wanted = module(x, mask), plain(x, mask)
    torch.testing.assert_close(found, wanted)
    for a, b in zip(*(torch.autograd.grad(y.sum(), x) for y in (found, wanted)), strict=True):
        torch.testing.assert_close(a, b)
    assert [name for name, _ in module.named_parameters()]


def test_an_attention_without_a_kernel_is_left_to_pytorch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    graph = gw.parse(
        """
def f(q: f32[B, 1, S, 300], k: f32[B, 1, T, 300]):
    return Attention(q, k, k, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='')"""
    )
    notes = in_a_folder(graph, tmp_path / "wide")
    assert notes[0].startswith("0 kernels in ")
    assert "left to PyTorch: heads are 300 wide" in notes[1]
    module = gw.compile(graph)
    assert "left to PyTorch: heads are 300 wide" in caplog.text
    q, k = torch.randn(1, 1, 2, 300), torch.randn(1, 1, 3, 300)
    torch.testing.assert_close(module(q, k), gw.to_torch(graph)(q, k))


BAD = {
    "a name": (
        ["-o", "{}/a-b"],
        "{}/a-b: Python imports it, so name it with letters, digits and _",
    ),
    "there": (["-o", "{}"], "{} is there already; name a folder that is not, or is empty"),
    "nowhere": (["-o", "{}/no/where"], "{}/no/where: the folder '{}/no' does not exist"),
    "tuning": (
        ["--tune"],
        "tuning measures ONNX Runtime, and the target triton does not run there",
    ),
    "an opset": (["--opset", "21"], "--opset: a folder of kernels has no opset"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_calls_get_one_sentence(name: str, tmp_path: Path, optimize: Run) -> None:
    (tmp_path / "in").mkdir()
    path = written(tmp_path / "in" / "model.onnx")
    args, why = BAD[name]
    status, _, error = optimize(path, "--target", "triton", *(a.format(tmp_path) for a in args))
    assert status == 2
    assert sentence(error) == why.format(tmp_path, tmp_path)
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "model.onnx"]


def test_without_triton_pytorch_computes(
    tmp_path: Path, optimize: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphwright import triton_models

    monkeypatch.setattr(triton_models, "_has_triton", lambda: False)
    onnx.save(encoder(), tmp_path / "m.onnx")
    status, out, error = optimize(tmp_path / "m.onnx", "--target", "triton")
    assert (status, error) == (0, "")
    assert "Triton is not installed (pip install 'graphwright[triton]')" in out
    assert (tmp_path / "m_triton" / "kernels" / "attention_0.py").exists()
