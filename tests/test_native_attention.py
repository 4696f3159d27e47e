"""Attentions that came as operators: raised, written out, and held to ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphwright as gw
from graphwright.frontends.onnx import from_proto
from graphwright.ir.graph import Graph
from graphwright.passes.attention.survey import is_native
from graphwright.runtime import Runtime

Array = np.ndarray[Any, np.dtype[Any]]
B, S, T, P, H, K, D, E = 2, 3, 4, 5, 4, 2, 4, 6
LOW = float(np.finfo(np.float32).min)
MICROSOFT = "com.microsoft"
NUMBERS = {"float32": 1, "int32": 6, "int64": 7, "bool": 9, "float16": 10}
RNG = np.random.default_rng(0)


def r(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def i32(value: object) -> Array:
    return np.asarray(value, np.int32)


@dataclass
class Form:
    """One form of an operator: its inputs, those left out as None, and its attributes."""

    name: str
    op: str
    inputs: Sequence[Array | None]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1
    domain: str = ""
    opset: int = 23
    dims: Mapping[tuple[int, int], str] = field(default_factory=dict)
    consts: Sequence[int] = ()

    def __str__(self) -> str:
        return self.name

    def model(self) -> onnx.ModelProto:
        given = [(i, x) for i, x in enumerate(self.inputs) if x is not None]
        infos = [
            helper.make_tensor_value_info(
                f"x{i}",
                NUMBERS[x.dtype.name],
                [self.dims.get((i, axis), d) for axis, d in enumerate(x.shape)],
            )
            for i, x in given
            if i not in self.consts
        ]
        weights = [numpy_helper.from_array(x, f"x{i}") for i, x in given if i in self.consts]
        names = ["" if x is None else f"x{i}" for i, x in enumerate(self.inputs)]
        outputs = [f"y{i}" for i in range(self.outputs)]
        node = helper.make_node(self.op, names, outputs, domain=self.domain, **self.attrs)
        kind = infos[0].type.tensor_type.elem_type
        gives = [helper.make_tensor_value_info(name, kind, None) for name in outputs]
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)]
        graph = helper.make_graph([node], "g", infos, gives, weights)
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def feed(self) -> dict[str, Array]:
        given = enumerate(self.inputs)
        return {f"x{i}": x for i, x in given if x is not None and i not in self.consts}


q, k, v = r(B, H, S, D), r(B, K, T, D), r(B, K, T, E)
past = [r(B, K, P, D), r(B, K, P, E)]
flat = [r(B, S, H * D), r(B, T, K * D), r(B, T, K * E)]
NAMED = {(0, 0): "B", (0, 2): "S", (1, 0): "B", (1, 2): "T", (2, 0): "B", (2, 2): "T"}
NAMED_PAST = {**NAMED, (4, 0): "B", (4, 2): "P", (5, 0): "B", (5, 2): "P"}
NAMED_MASK = {**NAMED, (3, 0): "B", (3, 2): "S", (3, 3): "T"}
heads = {"q_num_heads": H, "kv_num_heads": K}
added = np.zeros((B, 1, S, T), np.float32)
added[0, 0, 1], added[1, 0, 2], added[1, 0, 0, :2], added[1, 0, 1] = LOW, -np.inf, -1e9, -1e30
added[0, 0, 0, 1] = LOW
seen = added == 0
half = [x.astype(np.float16) for x in (q, k, v)]
left = added.copy()
left[..., 0] = LOW
half_mask = np.where(seen, 0, -65504).astype(np.float16)
counts = np.array([2, 4], np.int64)


def onnx_(name: str, *inputs: Array | None, **more: Any) -> Form:
    apart = {n: more.pop(n) for n in ("outputs", "opset", "dims", "consts") if n in more}
    return Form(name, "Attention", inputs, more, **apart)


ONNX = [
    onnx_("plain", q, k, v),
    onnx_("plain, named sizes", q, k, v, dims=NAMED),
    onnx_("scale and cap", q, k, v, scale=0.3, softcap=2.0),
    onnx_("causal", q, k, v, is_causal=1),
    onnx_("causal, named sizes", q, k, v, is_causal=1, dims=NAMED),
    onnx_("float mask", q, k, v, added),
    onnx_("float mask, named sizes", q, k, v, added, dims=NAMED_MASK),
    onnx_("constant float mask", q, k, v, np.where(seen, 0, LOW).astype(np.float32), consts=[3]),
    onnx_("mask of two axes", q, k, v, added[0, 0]),
    onnx_("mask of three axes is by head", q, k, v, r(H, S, T)),
    onnx_("boolean mask", q, k, v, seen),
    onnx_("constant mask that hides nothing", q, k, v, seen | True, consts=[3]),
    onnx_("boolean mask and causal", q, k, v, seen, is_causal=1, dims=NAMED_MASK),
    onnx_("left padding by the lowest number, causal", q, k, v, left, is_causal=1),
    onnx_("cache", q, k, v, None, *past, outputs=3),
    onnx_("cache, causal", q, k, v, None, *past, outputs=3, is_causal=1, dims=NAMED_PAST),
    onnx_("keys and values given back", q, k, v, outputs=3),
    onnx_("heads joined", *flat, **heads),
    onnx_("heads joined, cache", *flat, None, *past, outputs=3, is_causal=1, **heads),
    onnx_("lengths", q, k, v, None, None, None, counts, opset=24),
    onnx_("lengths, causal", q, k, v, None, None, None, counts, opset=24, is_causal=1),
    onnx_("half precision", *half),
    onnx_("half precision, wide softmax", *half, softmax_precision=TensorProto.FLOAT),
    onnx_("half precision, mask", *half, half_mask),
]

N = 2  # heads of ONNX Runtime's operators
mq, mk, mv = r(B, S, N * 8), r(B, T, N * 8), r(B, T, N * 8)
square = r(B, T, N * 8)
bias = r(3 * N * 8)
keys = i32([[1, 1, 0, 0], [0, 0, 0, 0]])
cache = [r(B, N, P, 8), r(B, N, P, 8)]
x, w = r(B, S, 10), r(10, 3 * N * 8)


def multi(name: str, *inputs: Array | None, outputs: int = 1, **attrs: Any) -> Form:
    attrs["num_heads"] = N
    return Form(name, "MultiHeadAttention", inputs, attrs, outputs, MICROSOFT)


def packed(name: str, *inputs: Array | None, outputs: int = 1, **attrs: Any) -> Form:
    attrs["num_heads"] = N
    return Form(name, "Attention", inputs, attrs, outputs, MICROSOFT, consts=[1, 2])


def grouped(name: str, *inputs: Array | None, length: int = S, **attrs: Any) -> Form:
    given = [*inputs, *[None] * (5 - len(inputs))] if len(inputs) < 5 else list(inputs)
    rows = given[0].shape[0] if given[0] is not None else B
    given[5:5] = [i32([length - 1] * rows), i32(length)]
    attrs |= {"num_heads": H, "kv_num_heads": K}
    return Form(name, "GroupQueryAttention", given, attrs, 3, MICROSOFT, consts=[5, 6])


gq, gk, gv = r(B, S, H * 8), r(B, S, K * 8), r(B, S, K * 8)
none5 = [None] * 2
dead = np.zeros((1, 1, S, S), np.float32)
dead[0, 0, 0, 0] = -np.inf
gpast = [r(B, K, P, 8), r(B, K, P, 8)]
FUSED = [
    multi("multi", mq, mk, mv),
    multi("multi, bias", mq, mk, mv, bias),
    multi("multi, values of another width", mq, mk, r(B, T, N * 6)),
    multi("multi, mask of keys", mq, mk, mv, None, keys),
    multi("multi, lengths", mq, mk, mv, None, i32([2, 0])),
    multi("multi, mask of pairs", mq, mk, mv, None, i32(RNG.random((B, S, T)) > 0.5)),
    multi("multi, added", mq, mk, mv, None, keys, r(1, N, S, T), mask_filter_value=-100.0),
    multi("multi, causal", square, mk, mv, unidirectional=1),
    multi("multi, cache", mq, mk, mv, None, None, None, *cache, outputs=3),
    multi("multi, cache, causal", square, mk, mv, *[None] * 3, *cache, outputs=3, unidirectional=1),
    multi("multi, heads apart", mq, *cache),
    multi("multi, heads apart, bias", mq, *cache, bias),
    packed("packed", x, w, bias),
    packed("packed, mask, causal", x, w, bias, i32([[0, 1, 1], [0, 0, 0]]), unidirectional=1),
    packed("packed, lengths", x, w, bias, i32([2, 0])),
    packed("packed, cache", x, w, bias, None, r(2, B, N, P, 8), outputs=2, unidirectional=1),
    packed("packed, added", x, w, bias, None, None, r(1, 1, S, S), outputs=2),
    grouped("grouped", gq, gk, gv),
    grouped("grouped, window", gq, gk, gv, local_window_size=2),
    grouped("grouped, cap", gq, gk, gv, softcap=2.0),
    grouped("grouped, smooth", gq, gk, gv, smooth_softmax=1),
    grouped("grouped, all seen", gq, gk, gv, causal=0),
    grouped("grouped, packed", np.concatenate([gq, gk, gv], -1)),
    grouped("grouped, added", gq, gk, gv, *none5, None, None, None, dead),
    grouped("grouped, sinks", gq, gk, gv, *none5, None, None, None, None, r(H)),
    grouped("grouped, cache", gq[:, :1], gk[:, :1], gv[:, :1], *gpast, length=P + 1),
]


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime(isolated=False)


def tolerance(form: Form) -> float:
    """How far apart the two may be: a row of keys all hidden by -10000 keeps few of its bits."""
    at = 3 if form.op == "Attention" else 4
    hidden = form.inputs[at] if form.domain and at < len(form.inputs) else None
    masked = form.op != "GroupQueryAttention" and hidden is not None
    return 4e-3 if masked or "half" in form.name else 2e-5


def natives(graph: Graph) -> list[str]:
    return [n.op for _, n in graph.walk() if is_native(n.op) or n.op.startswith(MICROSOFT)]


@pytest.mark.parametrize("form", [*ONNX, *FUSED], ids=str)
def test_it_is_written_out_and_stays_what_it_was(form: Form, runtime: Runtime) -> None:
    before, feed = from_proto(form.model()), form.feed()
    assert natives(before)
    result = gw.unfuse(before)
    assert not natives(result.graph), (result.report.left_out, result.report.notes)
    assert result.report.ok
    (want,), (got,) = runtime.evaluate(before, [feed]), runtime.evaluate(result.graph, [feed])
    for a, b in zip(want, got, strict=True):
        np.testing.assert_allclose(b, a, atol=tolerance(form))


@pytest.mark.parametrize(
    ("form", "why"),
    [
        (onnx_("scores", q, k, v, outputs=4), "its scores are read"),
        (onnx_("narrow", q, k, v, softmax_precision=TensorProto.FLOAT16), "narrower"),
        (multi("queries and keys", mq, mk, mv, unidirectional=1), "as many queries"),
        (multi("scores", mq, mk, mv, outputs=4), "its scores are read"),
        (packed("ends and starts", x, w, bias, i32([3, 2, 0, 1])), "one number a batch"),
    ],
    ids=str,
)
def test_what_cannot_be_kept_stays_and_says_why(form: Form, why: str) -> None:
    result = gw.unfuse(from_proto(form.model()))
    assert natives(result.graph)
    assert any(why in note for note in result.report.notes), result.report.notes


def test_lengths_known_at_run_time_only() -> None:
    form = grouped("grouped", gq, gk, gv)
    form.consts = ()
    result = gw.unfuse(from_proto(form.model()))
    assert natives(result.graph) == ["com.microsoft::GroupQueryAttention"]
    assert any("known only at run time" in note for note in result.report.notes)


def test_no_work_is_done_twice() -> None:
    """The cache that is given back is the one that is read."""
    graph = gw.unfuse(from_proto(onnx_("cache", q, k, v, None, *past, outputs=3).model())).graph
    assert sum(n.op == "Concat" for n in graph.nodes()) == 2
    assert sum(n.op == "Softmax" for n in graph.nodes()) == 1
