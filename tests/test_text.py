"""Graphs as text: what is shown is read back, and what is read is shown."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphwright.frontends.onnx import from_proto
from graphwright.ir import parse, same, show, weights_of
from graphwright.ir.const import Const, from_array
from graphwright.ir.dims import sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Attr, AttrRef, Carried, Graph, Node, Value
from graphwright.ir.ops import apply, constant, contents_of, return_node
from graphwright.ir.problems import problems
from graphwright.ir.types import NUMPY, UNKNOWN, OptionalType, SequenceType, TensorType, Type

ATTENTION = """
def attention(q: f32[B, 8, S, 64], k: f32[B, 8, S, 64], v: f32[B, 8, S, 64]):
    s = q @ Transpose(k, perm=(0, 1, 3, 2)) * 0.125
    return Softmax(s, axis=-1) @ v
"""

SHOWN = [  # what `show` gives for itself
    """
def attention(q: f32[B, 8, S, 64], k: f32[B, 8, S, 64], v: f32[B, 8, S, 64]):
    t0 = Transpose(k, perm=(0, 1, 3, 2))
    t1 = q @ t0
    s = t1 * 0.125
    t2 = Softmax(s, axis=-1)
    y = t2 @ v
    return y
""",
    """
def arithmetic(x: f32[2, 2], n: i64):
    a = x + 1.0
    b = 2.0 - a
    c = b * -0.5
    d = c / inf
    e = (-2.0) ** d
    f = e ** i64(2)
    g = -f
    h = n * -3
    j = f32(1.0) + 2.0
    k = g @ f32([[1.0, nan], [-inf, -0.0]])
    return h, j, k
""",
    """
def results(x: f32[4]):
    a, b = Split(x, axis=0, split=(1, 3))
    _, c = call("foo::Two", a, None, b)
    d: f32[S]
    e: Seq[f32[...]]
    d, e = call("foo::Two", c)
    call("foo::Print", c)
    f = call("foo::Kept", c)
    return {"first output": a, "d": d, "e": e, "": None, "number": i64(3)}
""",
    """
def empty():
    return ()
""",
    """
def unused(x, y: Opaque["map"], z: Opt[Seq[str]], w: f32[...]):
    return x
""",
    """
