"""How long what is cut out of an axis is, whose size is known only at run time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphwright as gw
from graphwright.ir.dims import Dim, least, sym
from graphwright.ir.equalities import learn, proofs
from graphwright.ir.graph import Value
from graphwright.ir.ops import apply, constant
from graphwright.ir.renaming import one_name_each
from graphwright.ir.substitution import evaluate
from graphwright.ir.types import TensorType

S, P = sym("S"), sym("P")
END = 2**63 - 1


def length(size: Dim, start: Dim, end: Dim) -> Dim | None:
    """What is known of how long the slice of an axis is."""
    x = Value(TensorType("f32", (size,)))
    start_, end_ = (
        constant([n], "i64") if isinstance(n, int) else apply("Sizes", dims=(n,)).outputs[0]
        for n in (start, end)
    )
    found = apply("Slice", x, start_, end_, constant([0], "i64")).outputs[0].type
    return found.shape[0] if isinstance(found, TensorType) and found.shape else None


@pytest.mark.parametrize(
    ("size", "start", "end", "expected"),
    [
        (S + 1, 1, END, S),
        (S + 3, 1, -1, S + 1),
        (S + 3, 3, S + 3, S),
        (S + 1, 2, END, None),  # S may be 0
        (S, 1, END, None),
        (P + S, P, END, S),
        (P + S, P, P + S, S),
        (2 * S, S, END, S),
        (S, S, END, 0),
        (S, P, END, None),
        (S + 1, END, END, 0),
        (64, P, P + S, least(P + S, 64) - least(P, 64)),
        (64, P, S, None),
    ],
)
def test_what_is_surely_there_is_taken_away(
    size: Dim, start: Dim, end: Dim, expected: Dim | None
) -> None:
    assert length(size, start, end) == expected


AT = st.sampled_from([-END, -9, -2, -1, 0, 1, 2, 5, END, P, S, P + S, P + 1])


@given(
    st.sampled_from([S, S + 1, S + 4, P + S, 2 * S + P, P + 2]), AT, AT, *[st.integers(0, 7)] * 2
)
def test_lengths_are_what_running_gives(size: Dim, start: Dim, end: Dim, s: int, p: int) -> None:
    numbers = {"S": s, "P": p}
    found = length(size, start, end)
    if found is not None:
        first, last = (evaluate(n, numbers) for n in (start, end))
        assert evaluate(found, numbers) == len(np.arange(evaluate(size, numbers))[first:last])


def known_of(shape: str, dim: Dim) -> Dim:
    """What a size is where a tensor of sizes P and P + S meets one of `shape`."""
    graph = gw.parse(f"def model(x: f32[P, P+S], y: f32[{shape}]):\n    return x + y")
    known = proofs(("P", "S"))
    learn(graph.reachable(), known)
    return known.resolve(dim)


def test_what_reaches_as_far_as_all_is_not_cut_off() -> None:
    cut, before = least(P + S, 64), least(P, 64)
    assert known_of("P, min(P+S, 64)", cut) == P + S
    assert known_of("min(P, 64), min(P+S, 64)", before) == P
    assert known_of("4, min(P+S, 64)", least(P, 32)) == least(P, 32)
    assert known_of("4, min(P+S, 1)", least(P + S, 1)) == least(P + S, 1)
    assert known_of("4, min(P, 64)", before) == before
    assert known_of("4, 1", cut) == cut


def halved(given: str, target: str) -> bool:
    """Whether a Reshape proves that S is even."""
    graph = gw.parse(f"def model(x: f32[{given}]):\n    return Reshape(x, {target}, allowzero=0)")
    known = proofs(("S", "T"))
    learn(graph.reachable(), known)
    return known.resolve(S) == 2 * (S // 2) == known.resolve(known.resolve(S))


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ("S", "i64([-1, 2])"),
        ("S, 21", "i64([-1, 2, 3, 7])"),
        ("S, 3, 7", "i64([-1, 6, 0])"),
        ("S, 3", "Sizes(dims=(S//2, 2, 3))"),
        ("2, S", "Sizes(dims=(2, S//2, 2))"),  # 0 would copy S = 1, which is too few
    ],
)
def test_what_is_cut_in_halves_is_even(given: str, target: str) -> None:
    assert halved(given, target)


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ("S, 4", "i64([-1, 2])"),
        ("S, T", "i64([-1, 2])"),
        ("S, 4", "Sizes(dims=(S//2, 4))"),  # of S = 1 the 0 copies, and all is well
        ("S, T", "Sizes(dims=(S//2, 2, T))"),
        ("T, S", "Sizes(dims=(T, S//2, 2))"),
    ],
)
def test_what_may_be_cut_otherwise_need_not_be_even(given: str, target: str) -> None:
    assert not halved(given, target)


def test_what_was_proved_is_known_when_inputs_have_their_own_names_again() -> None:
    lines = "a = x * 2.0\n    b = Reshape(a, i64([-1, 2, 3]))\n    return b"
    graph = gw.parse(f"def model(x: f32[S, 3]):\n    {lines}")
    for _ in range(2):
        with one_name_each(graph) as known:
            assert known.resolve(S) == 2 * (S // 2)
            assert str(graph.inputs[0].type) == "f32[2*(S//2), 3]"
        assert str(graph.inputs[0].type) == "f32[S, 3]"
