"""`diff`: what is the same, what is not, and what is said of it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser
from tests.disguises import disguised
from tests.models import encoder

from graphwright.backends.onnx import save
from graphwright.difference import Difference, diff
from graphwright.differences.hunks import (
    Insert,
    Inside,
    Move,
    Remove,
    Replace,
    Signature,
    Update,
    Weights,
)
from graphwright.frontends.onnx import load
from graphwright.frontends.onnx.load import from_proto
from graphwright.ir.graph import Graph
from graphwright.ir.ops import apply
from graphwright.ir.provenance import Origin

HEAD = '<ir_version: 8, opset_import: ["" : 17]>'
ENCODER = """
    h = MatMul(x, w)
    s = Div(h, root)
    e = Erf(s)
    u = Add(e, one)
    p = Mul(h, u)
    g = Mul(p, half)
    y = Softmax<axis = -1>(g)
"""
X = "float[B,8]"
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Files of models, each from the text of its nodes; weights named w, v are random."""
    count = iter(range(1000))

    def made(
        body: str,
        *,
        head: str = HEAD,
        given: str = "float[B,8] x",
        gives: str = "float[B,8] y",
        seed: int = 0,
    ) -> Path:
        model = parser.parse_model(f"{head} g ({given}) => ({gives}) {{ {body} }}")
        rng = np.random.default_rng(seed)
        inside = {n for node in model.graph.node for n in node.input}
        for name in sorted(inside & {"w", "v"}):
            array = rng.standard_normal((8, 8), np.float32)
            model.graph.initializer.append(numpy_helper.from_array(array, name))
        for name, number in (("root", 2**0.5), ("one", 1.0), ("half", 0.5)):
            if name in inside:
                array = np.array(number, np.float32)
                model.graph.initializer.append(numpy_helper.from_array(array, name))
        path = tmp_path / f"{next(count)}.onnx"
        onnx.save(model, path)
        return path

    return made


def only(found: Difference) -> object:
    assert len(found.hunks) == 1, str(found)
    return found.hunks[0]


def test_a_model_is_the_same_as_itself(make: Make) -> None:
    path = make(ENCODER)
    found = diff(path, path)
    assert found.same
    assert str(found) == ""
    assert found.as_json()["same"] is True


def test_names_and_order_make_no_difference(make: Make) -> None:
    other = """
        a1 = MatMul(x, v)
        a2 = Div(a1, root)
        a3 = Erf(a2)
        a4 = Add(a3, one)
        a5 = Mul(a1, a4)
        a6 = Mul(a5, half)
        y = Softmax<axis = -1>(a6)
    """
    assert diff(make(ENCODER), make(other)).same
    forks = "a = Tanh(x) b = Exp(x) c = Tanh(x) d = Neg(a) e = Abs(c) f = Add(b, d) y = Add(f, e)"
    swapped = "c = Tanh(x) a = Tanh(x) e = Abs(a) d = Neg(c) b = Exp(x) f = Add(b, d) y = Add(f, e)"
    assert diff(make(forks), make(swapped)).same


@pytest.mark.parametrize("seed", range(5))
def test_a_model_in_disguise_is_the_same(seed: int) -> None:
    model = encoder(layers=2)
    one, other = from_proto(model), from_proto(disguised(model, seed))
    found = diff(one, other)
    assert found.same, str(found)
    node = next(n for n in other.nodes() if n.op == "Softmax")
    changed = apply("LogSoftmax", node.inputs[0], axis=-1)
    other.replace(node.outputs[0], changed.outputs[0])
    assert [str(h) for h in diff(one, other).hunks] == ["Softmax -> LogSoftmax"]


def test_equal_branches_are_told_apart_by_what_becomes_of_them(make: Make) -> None:
    one = "a = Tanh(x) b = Tanh(x) c = Neg(a) d = Abs(b) y = Add(c, d)"
    merged = "a = Tanh(x) c = Neg(a) d = Abs(a) y = Add(c, d)"
    hunk = only(diff(make(one), make(merged)))
    assert isinstance(hunk, Remove)
    assert hunk.merged
    assert str(hunk) == "1 node merged with equal ones: Tanh"


