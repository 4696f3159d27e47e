"""The page about normalizers is true: what it writes is run as it stands."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import graphwright as gw
from graphwright.applying import from_file
from graphwright.ir.const import Array
from graphwright.ir.graph import Header

PAGE = Path(__file__).resolve().parent.parent / "docs" / "writing-a-normalizer.md"
FILE, TEST = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
MODEL = """
def model(q: f32[B, 2, S, 4], k: f32[B, 2, S, 4], v: f32[B, 2, S, 4], m: i64[B, S]):
    bias = Cast(Unsqueeze(1 - m, axes=(1, 2)), to="f32") * -10000.0
    p = Softmax(q @ Transpose(k, perm=(0, 1, 3, 2)) * 0.5 + bias, axis=-1)
    return p @ v
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "power_attention", raising=False)
    (tmp_path / "power_attention.py").write_text(FILE, encoding="utf-8")
    return tmp_path


def test_the_file_is_as_short_as_the_page_says() -> None:
    assert len(FILE.strip().splitlines()) <= 16


def test_its_test_passes(folder: Path) -> None:
    space: dict[str, object] = {}
    exec(compile(TEST, "page", "exec"), space)
    test = space["test_power_attention"]
    assert callable(test)
    test()


def test_it_is_applied_to_a_model(folder: Path) -> None:
    graph = gw.parse(MODEL)
    graph.header = Header(10, {"": 17})
    asked = f"{folder / 'power_attention.py'}:power=3@heads=1"
    result = gw.optimize(graph, apply=[asked])
    (applied,) = result.report.applied
    assert (applied.technique, applied.count, applied.knobs) == ("power-attention", 1, {"power": 3})
    path = folder / "out.onnx"
    gw.save(result.graph, path)
    feed = _feed()
    given = _ran(path, feed)
    np.testing.assert_allclose(given, _meant(feed), rtol=1e-4, atol=1e-5)


def test_it_is_a_module_of_pytorch_that_learns(folder: Path) -> None:
    torch = pytest.importorskip("torch")
    graph = gw.parse(MODEL)
    graph.header = Header(10, {"": 17})
    asked = f"{folder / 'power_attention.py'}:power=3@heads=1"
    module = gw.to_torch(gw.optimize(graph, apply=[asked]).graph)
    feed = _feed()
    inputs = [torch.from_numpy(feed[name]) for name in "qkvm"]
    inputs[0].requires_grad_()
    found = module(*inputs)
    np.testing.assert_allclose(found.detach().numpy(), _meant(feed), rtol=1e-4, atol=1e-5)
    found.square().sum().backward()
    assert torch.isfinite(inputs[0].grad).all()
    assert (inputs[0].grad.abs().amax((0, 2, 3)) > 0).all(), "each head learns"


def _feed() -> dict[str, Array]:
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, 2, 5, 4)).astype(np.float32) for _ in "qkv")
    return {"q": q, "k": k, "v": v, "m": np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])}


def _meant(feed: dict[str, Array]) -> Array:
    s = np.einsum("bhsd,bhtd->bhst", feed["q"], feed["k"]) * 0.5
    s = np.where(feed["m"][:, None, None] == 1, s, -np.inf)
    e = np.exp(s - s.max(-1, keepdims=True))
    r = np.maximum(s, 0) ** 3
    weights = [e[:, 0] / e[:, 0].sum(-1, keepdims=True)]
    weights.append(r[:, 1] / (r[:, 1].sum(-1, keepdims=True) + 1e-6))
    return np.asarray(np.stack(weights, 1) @ feed["v"])


def _ran(path: Path, feed: dict[str, Array]) -> Array:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feed)[0])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = 1", "defines no normalizer"),
        ("x = (", r"line 1: SyntaxError"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        (FILE + FILE.replace("power_attention", "other"), "more than one technique"),
        (FILE.replace("e / (Red", "q / (Red"), "nothing is called q"),
        (FILE.replace("ReduceSum(e)", "Transpose(e, perm=(0, 1, 3, 2))"), "neither works element"),
        (FILE.replace(": float = 2.0", " = 2.0"), "the knob power needs"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_sentence(
    folder: Path, text: str, why: str
) -> None:
    path = folder / "wrong.py"
    path.write_text(text, encoding="utf-8")
    graph = gw.parse(MODEL)
    graph.header = Header(10, {"": 17})
    with pytest.raises(gw.ModelError, match=why):
        gw.optimize(graph, apply=[str(path)])


def test_a_file_is_read_anew_each_time(folder: Path) -> None:
    path = folder / "power_attention.py"
    one = from_file(path)
    path.write_text(FILE.replace("2.0, floor", "4.0, floor"), encoding="utf-8")
    other = from_file(path)
    assert (one.knobs["power"].default, other.knobs["power"].default) == (2.0, 4.0)
