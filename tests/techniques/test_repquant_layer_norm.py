"""Norms whose channels get one range: what changes nothing, and what one quantizer then costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.techniques.applying import applied, given

from graphwright.ir import parse
from graphwright.ir.const import Array, from_array
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Header, Node
from graphwright.passes.techniques.repquant_layer_norm import repquant_layer_norm

RNG = np.random.default_rng(7)
GAMMA = np.geomspace(0.05, 20, 16) * RNG.choice([-1, 1], 16)
BETA = RNG.normal(size=16) * 5
W = RNG.normal(size=(16, 6))
C = RNG.normal(size=6)
X = RNG.normal(size=(4, 9, 16))
FORMS = {
    "MatMul": "n @ w",
    "MatMul and Add": "c + n @ w",
    "Linear": "Linear(n, w, c, transposed=0)",
    "Linear without a bias": "Linear(n, w, transposed=0)",
    "transposed": "Linear(n, Transpose(w, perm=(1, 0)), c, transposed=1)",
}


def model(form: str = "n @ w + c", dtype: str = "f64", more: str = "", weight: Array = W) -> Graph:
    kind = np.float64 if dtype == "f64" else np.float32
    held = {"g": GAMMA, "b": BETA, "w": weight, "c": C}
    lines = [
        f"{n} = weight('{n}', {dtype}[{', '.join(map(str, a.shape))}])" for n, a in held.items()
    ]
    text = "\n    ".join(
        [
            f"def model(x: {dtype}[B, 9, 16]):",
            *lines,
            "n = LayerNormalization(x, g, b, axis=-1, epsilon=1e-5, stash_type=1)",
            f"return {form}{more}",
        ]
    )
    graph = parse(text, {name: from_array(a.astype(kind)) for name, a in held.items()})
    graph.header = Header(8, {"": 17})
    return graph


def done(graph: Graph, **knobs: Any) -> Graph:
    dtype = graph.inputs[0].type
    kind = np.float64 if "f64" in str(dtype) else np.float32
    made = applied(graph, "repquant-layer-norm", data={"x": X.astype(kind)}, **knobs)
    assert made.count, (made.left, made.left_out)
    return made.graph


def norms(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes() if node.op == "LayerNormalization"]


@pytest.mark.parametrize("form", FORMS)
def test_nothing_changes_before_something_is_quantized(form: str) -> None:
    graph = model(FORMS[form])
    was, now = given(graph, {"x": X}), given(done(graph), {"x": X})
    assert np.abs(was - now).max() <= 4e-15 * np.abs(was).max() * 16


def test_all_channels_have_one_range() -> None:
    graph = done(model())
    (norm,) = norms(graph)
    gamma, beta = (v.const.load() for v in norm.inputs[1:] if v is not None and v.const is not None)
    normal = (X - X.mean(-1, keepdims=True)) / np.sqrt(X.var(-1, keepdims=True) + 1e-5)
    y = (normal * gamma + beta).reshape(-1, 16)
    np.testing.assert_allclose(y.min(0), y.min(), rtol=1e-9)
    np.testing.assert_allclose(y.max(0), y.max(), rtol=1e-9)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_one_quantizer_is_as_good_as_one_for_each_channel(bits: int) -> None:
    graph = model("n @ w", weight=np.eye(16))
    y = given(graph, {"x": X})
    step = (y.max((0, 1)) - y.min((0, 1))) / (2**bits - 1)
    off = np.abs(given(done(graph, bits=bits), {"x": X}) - y)
    assert (off <= step * (1 + 1e-9)).all()
    plain = np.abs(given(done(graph, bits=bits, by="layer"), {"x": X}) - y)
    assert plain[..., 0].mean() > 10 * off[..., 0].mean(), "the narrowest channel gains"
    assert off.max() <= plain.max() * 1.5


def test_others_that_read_the_norm_keep_it() -> None:
    graph = model("n @ w", more=", n")
    made = done(graph, bits=2)
    assert len(norms(made)) == 2
    assert made.outputs[1] is not None
    assert made.outputs[1].producer in norms(made)


def test_products_that_share_a_norm_share_the_new_one() -> None:
    made = done(model("n @ w + c, n @ w"))
    assert len(norms(made)) == 1
    assert len([node for node in made.nodes() if node.op == "MatMul"]) == 2


def test_pruned_weights_stay_away() -> None:
    pruned = applied(model(dtype="f32"), "magnitude-pruning", sparsity=0.5).graph
    (product,) = (node for node in done(pruned).nodes() if node.op == "MatMul")
    assert product.inputs[1] is not None
    assert product.inputs[1].const is not None
    assert np.count_nonzero(product.inputs[1].const.load() == 0) == 48


@pytest.mark.parametrize(
    ("knobs", "why"),
    [({"bits": 1}, "bits is 2 to 8, or 0 for none, not 1"), ({"by": "row"}, "by is channel or")],
)
def test_knobs_out_of_range_get_a_sentence(knobs: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelError, match=why):
        repquant_layer_norm.contract(**knobs)


def test_what_it_promises_depends_on_whether_it_quantizes() -> None:
    assert str(repquant_layer_norm.contract()) == "within tolerance"
    assert str(repquant_layer_norm.contract(bits=8)) == "approximate"
