"""What is written of an attention before anything runs; nothing here needs Triton."""

from __future__ import annotations

import ast

import pytest
from tests.kernels.cases import Case, varied
from tests.test_normalizers import KNOWN, SCORES

from graphwright.backends.triton import Facts, NoKernel, facts_of, kernel_source, plan_of
from graphwright.backends.triton.hidden import skips
from graphwright.ir.normalizers import body
from graphwright.ir.parse import parse
from graphwright.ir.rows import traits
from graphwright.passes.technique import techniques

FORMULAS = {
    **{text: text for text in KNOWN},
    **{
        name: technique.formula()
        for name, technique in techniques().items()
        if technique.formula is not None
    },
}
PLAIN = Facts(4, 2, 16, 16, mask=True)


def facts(formula: str) -> Facts:
    return Facts(4, 2, 16, 16, mask=True, body=body(formula, SCORES))


@pytest.mark.parametrize("name", FORMULAS)
def test_the_keys_are_read_as_often_as_the_body_needs(name: str) -> None:
    made = facts(FORMULAS[name])
    assert made.body is not None
    assert plan_of(made).count == traits(made.body).sweeps
    forward = ast.unparse(_functions(kernel_source(made))["forward"])
    assert forward.count("for start in range(first, last, BLOCK_T):") == traits(made.body).sweeps


@pytest.mark.parametrize("name", ["", *FORMULAS])
def test_no_tensor_is_made_but_the_result(name: str) -> None:
    """Scores are nowhere but in registers: one store a kernel, and one tensor that is made."""
    functions = _functions(kernel_source(facts(FORMULAS[name]) if name else PLAIN))
    stored = [ast.unparse(call) for call in _calls(functions["forward"], "tl.store")]
    assert stored.pop(0).startswith("tl.store(at_y, ")
    kept = ["tl.store(lse_at + place, lse, mask=rows < S)"]  # for gradients, if it is asked for
    assert stored == ([] if name else kept)
    assert not _calls(functions["scores"], "tl.store")
    made = [ast.unparse(call) for call in _calls(functions["launch"], "torch.empty")]
    assert made == ["torch.empty((*lead, 4, S, 16), dtype=v.dtype, device=q.device)"]
    for call in _calls(functions["launch"], "torch."):
        assert ast.unparse(call.func) in (
            "torch.empty",
            "torch.broadcast_shapes",
            "torch.cuda.device_of",
        )
    for call in _calls(functions.get("forward_part"), "tl.store"):
        assert ast.unparse(call.args[0]) in ("at_y", "top_at + place", "total_at + place")
    for shape in ("tl.zeros", "tl.full"):
        for call in _calls(functions["forward"], shape):
            assert ast.unparse(call.args[0]) in ("[BLOCK_S]", "[BLOCK_S, 16]")


def _functions(text: str) -> dict[str, ast.FunctionDef]:
    return {n.name: n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)}


def _calls(function: ast.FunctionDef | None, start: str) -> list[ast.Call]:
    return [
        node
        for node in (ast.walk(function) if function else ())
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith(start)
    ]


@pytest.mark.parametrize(
    ("formula", "left_out"),
    [
        ("Softmax(s)", True),
        ("Sigmoid(s)", True),
        ("Relu(s)", True),
        ("Softplus(s + 1.0)", True),
        ("Min(Max(1.03 * Softmax(s) - 0.03, 0.0), 1.0)", True),
        ("Max(1.03 * Softmax(s) + 0.01, 0.0)", False),  # a hidden key weighs something
        ("Sigmoid(Where(valid, s, 0.0))", False),
        ("s - ReduceMean(s)", False),  # hidden keys count in the mean
        ("e = Where(valid, Exp(s), 0.0)\ne / ReduceSum(e)", True),
        ("Where(s >= ReduceMax(s) - 1.5, 1.0, 0.0)", False),  # in a row without keys all weigh
    ],
)
def test_blocks_of_hidden_keys_are_left_out_where_they_change_nothing(
    formula: str, left_out: bool
) -> None:
    made = facts(formula)
    assert skips(made, plan_of(made)) is left_out
    assert ("key_bounds(mask, T, BLOCK_S)" in kernel_source(made)) is left_out
    shown = Facts(4, 2, 16, 16, mask=True, filler=-1e4, body=made.body)
    assert not skips(shown, plan_of(shown))


def test_numbers_of_heads_are_a_table() -> None:
    text = kernel_source(facts("Softmax(s * [1.0, 2.0, 3.0, 4.0])"))
    assert "[1.0, 2.0, 3.0, 4.0]" in text
    assert "table0 = tl.load(tables_at + 0 + head)" in text


def test_the_text_of_a_kernel_is_the_same_each_time() -> None:
    case = varied(Case("log2", FORMULAS["log2-softmax"]), "all", sink=True, bias="whole")
    assert kernel_source(case.facts) == kernel_source(case.facts)


@pytest.mark.parametrize(
    ("given", "call", "why"),
    [
        ("q: f64[1, 2, S, 8], k: f64[1, 2, T, 8]", "q, k, k", "compute in float32"),
        ("q: f32[1, 2, S, 300], k: f32[1, 2, T, 300]", "q, k, k", "300 wide"),
        ("q: f32[1, H, S, 8], k: f32[1, H, T, 8]", "q, k, k", "heads are known only when"),
    ],
)
def test_what_has_no_kernel(given: str, call: str, why: str) -> None:
    graph = parse(
        f"def f({given}):\n    return Attention({call}, scale=1.0, cap=0.0, filler=-inf, guard=0,"
        " precision='')"
    )
    (node,) = graph.nodes()
    with pytest.raises(NoKernel, match=why):
        facts_of(node)


def test_a_body_that_sorts_has_no_kernel() -> None:
    graph = parse(
        """
def f(q: f32[1, 2, S, 8], k: f32[1, 2, T, 8]):
    def normalizer(s: f32[1, 2, S, T]):
        top, at = TopK(s, i64([3]), axis=-1, largest=1, sorted=1)
        return Where(GreaterOrEqual(s, ReduceMin(top, axes=(-1,), keepdims=1)), s, f32(0))
    return Attention(q, k, k, scale=1.0, cap=0.0, filler=-inf, guard=0, precision='',
                     normalizer=normalizer)"""
    )
    (node,) = graph.nodes()
    with pytest.raises(NoKernel, match="TopK neither works element by element nor reduces"):
        facts_of(node)