def sizes(x: f32[sym("past + 1"), (S+3)//4, -B*S+2*(S//4), min(S, 64), joint(B, T), sym("inf")]):
    y = Sizes(dims=(B*S+1, 4, sym("past + 1"), min(S, 64)))
    z = Sizes(dims=B)
    return y, z
""",
    """
def defaults(x: f32[2], *, w: f32[2] = f32([0.5, 1.0]), z: f32, u: f32[99] = weight("u", f32[99])):
    y = x + w
    return y
""",
    """
def defaults_last(x: f32[2], w: f32[2] = f32([0.5, 1.0])):
    y = x + w
    return y
""",
    """
def attributes(x: f32[2]):
    a = call("f::A", x, a=1, b=1.5, c="s", d=b'\\xff', e=(1, 2), f=(1.5, inf), g=("a", b'b'), h=())
    b = call("f::A", a, a=True, b=-inf, c=nan, d='"\\'', e=(-1,), f=1e-05, g=B, h=(B, -S, 3))
    c = call("f::A", b, a=i64([1, 2]), b=weight("b", f32[99]), c=carried("attribute", b'\\x00'))
    d = call("Clip@6", c, max=1.0, **{"captures": (1,), "in": 2, "weird-name": 3})
    return d
""",
    """
def literals(x: bool):
    a = call("f::A", bool([True, False]), str(["a", "b\\n"]), str("c"), u8([[1], [2]]), f16(0.1))
    b = call("f::B", bf16(0.100098), f8e4m3fn(1.5), i4([-8, 7]), f64(0.1), f32([], shape=(0, 3)))
    c = call("f::C", f32(-3.4028235e+38), f32(1e-45), f16(inf), i64([[], []]), u64(2), f32([]))
    return a, b, c
""".replace('["a", "b\\n"]', "['a', 'b\\\\n']"),
    """
def loops(n: i64, c: bool, x: f32[2], w: f32[2]):
    def body(i: i64, go: bool, state: f32[...], w: f32[2]):
        def then_branch(w: f32[2]):
            y = Tanh(w)
            return y
        def else_branch(w: f32[2]):
            return w
        r: f32[2] = If(go, captures=(w,), then_branch=then_branch, else_branch=else_branch)
        y = state + r
        return {"go_out": go, "state_out": y}
    out: f32[2] = Loop(n, c, x, captures=(w,), body=body)
    def body_1(a):
        t = call("local::Twice", a)
        return t
    s: f32[2] = Scan(out, num_scan_inputs=1, other=sym("body_1"), body=body_1)
    return s
""",
    """
@function("local::Clip", "low", "high")
def Clip(x):
    y = call("Clip@6", x, max=ref("high", 1), min=ref("low", 1))
    return y


@function("local::Twice")
def Twice(x):
    y = x + x
    return {"doubled": y}


def main(x: f32[2]):
    y: f32[2] = call("local::Clip", x, high=1.0, low=-1.0)
    return y
""",
]


def consts_for(text: str) -> dict[str, Const]:
    """The weights that the texts above speak of."""
    return {
        name: from_array(np.zeros(99, np.float32)) for name in ("u", "b") if f'"{name}"' in text
    }


@pytest.mark.parametrize("text", SHOWN, ids=lambda text: text.partition("(")[0].split()[-1])
def test_what_is_shown_is_read_and_shown_again(text: str) -> None:
    graph = parse(text, consts_for(text))
    assert show(graph) == text.strip("\n")
    assert list(problems(graph)) == []
    assert same(graph, parse(show(graph), weights_of(graph)))
    assert show(parse(text)) == show(graph), "a weight need not be there"


def test_expressions_nest() -> None:
    assert show(parse(ATTENTION)) == SHOWN[0].strip("\n")
    assert same(parse(ATTENTION), parse(SHOWN[0]))


def test_an_expression_is_as_long_as_python_reads_it() -> None:
    graph = parse(f"def f(x: f32[4]):\n    return {' + '.join(['x'] * 2000)}")
    assert len(graph.nodes()) == 1999
    with pytest.raises(SyntaxError, match="nests too deep"):
        parse(f"def f(x: f32[4]):\n    return {' + '.join(['x'] * 50_000)}")


def test_numbers_take_the_type_of_what_they_stand_beside() -> None:
    graph = parse(
        """
        def f(x: f16[2], n: i64):
            return 2 * x ** -0.5, 1 - n, Max(x, 0), Where(Equal(n, 1), x, 3)
        """
    )
    consts = [v.const for n in graph.nodes() for v in n.inputs if v is not None]
    types = [const.type for const in consts if const is not None]
    assert types.count(TensorType("f16", ())) == 4
    assert types.count(TensorType("i64", ())) == 2
    half = "def f(x: f32[2]):\n    return x / 2**0.5"
    assert same(parse(half), parse(half.replace("2**0.5", str(2**0.5))))


def test_an_attribute_is_the_float32_that_its_digits_mean() -> None:
    text = (
        'def f(x):\n    y = call("f::A", x, a=0.1, b=0.1234567890123, c=(1e-05, inf))\n    return y'
    )
    (node,) = parse(text).nodes()
    small = float(np.float32(1e-5))
    assert node.attrs == {"a": float(np.float32(0.1)), "b": 0.1234567890123, "c": (small, np.inf)}
    assert show(parse(text)) == text


def test_names_are_made_readable_and_stay_apart() -> None:
    x = Value(TensorType("f32", (2,)), name="input.1")
    names = ["/encoder/layer.0/Add_output_0", "", "x", "x", "7", "def", "f32", "t0", "été", "/"]
    value = x
    for name in names:
        value = apply("Tanh", value).outputs[0]
        value.name = name
    graph = Graph("torch-jit-export", (x,), return_node([value], ["out/put"]))
    text = show(graph)
    assert text.splitlines() == [
        "def torch_jit_export(input_1: f32[2]):",
        "    encoder_layer_0_Add_output_0 = Tanh(input_1)",
        "    t0 = Tanh(encoder_layer_0_Add_output_0)",
        "    x = Tanh(t0)",
        "    x_1 = Tanh(x)",
        "    t_7 = Tanh(x_1)",
        "    def_ = Tanh(t_7)",
        "    f32_ = Tanh(def_)",
        "    t0_1 = Tanh(f32_)",
        "    t = Tanh(t0_1)",
        "    t_1 = Tanh(t)",
        '    return {"out/put": t_1}',
    ]
    assert show(parse(text)) == text
    assert same(graph, parse(text))


def test_weights_are_called_by_their_names() -> None:
    one, two = np.zeros(99, np.float32), np.ones(99, np.float32)
    a, b, c = (constant(array, "f32") for array in (one, two, one))
    a.name, b.name = "w", "w"
    values = [apply("Tanh", v).outputs[0] for v in (a, b, c, a)]
    graph = Graph("g", (), return_node(values, ["p", "q", "r", "s"]))
    weights = weights_of(graph)
    assert list(weights) == ["w", "w_1", "w_2"]
    again = parse(show(graph), weights)
    assert show(again) == show(graph)
    first, second, third, fourth = (n.inputs[0] for n in again.nodes())
    assert first is fourth
    assert second is not None
    assert second.const is weights["w_1"]
    assert third is not first
    assert same(graph, again)
    assert not same(graph, parse(show(graph), {**weights, "w": weights["w_1"]}))


def test_a_weight_that_is_absent_may_be_carried_but_not_looked_at() -> None:
    text = 'def f(x: f32[99]):\n    y = x + weight("w", f32[99])\n    return y'
    graph = parse(text)
    assert show(graph) == text
    const = weights_of(graph)["w"]
    with pytest.raises(ModelError, match="'w' was not given"):
        const.load()
    shaped = parse('def f(x: f32[99]):\n    return Reshape(x, weight("w", i64[1]))')
    assert shaped.outputs[0] is not None
    assert shaped.outputs[0].type == TensorType("f32")
    with pytest.raises(TypeError, match=r"line 2: the weight 'w' is f32\[99\], not f32\[9\]"):
        parse('def f(x: f32[9]):\n    return x + weight("w", f32[9])', weights_of(graph))


def test_types_are_stated_where_they_do_not_follow() -> None:
    x = Value(TensorType("f32", (2, sym("S"))), name="x")
    y = apply("Tanh", x).outputs[0]
    z = apply("foo::Bar", y).outputs[0]
    y.type, z.type = TensorType("f32", (2, 3)), TensorType("f32", (4,))
    graph = Graph("f", (x,), return_node([z], ["z"]))
    text = show(graph)
    assert "t0: f32[2, 3] = Tanh(x)" in text
    assert [n.outputs[0].type for n in parse(text).nodes()] == [y.type, z.type]
    y.type = UNKNOWN
    assert parse(show(graph)).nodes()[0].outputs[0].type == UNKNOWN


def test_what_is_computed_of_sizes_is_known_after_reading() -> None:
    graph = parse("def f(x: f32[B, S]):\n    return Shape(x) * 2")
    assert contents_of(graph.outputs[0]) == (2 * sym("B"), 2 * sym("S"))


WRONG = [
    ("def f(x: f32[2]):\n    return y", SyntaxError, "line 2: nothing is called y here"),
    ("def f(x: f32[2]):\n\n    y = x +\n    return y", SyntaxError, "line 3"),
    ("def f(x: f33[2]):\n    return x", SyntaxError, r"line 1: f33\[2\] is no type"),
    ("def f(x: f32[2.5]):\n    return x", SyntaxError, "line 1: 2.5 is no size"),
    ("def f(x: f32[S//0]):\n    return x", SyntaxError, "divided by positive numbers"),
    ("x = 1", SyntaxError, "a graph is written as a function"),
    ("", SyntaxError, "a graph is written as a function"),
    ("x = 1\ndef f():\n    return ()", SyntaxError, "line 1: before the graph stand functions"),
    ("def f(x: f32[2], y: f32[3]):\n    return x + y", TypeError, "line 2: x [+] y: sizes 2 and 3"),
    ("def f(x: f32[2]):\n    return Softmax(x)", TypeError, "Softmax needs the attribute 'axis'"),
    ("def f(x: f32[2]):\n    return Reshape(x)", TypeError, "Reshape needs more than 1 inputs"),
    ("def f(x: i64[2]):\n    return x + 0.5", TypeError, "line 2: x [+] 0.5: 0.5 is no i64"),
    ("def f(x: u8[2]):\n    return x + 256", TypeError, "256 is no u8"),
    ("def f(x: f32[2]):\n    return Gather(x, 0, axis=0)", TypeError, r"Write f32\(0\)"),
    ("def f(x: f32[2]):\n    return call('f::A', 0)", TypeError, r"Write f32\(0\)"),
    ("def f(x: f32[2]):\n    return Max(0.0, 1.0)", TypeError, r"Write f32\(0.0\)"),
    ("def f(x: f32[2]):\n    return 1 / 0 * x", TypeError, "division by zero"),
    ("def f(x: f32[2]):\n    return u8(-1)", TypeError, "line 2: u8"),
    ("def f(x: f32[2]):\n    return i64(0.5)", TypeError, "that is no i64"),
    ("def f(x: f32[2]):\n    return f16(1e6)", TypeError, "overflow"),
    ("def f(x: f32[2]):\n    return f32(1, 2)", SyntaxError, "a constant is one number"),
    ("def f(x: f32[2]):\n    return f32(x)", SyntaxError, "x is no number"),
    ("def f(x: f32[2]):\n    return weight('w')", SyntaxError, "a weight is written weight"),
    ("def f(x: f32[2]):\n    a, b = x\n    return a", SyntaxError, "one result, not 2"),
    ("def f(x: f32[2]):\n    x.y = x\n    return x", SyntaxError, "a line is name = expression"),
    ("def f(x: f32[2]):\n    y: f32[3] = x\n    return y", TypeError, r"line 2: x is f32\[2\]"),
    ("def f(x: f32[2]):\n    x + 1.0", SyntaxError, "a graph ends with a return"),
    ("def f(x: f32[2]):\n    if x:\n        pass\n    return x", SyntaxError, "line 2: if x:"),
    ("def f(x: f32[2]):\n    return x < 3", SyntaxError, "x < 3 is no expression of graphs"),
    ("def f(x: f32[2]):\n    return None + x", SyntaxError, "None is no operand"),
    ("def f(x: f32[2]):\n    return x.exp()", SyntaxError, "x.exp is no operator"),
    ("def f(x: f32[2]):\n    return call(x)", SyntaxError, "call wants an operator first"),
    ("def f(x: f32[2]):\n    return Foo(x, a=[1, None])", SyntaxError, "None is no attribute"),
    ("def f(x: f32[2]):\n    return Foo(x, **a)", SyntaxError, "attributes are written name=value"),
    ("def f(x: f32[2]):\n    return {x: x}", SyntaxError, "the names of outputs are strings"),
    ("def f(x: f32[2] = 1):\n    return x", SyntaxError, "line 1: 1 is no constant"),
    (
        "def f(c: bool):\n    def b():\n        return ()\n    return c",
        SyntaxError,
        "no node has the body b",
    ),
    (
        "def f(c: bool):\n    def b():\n        return f32(1.0)\n    return If(c, t=b, e=b)",
        SyntaxError,
        "line 4: the body b is used twice",
    ),
]


@pytest.mark.parametrize(("text", "kind", "sentence"), WRONG, ids=[w[2] for w in WRONG])
def test_what_is_wrong_is_said_with_its_line(
    text: str, kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        parse(text)


def test_same_graphs_differ_in_names_and_order_only() -> None:
    text = "def f(x: f32[2], y: f32[2]):\n    a = Tanh(x)\n    b = Exp(y)\n    return a * b"
    other = """
        def g(p: f32[2], q: f32[2]):
            v = Exp(q)
            u = Tanh(p)
            w = u * v
            return {"out": w}
    """
    assert same(parse(text), parse(other))
    for near in (
        text.replace("a * b", "b * a"),
        text.replace("a * b", "a + b"),
        text.replace("y: f32[2]", "y: f32[1]"),
        text.replace("Exp(y)", "Exp(x)"),
        text.replace("a * b", "a, b"),
    ):
        assert not same(parse(text), parse(near)), near


DIMS = st.one_of(st.integers(0, 9), st.sampled_from("BST").map(sym), st.text(max_size=5).map(sym))
FLOATS = st.floats(width=32) | st.floats()
PLAIN = st.one_of(st.integers(-9, 9), FLOATS, st.text(max_size=5), st.binary(max_size=5), DIMS)
ATTRS = st.one_of(
    PLAIN,
    st.booleans(),
    st.lists(PLAIN, max_size=3).map(tuple),
    st.builds(Carried, st.text(max_size=5), st.binary(max_size=5)),
    st.builds(AttrRef, st.text(max_size=5), st.integers(0, 9)),
)
TENSORS = st.builds(
    TensorType,
    st.sampled_from(sorted(NUMPY)),
    st.none() | st.lists(DIMS, max_size=3).map(tuple),
)
TYPES = st.recursive(TENSORS, lambda t: st.builds(SequenceType, t) | st.builds(OptionalType, t))


@given(
    st.text(max_size=9),
    st.dictionaries(st.text(max_size=5), ATTRS, max_size=3),
    st.lists(TYPES, max_size=2),
    TYPES,
)
def test_any_node_is_read_back(
    op: str, attrs: Mapping[str, Attr], given: list[Type], result: Type
) -> None:
    inputs = tuple(Value(t, name="") for t in given)
    node = Node(f"f::{op}", (*inputs, None), attrs, (Value(result, name=op),))
    graph = Graph(op, inputs, return_node([node.outputs[0], None], [op, "x"]))
    text = show(graph)
    again = parse(text)
    assert show(again) == text
    assert [v.type for v in again.inputs] == given
    (found,) = again.nodes()
    assert found.op == node.op
    assert found.attrs.keys() == attrs.keys()
    assert repr(sorted(found.attrs.items())) == repr(sorted(attrs.items())) or has_floats(attrs)
    assert found.outputs[0].type == result


def has_floats(attrs: Mapping[str, Attr]) -> bool:
    """A float64 may be read as the float32 of the same digits."""
    return "float" in repr(
        [type(b) for a in attrs.values() for b in (a if isinstance(a, tuple) else [a])]
    )


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32", "f64"])
def test_the_bits_of_a_nan_are_kept(dtype: str) -> None:
    kind = NUMPY[dtype]
    array = np.frombuffer(b"\xff" * kind.itemsize, kind).reshape(())
    value = Value(TensorType(dtype, ()), const=from_array(array), name="w")
    graph = Graph("g", (), return_node([apply("f::A", value).outputs[0]], ["y"]))
    (node,) = parse(show(graph), weights_of(graph)).nodes()
    assert node.inputs[0] is not None
    assert node.inputs[0].const is not None
    assert node.inputs[0].const.load().tobytes() == array.tobytes()


@given(st.data())
def test_any_small_constant_is_read_back(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(sorted(NUMPY.keys() - {"str", "c64", "c128"})))
    shape = data.draw(st.lists(st.integers(0, 3), max_size=3))
    size = int(np.prod(shape))
    raw = np.frombuffer(data.draw(st.binary(min_size=8 * size, max_size=8 * size)), np.uint8)
    kind = NUMPY[dtype]
    if dtype == "bool" or kind.itemsize == 1:
        array = (raw[:size] & 1).astype(kind)
    else:
        array = np.frombuffer(raw.tobytes(), kind)[:size]
    const = from_array(array.reshape(shape))
    value = Value(const.type, const=const, name="w")
    graph = Graph("g", (), return_node([apply("f::A", value).outputs[0]], ["y"]))
    (node,) = parse(show(graph), weights_of(graph)).nodes()
    assert node.inputs[0] is not None
    found = node.inputs[0].const
    assert found is not None
    assert found.type == const.type
    assert found.key() == const.key()


@pytest.mark.parametrize(
    ("dtype", "text"),
    [("f32", "0.1"), ("f16", "0.1"), ("f64", "0.1"), ("bf16", "0.100098"), ("f8e5m2", "0.09375")],
)
def test_numbers_are_written_with_the_digits_they_need(dtype: str, text: str) -> None:
    graph = parse(f"def f():\n    return {dtype}(0.1)")
    assert show(graph).endswith(f'return {{"y": {dtype}({text})}}')


def read_back(name: str, graph: Graph) -> None:
    weights, text = weights_of(graph), show(graph)
    again = parse(text, weights)
    assert show(again) == text, name
    assert same(graph, again), name
    assert list(problems(graph)) == [], name
    assert list(problems(again)) == [], name
    for (_, node), (_, other) in zip(graph.walk(), again.walk(), strict=True):
        assert [v.type for v in node.outputs] == [v.type for v in other.outputs], name


SOME = ["adam", "ai_onnx_ml", "attention", "cast", "if_", "loop", "lstm", "optionalgetelement"]
MORE = ["resize", "scan", "sequence_map", "softmax", "split", "string_concat", "topk"]


def test_models_of_onnx_are_read_back() -> None:
    read_all_back([f"{CASES}.{name}" for name in (*SOME, *MORE)])


@pytest.mark.full
def test_every_model_of_onnx_is_read_back() -> None:
    package = importlib.import_module(CASES)
    read_all_back([m.name for m in pkgutil.walk_packages(package.__path__, f"{CASES}.")])


CASES = "onnx.backend.test.case.node"


def read_all_back(modules: list[str]) -> None:
    """Read back onnx's own models of single operators, and their expansions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are made of numbers that overflow
        for name in modules:
            importlib.import_module(name)
    # To ask for them in the official way is to make all of them, which takes seconds.
    cases = list(importlib.import_module(CASES)._NodeTestCases)
    assert len(cases) > 100
    for case in cases:
        if case.model.opset_import[0].version >= 7:
            read_back(case.name, from_proto(case.model))