def test_a_rewrite_is_one_hunk_with_its_rule_and_contract(make: Make, tmp_path: Path) -> None:
    path = make(ENCODER)
    graph = load(path)
    fused(graph)
    save(graph, tmp_path / "after.onnx")
    found = diff(path, tmp_path / "after.onnx")
    hunk = only(found)
    assert isinstance(hunk, Replace)
    assert len(hunk.old) == 5
    assert hunk.rules == ("fuse-gelu",)
    assert "5 nodes -> Gelu (fuse-gelu, within tolerance" in str(hunk)
    assert diff(path, graph).hunks == found.hunks or "Gelu" in str(diff(path, graph))


def fused(graph: Graph) -> None:
    """Put a Gelu where it is written out, as the rule would."""
    nodes = {n.outputs[0].name: n for n in graph.nodes()}
    x = nodes["h"].outputs[0]
    matched = [nodes[n] for n in ("s", "e", "u", "p", "g")]
    new = apply("Gelu", x, origin=Origin.of(matched, "fuse-gelu"), approximate="none")
    graph.replace(nodes["g"].outputs[0], new.outputs[0])


def test_the_same_rewrite_in_many_places_is_told_once(make: Make) -> None:
    layer = "h{i} = MatMul({x}, w) s{i} = Erf(h{i}) {y} = Tanh(s{i})"
    plain = " ".join(layer.format(i=i, x=f"t{i}" if i else "x", y=f"t{i + 1}") for i in range(5))
    less = plain.replace("s{i} = Erf(h{i})", "")
    for i in range(5):
        less = less.replace(f"s{i} = Erf(h{i})", "").replace(f"Tanh(s{i})", f"Tanh(h{i})")
    found = diff(make(plain + " y = Neg(t5)"), make(less + " y = Neg(t5)"))
    assert len(found.hunks) == 5
    assert str(found).count("1 node removed: Erf  (5 times)") == 1


def test_an_insertion(make: Make) -> None:
    hunk = only(
        diff(make("h = MatMul(x, w) y = Tanh(h)"), make("h = MatMul(x, w) i = Neg(h) y = Tanh(i)"))
    )
    assert isinstance(hunk, Insert)
    assert str(hunk) == "1 node inserted: Neg"


def test_an_attribute(make: Make) -> None:
    found = diff(make(ENCODER), make(ENCODER.replace("axis = -1", "axis = 0")))
    hunk = only(found)
    assert isinstance(hunk, Update)
    assert (hunk.what, hunk.before, hunk.after) == ("axis", "-1", "0")


def test_weights(make: Make) -> None:
    hunk = only(diff(make(ENCODER), make(ENCODER, seed=1)))
    assert isinstance(hunk, Weights)
    assert hunk.name == "w"
    assert hunk.distance is not None
    assert hunk.distance > 0.1
    assert str(hunk).startswith("weights changed: w f32[8, 8] by up to ")


def test_little_constants_are_shown(make: Make) -> None:
    one, other = "h = MatMul(x, w) y = Mul(h, half)", "h = MatMul(x, w) y = Mul(h, root)"
    hunk = only(diff(make(one), make(other)))
    assert isinstance(hunk, Update)
    assert str(hunk) == "Mul: the constant half 0.5 -> 1.4142135381698608"


def test_weights_that_moved_to_another_file_are_the_same(make: Make, tmp_path: Path) -> None:
    body, big = "y = MatMul(x, w)", np.random.default_rng(0).standard_normal((200, 200), np.float32)
    model = parser.parse_model(f"{HEAD} g (float[B,200] x) => (float[B,200] y) {{ {body} }}")
    model.graph.initializer.append(numpy_helper.from_array(big, "w"))
    onnx.save(model, tmp_path / "one.onnx")
    onnx.save(
        model, tmp_path / "two.onnx", save_as_external_data=True, location="w", size_threshold=0
    )
    assert diff(tmp_path / "one.onnx", tmp_path / "two.onnx").same


