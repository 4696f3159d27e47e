"""An approximation hurts a trained classifier of digits, and finetune brings most of it back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from sklearn.datasets import load_digits  # noqa: E402  needs scikit-learn

import graphwright as gw  # noqa: E402
from graphwright.ir.clone import clone  # noqa: E402
from graphwright.ir.graph import Graph  # noqa: E402
from graphwright.ir.ops import apply  # noqa: E402
from graphwright.runtime import Runtime  # noqa: E402

LEVELS = 1.0  # of weights on each side of 0


class Classifier(torch.nn.Module):
    """Attention over the rows of an image, and a linear layer over what it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Linear(8, 32)
        self.place = torch.nn.Parameter(0.1 * torch.randn(8, 32))
        self.qkv = torch.nn.Linear(32, 96)
        self.norm = torch.nn.LayerNorm(32)
        self.head = torch.nn.Linear(256, 10)

    def forward(self, image: Any) -> Any:
        x = self.embed(image) + self.place
        parts = self.qkv(x).unflatten(-1, (3, 2, 16)).permute(2, 0, 3, 1, 4)
        q, k, v = parts.unbind(0)
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return self.head(self.norm(x + y.transpose(1, 2).flatten(2)).flatten(1))


def digits() -> tuple[Any, ...]:
    images, labels = load_digits(return_X_y=True)
    x = (images.reshape(-1, 8, 8) / 16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:1200], order[1200:]
    return x[train], labels[train], x[test], labels[test]


def trained(x: Any, y: Any) -> Classifier:
    torch.manual_seed(0)
    module = Classifier()
    optimizer = torch.optim.Adam(module.parameters(), lr=4e-3)
    for epoch in range(12):
        for part in np.array_split(np.random.default_rng(epoch).permutation(len(x)), 20):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(
                module(torch.from_numpy(x[part])), torch.from_numpy(y[part])
            )
            loss.backward()
            optimizer.step()
    return module.eval()


def coarse(graph: Graph) -> Graph:
    """Each matrix of weights rounded to three numbers."""
    new = clone(graph)
    for node in new.nodes():
        weight = node.inputs[0] if node.op == "Transpose" else None
        if weight is None or weight.const is None:
            continue
        step = float(np.abs(weight.const.load()).mean() * 1.5 / LEVELS)
        scaled = apply("Round", apply("Mul", weight, 1 / step).outputs[0]).outputs[0]
        cut = apply("Max", apply("Min", scaled, LEVELS).outputs[0], -LEVELS).outputs[0]
        node.set_input(0, apply("Mul", cut, step).outputs[0])
    return new


def accuracy(graph: Graph, x: Any, y: Any) -> float:
    with Runtime(isolated=False) as runtime:
        ((logits,),) = runtime.evaluate(graph, [{"image": x}])
    return float((logits.argmax(-1) == y).mean())


def test_finetune_recovers_most_of_what_an_approximation_costs() -> None:
    torch.set_num_threads(1)
    x, y, x_test, y_test = digits()
    module = trained(x, y)
    batch = {0: "batch"}
    teacher = gw.load(module, (torch.from_numpy(x[:4]),), dynamic_shapes=(batch,))
    student = coarse(teacher)
    before = accuracy(teacher, x_test, y_test)
    hurt = accuracy(student, x_test, y_test)
    assert before > 0.93
    assert before - hurt > 0.03, "it does not hurt, so that there is nothing to recover"
    batches = [{"image": part} for part in np.array_split(x, 24)]
    said: list[str] = []
    settings: dict[str, Any] = {"teacher": teacher, "steps": 240, "rate": 2e-3}
    tuned = gw.finetune(student, batches, progress=said.append, **settings)
    assert len(said) == 240
    assert "loss" in said[-1]
    after = accuracy(tuned, x_test, y_test)
    assert before - after <= (before - hurt) / 2, (before, hurt, after)
    assert accuracy(student, x_test, y_test) == hurt, "what was given stays as it was"
    again, short = ({**settings, "steps": 3} for _ in range(2))
    one, other = (gw.finetune(student, batches, **s) for s in (again, short))
    assert accuracy(one, x_test, y_test) == accuracy(other, x_test, y_test)


PLAIN = "def f(x: f32[B, 2]):\n    return {}"
REFUSED = {
    "nothing to learn": ("x + 1.0", "x", {"x": np.ones((1, 2), np.float32)}, "has no weights"),
    "no logits": ("ArgMax(x, axis=-1, keepdims=0, select_last_index=0)", "x", {}, "as logits"),
    "other shapes": (
        "x @ f32([[1.0], [2.0]])",
        "x",
        {"x": np.ones((1, 2), np.float32)},
        r"other shapes: \(1, 1\) and \(1, 2\)",
    ),
    "another input": (
        "x @ f32([[1.0, 2.0], [3.0, 4.0]])",
        "x",
        {"y": np.ones((1, 2), np.float32)},
        "the data has no input 'x'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trained_gets_one_sentence(case: str) -> None:
    student, teacher, feed, why = REFUSED[case]
    graphs = [gw.parse(PLAIN.format(each)) for each in (student, teacher)]
    with pytest.raises(gw.ModelError, match=why):
        gw.finetune(graphs[0], feed, teacher=graphs[1], steps=1)


def test_no_data_is_said() -> None:
    graph = gw.parse(PLAIN.format("x @ f32([[1.0, 2.0], [3.0, 4.0]])"))
    with pytest.raises(gw.ModelError, match="no data to learn from"):
        gw.finetune(graph, [], teacher=graph)
