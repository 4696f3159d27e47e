"""The modules that graphs become are as any: copied, saved, compiled, exported, trained."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import graphwright as gw  # noqa: E402
from graphwright.backends.torch.gradients import COMPARED, ROUNDED, rounded, truth  # noqa: E402
from graphwright.ir.graph import Graph  # noqa: E402

nn = torch.nn
X = torch.linspace(-2, 2, 8).reshape(2, 4)
SOURCE = """
def f(x: f32[B, 4]):
    y = LayerNormalization(x, f32([1.0, 2.0, 3.0, 4.0]), axis=-1, epsilon=1e-5, stash_type=1)
    z = Reshape(y, Sizes(dims=(4*B,)), allowzero=0)
    return Round(y), Cast(Greater(y, f32(0.25)), to="f32"), z
"""


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.n = nn.Linear(4, 4), nn.LayerNorm(4)
        self.register_buffer("k", torch.tensor([1.0, 2.0, 3.0, 4.0]))

    def forward(self, x: Any) -> Any:
        return self.n(self.a(x)) * self.k


def loaded(model: Any) -> Graph:
    return gw.load(model, (X,), dynamic_shapes=({0: "B"},))


def saved(module: Any) -> Any:
    """A module that was saved whole, and loaded again."""
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("again", [copy.deepcopy, saved])
@pytest.mark.parametrize("straight", [False, True])
def test_a_copy_computes_the_same_and_gives_its_weights_back(again: Any, straight: bool) -> None:
    graph = gw.parse(SOURCE)
    module = again(gw.to_torch(graph, straight_through=straight))
    x = torch.randn(5, 4)
    for a, b in zip(gw.to_torch(graph)(x), module(x), strict=True):
        assert torch.equal(a, b)
    assert gw.diff(graph, gw.from_torch(module, graph)).same


def test_weights_go_between_the_model_and_its_module() -> None:
    model, other = Model(), Model()
    module = gw.to_torch(loaded(model))
    module.load_state_dict(other.state_dict())
    torch.testing.assert_close(module(X), other(X))
    model.load_state_dict(module.state_dict())
    torch.testing.assert_close(model(X), other(X))


def test_weights_are_taken_back_from_a_compiled_module_too() -> None:
    graph = loaded(Model())
    module = torch.compile(gw.to_torch(graph), backend="eager")
    with torch.no_grad():
        module.a.weight.zero_()
    back = gw.from_torch(module, graph)
    torch.testing.assert_close(gw.to_torch(back)(X), module(X))


def test_weights_that_are_tied_later_are_found() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    graph = loaded(model)
    module = gw.to_torch(graph)
    getattr(module, "1").weight = getattr(module, "0").weight
    torch.testing.assert_close(gw.to_torch(gw.from_torch(module, graph))(X), module(X))


def test_the_module_of_another_graph_is_refused() -> None:
    graph = loaded(Model())
    with pytest.raises(gw.ModelError, match=r"not of this graph: it has no 'a\.weight'"):
        gw.from_torch(nn.Linear(4, 4), graph)
    module = gw.to_torch(graph)
    module.a.weight = nn.Parameter(torch.zeros(3, 3))
    with pytest.raises(gw.ModelError, match=r"'a\.weight' has another shape"):
        gw.from_torch(module, graph)


OWN = (
    "graph",
    "graph.weight",
    "code",
    "meta",
    "half.a.b",
    "float_type",
    "forward",
    "a..b",
    "1",
    "",
)


@pytest.mark.parametrize("name", OWN)
def test_names_that_a_module_has_for_itself_are_left_to_it(name: str) -> None:
    weights = "f32([1.0, 2.0, 3.0, 4.0])"
    graph = gw.parse(f"def f(x: f32[B, 4]):\n    return (x + {weights}) * {weights} - {weights}")
    for node in graph.nodes():
        for value in node.inputs:
            if value is not None and value.const is not None:
                value.name = name
    module = gw.to_torch(graph)
    k = torch.tensor([1.0, 2.0, 3.0, 4.0])
    torch.testing.assert_close(module(X), (X + k) * k - k)
    assert len(list(module.parameters())) == 3
    assert gw.diff(graph, gw.from_torch(saved(module), graph)).same


def test_a_name_may_go_on_where_another_ends() -> None:
    weights = [f"f32([1.0, 2.0, 3.0, {n}.0])" for n in range(3)]
    graph = gw.parse("def f(x: f32[B, 4]):\n    return x + {} + {} + {}".format(*weights))
    values = [v for n in graph.nodes() for v in n.inputs if v is not None and v.const is not None]
    for value, name in zip(values, ("a", "a.b", "a.b.c"), strict=True):
        value.name = name
    module = gw.to_torch(graph)
    assert [name for name, _ in module.named_parameters()] == ["a", "a_1.b", "a_1.b_1.c"]


@pytest.mark.parametrize("strict", [False, True])
def test_it_is_exported_with_open_sizes(strict: bool) -> None:
    model = Model()
    module = gw.to_torch(loaded(model))
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(module, (X,), dynamic_shapes=shapes, strict=strict)
    x = torch.randn(5, 4)
    torch.testing.assert_close(program.module()(x), model(x))


def test_it_does_the_same_in_training_and_on_no_rows() -> None:
    model = Model()
    module = gw.to_torch(loaded(model)).train()
    torch.testing.assert_close(module(X), model(X))
    assert module(X[:0]).shape == (0, 4)


EDGES = torch.tensor([0.7, -0.3, 2.5, 1e30, torch.inf, -torch.inf, torch.nan])


@pytest.mark.parametrize("op", ROUNDED)
def test_rounding_that_gradients_pass_gives_what_rounding_gives(op: str) -> None:
    x = EDGES.clone().requires_grad_()
    y = rounded(x, op)
    assert torch.equal(torch.nan_to_num(y), torch.nan_to_num(ROUNDED[op](EDGES)))
    y[:4].sum().backward()
    assert x.grad.tolist() == [1, 1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("op", COMPARED)
def test_thresholds_that_gradients_pass_give_what_comparisons_give(op: str) -> None:
    x, y = EDGES.clone().requires_grad_(), torch.full_like(EDGES, 0.7)
    found = truth(x, y, op)
    assert torch.equal(found, COMPARED[op][0](EDGES, y).float())
    found[0].backward()
    assert abs(x.grad[0]) == 1


def test_a_threshold_has_the_type_that_it_is_cast_to() -> None:
    graph = gw.parse('def f(x: f32[4]):\n    return Cast(Greater(x, f32(0.5)), to="f64")')
    assert gw.to_torch(graph, straight_through=True)(X[0]).dtype == torch.float64


def test_operators_that_have_no_form_are_listed() -> None:
    graph = gw.parse(
        'def f(x: f32[4, 4]):\n    return call("Det", x), call("Hardmax", x), call("odd::Magic", x)'
    )
    why = r"here: Det \(1 times\), Hardmax \(1 times\), odd::Magic \(1 times\)"
    with pytest.raises(gw.ModelError, match=why):
        gw.to_torch(graph)