def test_operands(make: Make) -> None:
    hunk = only(diff(make("a = Neg(x) y = Sub(a, x)"), make("a = Neg(x) y = Sub(x, a)")))
    assert isinstance(hunk, Move)
    assert str(hunk) == "Sub: the same operands in another order"
    one, other = (
        "a = Exp(x) b = Abs(a) c = Neg(b) y = Div(c, a)",
        "a = Exp(x) b = Abs(a) c = Neg(b) y = Div(c, b)",
    )
    assert "moved: reads Abs b instead of Exp a" in str(only(diff(make(one), make(other))))


def test_swapped_operands_of_a_sum_are_said_once(make: Make) -> None:
    hunk = only(
        diff(make("h = MatMul(x, w) y = Add(h, one)"), make("h = MatMul(x, w) y = Add(one, h)"))
    )
    assert "another order" in str(hunk)


def test_inputs_and_outputs(make: Make) -> None:
    one = make("y = Tanh(x)")
    retyped = make("y = Tanh(x)", given="float[4,8] x", gives="float[4,8] y")
    found = diff(one, retyped)
    assert [(h.what, h.name) for h in found.hunks if isinstance(h, Signature)] == [
        ("input", "x"),
        ("output", "y"),
    ]
    more = make("y = Tanh(x) z = Neg(x)", gives="float[B,8] y, float[B,8] z")
    assert "output z added: f32[B, 8]" in str(diff(one, more))
    assert "output z removed: f32[B, 8]" in str(diff(more, one))
    renamed = make("z = Tanh(x)", gives="float[B,8] z")
    assert not diff(one, renamed).same


def test_outputs_exchanged(make: Make) -> None:
    gives = "float[B,8] y, float[B,8] z"
    one, other = (
        make("y = Tanh(x) z = Neg(x)", gives=gives),
        make("z = Tanh(x) y = Neg(x)", gives=gives),
    )
    said = str(diff(one, other))
    assert "output y: is Tanh y -> is Neg y" in said


def test_the_opset_is_noted_and_makes_no_difference(make: Make) -> None:
    found = diff(
        make("y = Tanh(x)"), make("y = Tanh(x)", head=HEAD.replace("17", "18").replace("8,", "9,"))
    )
    assert found.same
    assert found.notes == ("the opset was 17 and is 18", "the IR version was 8 and is 9")


def branching(op: str, path: Path) -> Path:
    """A model that chooses between `op` and Neg."""

    def body(op: str, name: str) -> onnx.GraphProto:
        gives = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(op, ["x"], [name])], name, [], [gives])

    text = f"{HEAD} g (bool c, {X} x) => ({X} y) {{ y = If(c) }}"
    model = parser.parse_model(text)
    node = model.graph.node[0]
    node.name = "choice"
    node.attribute.append(helper.make_attribute("then_branch", body(op, "t")))
    node.attribute.append(helper.make_attribute("else_branch", body("Neg", "f")))
    onnx.save(model, path)
    return path


def test_bodies(tmp_path: Path) -> None:
    one, other = branching("Tanh", tmp_path / "a.onnx"), branching("Exp", tmp_path / "b.onnx")
    assert diff(one, one).same
    found = diff(one, other)
    assert all(isinstance(h, Inside) for h in found.hunks)
    assert "in then_branch of If choice: Tanh -> Exp" in str(found)


def test_as_json_is_plain_data(make: Make) -> None:
    found = diff(make(ENCODER), make(ENCODER.replace("Erf", "Tanh"), seed=1))
    said = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert said["schema"] == 1
    assert said["same"] is False
    assert {h["kind"] for h in said["hunks"]} == {"replace", "weights"}
    assert said["before"]["nodes"] == 7


def test_it_takes_time_in_proportion(make: Make) -> None:
    """A model of some thousand nodes with a change in every layer: each is found."""
    nodes, x = [], "x"
    for i in range(600):
        nodes += [f"a{i} = Tanh({x})", f"b{i} = Exp(a{i})", f"c{i} = Neg(b{i})"]
        x = f"c{i}"
    one = " ".join(nodes) + f" y = Abs({x})"
    other = one
    for i in range(0, 600, 60):
        other = other.replace(f"b{i} = Exp(a{i})", f"b{i} = Sin(a{i})")
    found = diff(make(one), make(other))
    assert str(found).count("@@") == 1
    assert len(found.hunks) == 10
    assert all(str(h) == "Exp -> Sin" for h in found.hunks)
