"""Modules of PyTorch as users have them: their inputs, sizes and outputs, and what is refused."""

from __future__ import annotations

import logging
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import graphwright as gw  # noqa: E402

nn = torch.nn
X = torch.linspace(-1, 1, 8).reshape(2, 4)
Pair = namedtuple("Pair", "p q")


def module(function: Callable[..., Any]) -> Any:
    """A module whose forward is `function`, which gets it first."""
    return type("Made", (nn.Module,), {"forward": function})().eval()


def test_one_tensor_that_is_given_twice_is_two_inputs() -> None:
    made = module(lambda m, a, b: a @ b.T)
    graph = gw.load(made, (X, X), dynamic_shapes=({0: "rows"}, {0: "columns"}))
    assert [str(v.type) for v in graph.inputs] == ["f32[rows, 4]", "f32[columns, 4]"]


def test_an_export_that_fails_leaves_no_marks_on_the_inputs() -> None:
    x = X.clone()
    with pytest.raises(gw.ModelError, match=r"torch\.export cannot follow the module"):
        gw.load(nn.Linear(4, 4), (x,), dynamic_shapes=({1: "width"},))
    assert [str(v.type) for v in gw.load(nn.Linear(4, 4), (x,)).inputs] == ["f32[2, 4]"]


def test_arguments_by_name_keep_their_order_and_the_names_of_their_sizes() -> None:
    made = module(lambda m, x, *, by, minus=None: x @ by - minus)
    given = {"by": X.T.contiguous(), "x": X, "minus": torch.tensor(2.0)}
    graph = gw.load(made, given, dynamic_shapes={"x": {0: "rows"}, "by": None, "minus": None})
    assert {v.name: str(v.type) for v in graph.inputs} == {
        "by": "f32[4, 2]",
        "x": "f32[rows, 4]",
        "minus": "f32",
    }
    found = gw.to_torch(graph)(**given)
    torch.testing.assert_close(found, made(**given))


def test_sizes_follow_other_inputs() -> None:
    made = module(lambda m, x: torch.cat([x, x[:, :1]], 1).flatten() * x.shape[1])
    graph = gw.load(made, (X,), dynamic_shapes=({0: "B", 1: "S"},))
    assert [str(v.type) for v in graph.outputs if v is not None] == ["f32[B*S+B]"]
    for shape in ((2, 4), (1, 3), (5, 2)):
        x = torch.randn(shape)
        torch.testing.assert_close(gw.to_torch(graph)(x), made(x))


OUTPUTS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "one": (lambda m, x: x + 1, ("output",)),
    "a tuple": (lambda m, x: (x + 1, x), ("output_0", "output_1")),
    "a dictionary": (lambda m, x: {"a": x + 1, "b": (x, [x * 2])}, ("a", "b.0", "b.1.0")),
    "fields": (lambda m, x: Pair(x + 1, x * 2), ("p", "q")),
    "numbers and nothing": (lambda m, x: (x, None, 3), ("output_0", "output_2")),
}  # fmt: skip


@pytest.mark.parametrize("kind", OUTPUTS)
def test_outputs_are_called_by_their_keys(kind: str) -> None:
    function, names = OUTPUTS[kind]
    graph = gw.load(module(function), (X,))
    assert graph.result.attrs["names"] == names


def test_weights_that_are_tied_are_one_and_shared() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.head = nn.Embedding(10, 4), nn.Linear(4, 10, bias=False)
            self.head.weight = self.words.weight

        def forward(self, ids: Any) -> Any:
            return self.head(self.words(ids))

    tied = Tied()
    graph = gw.load(tied, (torch.tensor([[1, 2]]),))
    held = {v.const for n in graph.nodes() for v in n.inputs if v is not None and v.const}
    tables = [const for const in held if const.type.shape == (10, 4)]
    assert len(tables) == 1
    assert np.shares_memory(tables[0].load(), tied.words.weight.detach().numpy())
    assert [name for name, _ in gw.to_torch(graph).named_parameters()] == ["words.weight"]


def test_what_drops_at_random_says_what_to_do() -> None:
    with pytest.raises(gw.ModelError, match=r"native_dropout.*call eval\(\) on the module"):
        gw.load(nn.Sequential(nn.Linear(4, 4), nn.Dropout()).train(), (X,))


def test_statistics_that_each_call_changes_are_refused() -> None:
    with pytest.raises(gw.ModelError, match=r"changes running_mean.*call eval\(\) on it"):
        gw.load(nn.BatchNorm1d(4).train(), (X,))
    assert gw.load(nn.BatchNorm1d(4).eval(), (X,)).nodes()


