"""Modules of torch-mlir as graphs: the same as those of torch.export, by another way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.calling import Run, sentence
from tests.calling import optimize as optimize

import graphwright as gw
from graphwright.frontends.torch_mlir.types import read_type
from graphwright.ir.contracts import Tolerance
from graphwright.ir.dims import sym
from graphwright.ir.graph import Graph
from graphwright.ir.types import UNKNOWN, TensorType
from graphwright.runtime import Runtime
from graphwright.verification.feeds import Feed
from graphwright.verification.runs import Truth, judged

torch = pytest.importorskip("torch")
pytest.importorskip("torch_mlir")

from graphwright.frontends.torch import load as load_torch  # noqa: E402, which needs torch
from graphwright.frontends.torch_mlir import trial  # noqa: E402
from graphwright.frontends.torch_mlir.importing import imported  # noqa: E402

F = torch.nn.functional


def module(function: Callable[..., Any], **held: Any) -> Any:
    """A module whose forward is `function`, which gets it first; it holds tensors by name."""
    made = type("Made", (torch.nn.Module,), {"forward": function})()
    for name, tensor in held.items():
        if isinstance(tensor, torch.nn.Parameter):
            made.register_parameter(name, tensor)
        else:
            made.register_buffer(name, tensor, persistent=not name.startswith("made_"))
    return made.eval()


def normal(*shape: int, dtype: Any = torch.float32) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


def parameter(*shape: int) -> Any:
    return torch.nn.Parameter(normal(*shape))


CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "a linear layer": (
        module(lambda m, x: F.gelu(F.linear(x, m.w, m.b)), w=parameter(5, 4), b=parameter(5)),
        (normal(2, 3, 4),),
    ),
    "attention": (
        module(lambda m, q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.5)),
        (normal(2, 4, 3, 8), normal(2, 4, 5, 8), normal(2, 4, 5, 6)),
    ),
    "attention that is causal": (
        module(lambda m, q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)),
        (normal(1, 2, 6, 8), normal(1, 2, 6, 8) + 1, normal(1, 2, 6, 8) - 1),
    ),
    "attention under a mask, heads shared": (
        module(
            lambda m, q, k, v, mask: F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, enable_gqa=True
            )
        ),
        (normal(2, 4, 3, 8), normal(2, 2, 5, 8), normal(2, 2, 5, 8), normal(3, 5) > 0),
    ),
    "norms": (
        module(
            lambda m, x: F.layer_norm(x, (4,), m.w, m.b) + F.rms_norm(x, (4,), m.w, 1e-6),
            w=parameter(4),
            b=parameter(4),
        ),
        (normal(2, 3, 4),),
    ),
    "operands that are left out": (
        module(lambda m, x: F.layer_norm(x, (4,)).clamp(min=-0.5) + x[None].mean((0, 2))[:, None]),
        (normal(3, 4),),
    ),
    "lists of tensors": (
        module(lambda m, x: torch.cat([x, *x.split([1, 3], 1), *x.chunk(2, 1)][::2], 1)),
        (normal(2, 4),),
    ),
    "several outputs": (
        module(lambda m, x: (x + 1, x.max(1), x.sum(), x.shape[0])),
        (normal(2, 4),),
    ),
    "scalars": (
        module(lambda m, x, n: x * n + 2 + (x > 0.5).to(x.dtype) - n.float() ** 2),
        (normal(2, 4), torch.tensor(3)),
    ),
    "constants": (
        module(
            lambda m, x: x * torch.tensor([1.0, 2.0, 3.0, 4.0]) + torch.arange(4) / torch.ones(4)
        ),
        (normal(2, 4),),
    ),
    "a mask that is a buffer": (
        module(
            lambda m, x: x.masked_fill(m.made_mask, float("-inf")).softmax(-1),
            made_mask=torch.ones(4, 4).triu(1).bool(),
        ),
        (normal(4, 4),),
    ),
    "indices, one a constant": (
        module(lambda m, x: x[:, m.made_index], made_index=torch.tensor([2, 0, 1])),
        (normal(2, 4),),
    ),
    "repeated, an axis kept, and axes joined": (
        module(lambda m, x: (x[:, None].expand(-1, 3, -1) + x[:, :1, None]).flatten(0, 1)),
        (normal(2, 4),),
    ),
    "words": (
        module(
            lambda m, x: torch.einsum("bij,bkj->bik", x, x) + F.gelu(x @ x.mT, approximate="tanh")
        ),
        (normal(2, 3, 4),),
    ),
    "division that rounds": (
        module(lambda m, i: torch.div(i, 3, rounding_mode="floor") + i % 4),
        (torch.arange(-6, 6).reshape(3, 4),),
    ),
    "float16": (
        module(lambda m, x: (x @ m.w).softmax(-1).float(), w=normal(4, 5, dtype=torch.float16)),
        (normal(2, 4, dtype=torch.float16),),
    ),
    "float64": (
        module(lambda m, x: (x @ m.w).exp(), w=normal(4, 5, dtype=torch.float64)),
        (normal(2, 4, dtype=torch.float64),),
    ),
    "integers": (
        module(lambda m, i, j: (i * 2 + j.to(torch.int32), i.float().mean(), j // 2)),
        (torch.arange(4, dtype=torch.int32), torch.tensor([250, 3, 2, 1], dtype=torch.uint8)),
    ),
    "what is special": (
        module(
            lambda m, x: torch.where(x < m.made_a, m.made_b, x),
            made_a=torch.tensor(float("inf")),
            made_b=torch.tensor([float("-inf"), float("nan"), -0.0, 1e-40]),
        ),
        (normal(2, 4),),
    ),
    "an input that nothing reads": (module(lambda m, x, y: x + 1), (normal(2), normal(3))),
}  # fmt: skip


pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export warns of its own code


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with Runtime() as running:
        yield running


@cache
def exported(name: str) -> tuple[Any, tuple[Any, ...], list[Any]]:
    made, inputs = CASES[name]
    with torch.no_grad():
        program = torch.export.export(made, inputs, strict=False)
        given = made(*inputs)
    leaves = torch.utils._pytree.tree_leaves(given)
    return program, inputs, [np.asarray(each) for each in leaves]


@cache
def raw(name: str) -> Any:
    return imported(exported(name)[0])


def assert_computes(graph: Graph, inputs: Any, want: list[Any], runtime: Runtime) -> None:
    names = [value.name for value in graph.inputs]
    feed = Feed({name: x.numpy() for name, x in zip(names, inputs, strict=True)}, "given")
    found = runtime.evaluate(graph, [feed])[0]
    assert [x.shape for x in found] == [x.shape for x in want]
    verdicts = judged(Tolerance(), want, found, Truth(runtime.evaluate64, graph), feed)
    assert all(verdict.ok for verdict in verdicts), [verdict.why for verdict in verdicts]


@pytest.mark.parametrize("output", ["raw", "torch"])
@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_the_module_does(name: str, output: str, runtime: Runtime) -> None:
    program, inputs, want = exported(name)
    made = raw(name) if output == "raw" else imported(program, output)
    graph = gw.load(made, program=program)
    assert_computes(graph, inputs, want, runtime)


@pytest.mark.parametrize("name", CASES)
def test_both_front_ends_give_the_same_graph(name: str) -> None:
    program, _, _ = exported(name)
    found = gw.diff(load_torch(program), gw.load(raw(name), program=program))
    assert found.same, found


@pytest.mark.parametrize("name", CASES)
def test_a_text_is_read_without_its_program(name: str, tmp_path: Path, runtime: Runtime) -> None:
    _, inputs, want = exported(name)
    path = tmp_path / "m.mlir"
    path.write_text(raw(name).operation.get_asm(enable_debug_info=True))
    assert_computes(gw.load(path), inputs, want, runtime)


class Dynamic(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = parameter(8, 8)

    def forward(self, x: Any, mask: Any) -> Any:
        q = F.linear(x, self.w).unflatten(-1, (2, -1)).transpose(1, 2)
        seen = F.scaled_dot_product_attention(q, q + 1, q - 1, attn_mask=mask[:, None, None])
        return seen.transpose(1, 2).flatten(2) * (x.shape[1] * 2 + 1)


def dynamic() -> tuple[Any, tuple[Any, Any]]:
    inputs = (normal(2, 5, 8), torch.ones(2, 5, dtype=torch.bool))
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    shapes = ({0: batch, 1: length}, {0: batch, 1: length})
    with torch.no_grad():
        program = torch.export.export(Dynamic().eval(), inputs, dynamic_shapes=shapes, strict=False)
    return program, inputs


def test_open_sizes_stay_open(runtime: Runtime) -> None:
    program, _ = dynamic()
    graph = gw.load(imported(program), program=program)
    assert gw.diff(load_torch(program), graph).same
    for batch, length in ((2, 5), (3, 7)):
        inputs = normal(batch, length, 8), normal(batch, length) > -1
        with torch.no_grad():
            want = program.module()(*inputs).numpy()
        assert_computes(graph, inputs, [want], runtime)


def test_open_sizes_without_the_program_get_names(tmp_path: Path, runtime: Runtime) -> None:
    program, inputs = dynamic()
    (tmp_path / "m.mlir").write_text(str(imported(program)))
    graph = gw.load(tmp_path / "m.mlir")
    assert [str(value.type) for value in graph.inputs] == [
        "f32[arg0_0, arg0_1, 8]",
        "bool[arg1_0, arg1_1]",
    ]
    with torch.no_grad():
        want = program.module()(*inputs).numpy()
    assert_computes(graph, inputs, [want], runtime)
    assert len(gw.attentions(graph).found) == 1
    fixed = gw.load(tmp_path / "m.mlir", shapes={"arg0": (2, 5, 8), "arg1": (2, 5)})
    assert str(fixed.inputs[0].type) == "f32[2, 5, 8]"


def test_weights_are_those_of_the_program() -> None:
    program, _, _ = exported("a linear layer")
    graph = gw.load(raw("a linear layer"), program=program)
    held = {v.name: v.const for n in graph.nodes() for v in n.inputs if v is not None and v.const}
    for name in ("w", "b"):
        const = held[name]
        assert const is not None
        assert np.shares_memory(const.load(), program.state_dict[name].detach().numpy())


def test_where_it_comes_from_is_told() -> None:
    graph = gw.load(imported(dynamic()[0]))
    sources = [source for node in graph.nodes() for source in node.origin.sources]
    assert any(s.startswith("linear_") and "(test_torch_mlir.py:" in s for s in sources), sources


def test_a_module_that_others_imported_is_read(runtime: Runtime) -> None:
    from torch_mlir import fx

    program, inputs, want = exported.__wrapped__("norms")  # which torch-mlir takes apart
    made = fx.export_and_import(program, output_type="raw", decomposition_table={})
    assert_computes(gw.load(made, program=program), inputs, want, runtime)


def test_optimize_takes_a_text(tmp_path: Path, optimize: Run) -> None:
    path = tmp_path / "m.mlir"
    path.write_text(str(imported(exported("attention under a mask, heads shared")[0])))
    status, out, error = optimize(path, "-o", tmp_path / "out.onnx")
    assert (status, error) == (0, "")
    assert "the same function" in out
    found = gw.load(tmp_path / "out.onnx")
    assert len(gw.attentions(found).found) == 1


def test_a_module_goes_to_linalg_and_computes(tmp_path: Path, optimize: Run) -> None:
    path = tmp_path / "m.mlir"
    path.write_text(str(imported(exported("norms")[0])))
    status, out, error = optimize(path, "--target", "mlir")
    assert (status, error) == (0, "")
    assert "the same function" in out
    assert "linalg.generic" in (tmp_path / "m.opt.mlir").read_text()


TWO = "func.func @a() { return }\nfunc.func @b() { return }\n"
FFT = """
func.func @main(%arg0: !torch.vtensor<[2,4],f32>) -> !torch.vtensor<[2,3],complex<f32>> {
  %none = torch.constant.none
  %int = torch.constant.int -1
  %0 = torch.aten.fft_rfft %arg0, %none, %int, %none : !torch.vtensor<[2,4],f32>, !torch.none, !torch.int, !torch.none -> !torch.vtensor<[2,3],complex<f32>>
  %1 = torch.operator "torch.custom.magic"(%0) : (!torch.vtensor<[2,3],complex<f32>>) -> !torch.vtensor<[2,3],complex<f32>>
  return %1 : !torch.vtensor<[2,3],complex<f32>>
}
"""  # noqa: E501
ONNX = """
func.func @main(%arg0: !torch.vtensor<[2],f32>) -> !torch.vtensor<[2],f32> {
  %0 = torch.operator "onnx.Abs"(%arg0) : (!torch.vtensor<[2],f32>) -> !torch.vtensor<[2],f32>
  return %0 : !torch.vtensor<[2],f32>
}
"""
LINALG = """
func.func @main(%arg0: tensor<2xf32>) -> tensor<2xf32> {
  return %arg0 : tensor<2xf32>
}
"""
ELIDED = """
func.func @main(%arg0: !torch.vtensor<[2],f32>) -> !torch.vtensor<[2],f32> {
  %0 = torch.vtensor.literal(dense_resource<__elided__> : tensor<2xf32>) : !torch.vtensor<[2],f32>
  return %0 : !torch.vtensor<[2],f32>
}
"""
SHORT = """
func.func @main() -> !torch.vtensor<[5],f32> {
  %0 = torch.vtensor.literal(dense_resource<w> : tensor<5xf32>) : !torch.vtensor<[5],f32>
  return %0 : !torch.vtensor<[5],f32>
}
{-#
  dialect_resources: { builtin: { w: "0x040000000000803F0000803F" } }
#-}
"""
BAD = {
    "a weight cut short": (SHORT, "8 bytes"),
    "bytecode": (b"ML\xefR\x01\x02garbage", "no module of MLIR's torch dialect"),
    "no MLIR": ("what is this", "no module of MLIR's torch dialect"),
    "no text": (b"\xff\xfe\x00", "neither text nor bytecode of MLIR"),
    "nothing": ("", "0 functions are there, and none is called main"),
    "two functions": (TWO, "2 functions are there, and none is called main"),
    "operators without a reading": (
        FFT,
        "there is no reading of these operators of PyTorch: torch.aten.fft_rfft (1 times), "
        "torch.custom.magic (1 times)",
    ),
    "ONNX inside": (ONNX, "the module was imported from ONNX, and is not read; load the ONNX file"),
    "linalg": (LINALG, "the input 'arg0' is tensor<2xf32>, and no tensor of the torch dialect"),
    "weights left out": (ELIDED, "the module was printed without its weights"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_texts_get_one_sentence(name: str, tmp_path: Path, optimize: Run) -> None:
    text, why = BAD[name]
    path = tmp_path / "m.mlir"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    status, _, error = optimize(path, "-o", tmp_path / "out.onnx")
    assert status == 2
    assert why in sentence(error)
    assert [p.name for p in tmp_path.iterdir()] == ["m.mlir"]


def test_a_file_that_ends_the_parser_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.mlir").write_text(LINALG)
    monkeypatch.setattr(trial, "PROGRAM", "import os; os.abort()")
    with pytest.raises(gw.ModelError, match=r"m\.mlir: torch-mlir crashed on it \(SIGABRT\)"):
        gw.load(tmp_path / "m.mlir")


def test_bytecode_is_read_too(tmp_path: Path, runtime: Runtime) -> None:
    _, inputs, want = exported("a linear layer")
    with (tmp_path / "m.mlir").open("wb") as file:
        raw("a linear layer").operation.write_bytecode(file)
    assert_computes(gw.load(tmp_path / "m.mlir"), inputs, want, runtime)


LITERALS = {
    "dense<2.5> : tensor<f32>": ("[]", "f32", 2.5),
    "dense<[[1, -2], [3, 4]]> : tensor<2x2xsi64>": ("[2,2]", "si64", [[1, -2], [3, 4]]),
    "dense<true> : tensor<2xi1>": ("[2]", "i1", [True, True]),
    "dense<[true, false]> : tensor<2xi1>": ("[2]", "i1", [True, False]),
    "dense<0xFF800000> : tensor<f32>": ("[]", "f32", -np.inf),
    "dense<[1.5, 0x7FF0000000000000]> : tensor<2xf64>": ("[2]", "f64", [1.5, np.inf]),
    "dense<-1.000000e+00> : tensor<2xbf16>": ("[2]", "bf16", [-1.0, -1.0]),
    "dense<[0x7F80, 0.5]> : tensor<2xbf16>": ("[2]", "bf16", [np.inf, 0.5]),
    "dense<[0x7C00, 6.4e4]> : tensor<2xf16>": ("[2]", "f16", [np.inf, 64000.0]),
    "dense<[200, 7]> : tensor<2xui8>": ("[2]", "ui8", [200, 7]),
    "dense<> : tensor<0xf32>": ("[0]", "f32", []),
    'dense<"0x0000803F00000040"> : tensor<2xf32>': ("[2]", "f32", [1.0, 2.0]),
}


@pytest.mark.parametrize("said", LITERALS)
def test_literals_are_read_from_the_text(said: str, tmp_path: Path) -> None:
    shape, kind, want = LITERALS[said]
    type_ = f"!torch.vtensor<{shape},{kind}>"
    (tmp_path / "m.mlir").write_text(
        f"func.func @main() -> {type_} {{\n"
        f"  %0 = torch.vtensor.literal({said}) : {type_}\n  return %0 : {type_}\n}}\n"
    )
    (value,) = gw.load(tmp_path / "m.mlir").outputs
    assert value is not None
    assert value.const is not None
    assert value.const.load().astype(object).tolist() == want


TYPES = {
    "!torch.vtensor<[2,?],f32>": TensorType("f32", (2, sym("s1"))),
    "!torch.vtensor<[],si64>": TensorType("i64", ()),
    "!torch.vtensor<*,i1>": TensorType("bool"),
    "!torch.tensor<[3],ui8>": TensorType("u8", (3,)),
    "!torch.vtensor<[2],complex<f64>>": TensorType("c128", (2,)),
    "!torch.vtensor": UNKNOWN,
    "!torch.vtensor<[2],unk>": UNKNOWN,
    "!torch.int": UNKNOWN,
}


@pytest.mark.parametrize("text", TYPES)
def test_types_are_read_from_their_text(text: str) -> None:
    assert read_type(text, lambda axis: sym(f"s{axis}")) == TYPES[text]


def test_what_both_need_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("graphwright.mlir_modules.find_spec", lambda name: None)
    (tmp_path / "m.mlir").write_text(ONNX)
    with pytest.raises(gw.ModelError, match=r"pip install 'graphwright\[torch-mlir\]'"):
        gw.load(tmp_path / "m.mlir")
