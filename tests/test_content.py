import numpy as np
import pytest

from graphwright.ir.graph import Graph
from graphwright.ir.parse import parse
from graphwright.verification.content import content_key, same_content


def graph(text: str) -> Graph:
    return parse(text)


LINES = """
def {name}({x}: f32[{b}, {s}, 8], y: f32[{s}, 8]):
    {h} = {x} * 0.5 + y
    return Softmax({h}, axis=-1)
"""
NAMES = {"name": "g", "x": "x", "h": "h", "b": "B", "s": "S"}


def test_names_do_not_matter() -> None:
    one = graph(LINES.format(**NAMES))
    other = graph(LINES.format(name="f", x="a", h="b", b="N", s="T"))
    assert content_key(one) == content_key(other)


@pytest.mark.parametrize(
    "other",
    [
        LINES.replace("0.5", "0.25"),
        LINES.replace("0.5", "-0.5"),
        LINES.replace("axis=-1", "axis=1"),
        LINES.replace("+ y", "- y"),
        LINES.replace("{x} * 0.5 + y", "y + {x} * 0.5"),
        LINES.replace("y: f32[{s}, 8]", "y: f32[{b}, 8]"),
        LINES.replace("y: f32[{s}, 8]", "y: f32[5, 8]"),
        LINES.replace("f32", "f16"),
        LINES.replace("Softmax({h}", "Softmax({x}"),
    ],
)
def test_all_else_does(other: str) -> None:
    assert content_key(graph(LINES.format(**NAMES))) != content_key(graph(other.format(**NAMES)))


def test_sizes_of_several_graphs_are_the_same_where_they_play_the_same_part() -> None:
    one = graph("def g(x: f32[B, S]):\n    return Exp(x)")
    two = graph("def g(x: f32[N, T]):\n    return Exp(x)")
    swapped = graph("def g(x: f32[T, N]):\n    return Exp(x)")
    assert content_key(one, one) == content_key(two, two)
    assert content_key(two, two) != content_key(two, swapped)
    assert same_content(two, two)
    assert not same_content(two, swapped)


def test_equal_constants_are_equal_wherever_they_lie() -> None:
    texts = [f"def g(x: f32[2]):\n    return x + f32([1.0, {n}])" for n in ("2.0", "2.0", "3.0")]
    keys = [content_key(graph(text)) for text in texts]
    assert keys[0] == keys[1] != keys[2]
    assert len(keys[0]) == 64


def test_types_of_numbers_in_attributes_count() -> None:
    keys = {
        content_key(graph(f"def g(x: f32[2, 2]):\n    return Anything(x, alpha={alpha})"))
        for alpha in ("1", "1.0", "0.0", "-0.0", "(1,)", "'1'")
    }
    assert len(keys) == 6


def test_a_graph_of_many_nodes_is_read_in_time() -> None:
    lines = "\n".join(f"    x = Exp(x) * f32({np.float32(i)})" for i in range(500))
    big = graph(f"def g(x: f32[2]):\n{lines}\n    return x")
    assert content_key(big) == content_key(big)