REFUSED: dict[str, tuple[Any, Any, Any, str]] = {
    "no inputs": (nn.Linear(4, 4), None, None, "give them after the module"),
    "too many": (nn.Linear(4, 4), (X, X), None, "do not fit the module: too many"),
    "one by a wrong name": (nn.Linear(4, 4), {"y": X}, None, "do not fit the module: missing"),
    "of another width": (nn.Linear(5, 4), (X,), None, "cannot follow the module: .*reduction dim"),
    "a number": (nn.Linear(4, 4), 5, None, "a tuple of the module's arguments, or a mapping"),
    "no model": (object(), (X,), None, "object is no model: give the path"),
    "an axis too many": (nn.Linear(4, 4), (X,), ({5: "n"},), "axis 5 of a tensor that has 2 axes"),
    "sizes of data": (module(lambda m, x: x[x > 0]), (X,), None, "depends on what a tensor holds"),
    "a branch on data": (
        module(lambda m, x: x if x.sum() > 0 else -x),
        (X,),
        None,
        "data-dependent expression",
    ),
    "an input that is changed": (module(lambda m, x: x.add_(1)), (X,), None, "changes x in each"),
    "nothing": (module(lambda m, x: None), (X,), None, "gives no tensor"),
    "chance": (module(lambda m, x: torch.rand_like(x)), (X,), None, r"aten.rand_like.default \(1"),
    "without weights": (nn.LazyLinear(4), (X,), None, "uninitialized parameter"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_does_not_fit_gets_one_sentence(kind: str, capfd: Any) -> None:
    made, inputs, sizes, why = REFUSED[kind]
    with pytest.raises(gw.ModelError, match=why) as error:
        gw.load(made, inputs, dynamic_shapes=sizes)
    assert "\n" not in str(error.value)
    assert "Traceback" not in capfd.readouterr().err


def test_a_module_on_the_device_meta_has_no_weights_to_write(tmp_path: Path) -> None:
    graph = gw.load(nn.Linear(4, 4, device="meta"), (X.to("meta"),))
    with pytest.raises(gw.ModelError, match="the weights are not there"):
        gw.save(graph, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_what_is_logged_stays_as_it_was_set() -> None:
    before = logging.root.manager.disable
    try:
        logging.disable(logging.INFO)
        gw.load(nn.Linear(4, 4), (X,))
        assert logging.root.manager.disable == logging.INFO
    finally:
        logging.disable(before)


def test_what_readings_make_and_nobody_reads_is_let_go() -> None:
    made = module(
        lambda m, x: x.slice_scatter(x[:, :2] * 2, 1, 0, 2) + x.new_zeros(2, 4)[0, 0:0].sum()
    )
    graph = gw.load(made, (X,))
    live = set(graph.nodes())
    readers = {use.node for n in live for v in (*n.outputs, *n.operands()) if v for use in v.uses}
    assert readers <= {*live, graph.result}


@pytest.mark.parametrize("kind", ["f16", "bf16", "f64"])
def test_modules_of_other_float_types_come_and_go(kind: str, tmp_path: Path) -> None:
    dtype = {"f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64}[kind]
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.GELU()).to(dtype)
    x = X.to(dtype)
    gw.save(gw.load(made, (x,)), tmp_path / "m.onnx")
    graph = gw.load(tmp_path / "m.onnx")
    assert [str(v.type) for v in graph.outputs if v is not None] == [f"{kind}[2, 4]"]
    found, wanted = gw.to_torch(graph)(x), made(x)
    assert found.dtype == dtype
    few = 4 * torch.finfo(dtype).eps  # a product and its bias are rounded apart in the file
    torch.testing.assert_close(found, wanted, rtol=0, atol=few * wanted.abs().max().item())


@pytest.mark.parametrize("named", [False, True])
def test_keys_that_are_repeated_for_groups_of_heads_are_shared_instead(named: bool) -> None:
    def repeated(x: Any) -> Any:
        batch, heads, tokens, width = x.shape
        return (
            x[:, :, None].expand(batch, heads, 2, tokens, width).reshape(batch, -1, tokens, width)
        )

    made = module(
        lambda m, q, k, v, mask: nn.functional.scaled_dot_product_attention(
            q, repeated(k), repeated(v), mask
        )
    )
    q, k, v = (torch.randn(2, *shape) for shape in ((4, 3, 8), (2, 5, 8), (2, 5, 6)))
    mask = torch.ones(2, 1, 3, 5).tril() > 0
    keys = {0: "B", 2: "T"}
    sizes = ({0: "B", 2: "S"}, keys, keys, {0: "B", 2: "S", 3: "T"}) if named else None
    graph = gw.load(made, (q, k, v, mask), dynamic_shapes=sizes)
    assert [node.op for node in graph.nodes()] == ["Attention"]
    (row,) = gw.attentions(graph).found
    assert (row.heads, row.groups) == (4, 2)
    torch.testing.assert_close(gw.to_torch(graph)(q, k, v, mask), made(q, k, v, mask))


def test_heads_that_are_repeated_in_another_order_stay_as_they_are() -> None:
    def in_turn(x: Any) -> Any:
        return x[:, None].expand(-1, 2, -1, -1, -1).reshape(2, 4, 5, 8)

    made = module(
        lambda m, q, k: nn.functional.scaled_dot_product_attention(q, in_turn(k), in_turn(k))
    )
    q, k = torch.randn(2, 4, 3, 8), torch.randn(2, 2, 5, 8)
    graph = gw.load(made, (q, k))
    torch.testing.assert_close(gw.to_torch(graph)(q, k), made(q, k))
