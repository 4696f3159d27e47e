"""Calls of ATen's operators, by family: one at least of each that has a reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Call:
    """One call: the operator's name without `aten.`, and its arguments."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def whole(self) -> str:
        name = self.name if "." in self.name else f"{self.name}.default"
        return name if name.startswith("prims.") else f"aten.{name}"

    def in_torch(self) -> Any:
        space, op, overload = self.whole.split(".")
        return getattr(getattr(getattr(torch.ops, space), op), overload)(*self.args, **self.kwargs)


def call(name: str, *args: Any, **kwargs: Any) -> Call:
    return Call(name, args, kwargs)


def calls(names: str, *args: Any, **kwargs: Any) -> list[Call]:
    return [Call(name, args, kwargs) for name in names.split()]


torch.manual_seed(0)
X = torch.randn(2, 3, 4)
Y = torch.randn(2, 3, 4)
Z = torch.randn(3, 1)
P = torch.rand(2, 3, 4) + 0.25
UNIT = torch.rand(2, 3, 4) * 1.6 - 0.8
SPECIAL = torch.tensor([1.0, float("nan"), float("inf"), -float("inf"), -0.5])
WHOLE = torch.tensor([[3, -2, 7], [-5, 4, 1]])
J = torch.tensor([[2, 3, -2], [3, -4, 5]])
SMALL = torch.tensor([5, -7], dtype=torch.int32)
B = torch.tensor([[True, False, True], [False, False, True]])
C = torch.tensor([[True, True, False], [False, True, True]])
M = torch.randn(4, 5)
N = torch.randn(5, 3)
SQUARE = torch.randn(4, 4)
V = torch.randn(4)
IMAGE = torch.randn(2, 4, 9, 10)
SIGNAL = torch.randn(2, 4, 11)
VOLUME = torch.randn(1, 2, 5, 6, 7)
CHANNELS = [torch.randn(4), torch.randn(4), torch.randn(4), torch.rand(4) + 0.5]
TABLE = torch.randn(7, 4)
AT = torch.tensor([[0, 6, 3], [2, 2, 5]])
ROW = torch.tensor([2, 0])
ONE = torch.tensor(1.5)
LONG = torch.tensor(3)
KERNEL = torch.randn(6, 4, 3, 3)
MASK3 = torch.rand(2, 3, 4) > 0.5

UNARY = (
    [
        "sqrt",
        "exp",
        "log",
        "rsqrt",
        "reciprocal",
        "log1p",
        "log2",
        "log10",
        "exp2",
        "expm1",
        "erfc",
        "acosh",
    ],
    [
        "sin",
        "cos",
        "tan",
        "atan",
        "sinh",
        "cosh",
        "asinh",
        "tanh",
        "erf",
        "sigmoid",
        "neg",
        "abs",
        "sign",
        "sgn",
        "square",
        "floor",
        "ceil",
        "round",
        "trunc",
        "fix",
        "frac",
        "isnan",
        "isinf",
        "isfinite",
        "relu",
        "relu6",
        "gelu",
        "silu",
        "mish",
        "softplus",
        "log_sigmoid",
        "hardsigmoid",
        "hardswish",
        "leaky_relu",
        "elu",
        "celu",
        "selu",
        "hardtanh",
    ],
    ["asin", "acos", "atanh"],
)

FAMILIES: dict[str, list[Call]] = {
    "elementwise": [
        *(call(name, P + (1 if name == "acosh" else 0)) for name in UNARY[0]),
        *(call(name, X) for name in UNARY[1]),
        *(call(name, UNIT) for name in UNARY[2]),
        *calls("isnan isinf isfinite nan_to_num", SPECIAL),
        *calls("floor ceil round trunc isnan isinf isfinite neg abs", WHOLE),
        *calls("sqrt exp sin", WHOLE.abs()),
    ],
    "arithmetic": [
        *calls("add.Tensor sub.Tensor mul.Tensor div.Tensor true_divide.Tensor", X, Y),
        *calls("add.Tensor sub.Tensor rsub.Tensor", X, Z, alpha=2),
        *calls("add.Scalar sub.Scalar rsub.Scalar mul.Scalar div.Scalar", X, 3),
        *calls("add.Tensor mul.Tensor sub.Tensor div.Tensor", WHOLE, SMALL.reshape(2, 1)),
        *calls("add.Tensor mul.Tensor", X, ONE),
        *calls("mul.Scalar add.Scalar div.Scalar", WHOLE, 2.5),
        *calls("add.Tensor mul.Tensor", B, C),
        *calls("add.Tensor mul.Tensor", WHOLE, B),
        *(
            call(f"div.{k}_mode", x, y, rounding_mode=m)
            for k, x, y in (("Tensor", X, Y), ("Tensor", WHOLE, J), ("Scalar", WHOLE, 2))
            for m in ("floor", "trunc", None)
        ),
        *calls("floor_divide remainder.Tensor fmod.Tensor", WHOLE, J),
        *calls("floor_divide remainder.Tensor fmod.Tensor", X, P),
        *calls("remainder.Scalar fmod.Scalar floor_divide.Scalar", WHOLE, 3),
        call("pow.Tensor_Scalar", P, 2),
        call("pow.Tensor_Scalar", P, -0.5),
        call("pow.Tensor_Tensor", P, Y),
        call("pow.Scalar", 2, X),
        call("pow.Tensor_Scalar", WHOLE, 2),
        *calls("maximum minimum max.other min.other logaddexp atan2", X, Y),
        *calls("clamp clip", X, -0.5, 0.5),
        call("clamp", X, max=0.25),
        call("clamp", WHOLE, 0, 3),
        call("clamp.Tensor", X, Z, Y.abs() + 2),
        call("clamp_min", X, 0.1),
        call("clamp_max", X, 0.1),
        call("clamp_min.Tensor", X, Y),
        call("clamp_max.Tensor", X, Y),
        call("lerp.Scalar", X, Y, 0.3),
        call("lerp.Tensor", X, Y, P),
        call("addcmul", X, Y, P, value=0.5),
        call("addcdiv", X, Y, P, value=0.5),
        call("where.self", MASK3, X, Y),
        call("where.self", MASK3, X, LONG),
        call("where.ScalarOther", MASK3, X, 0.5),
        call("where.ScalarSelf", MASK3, 0.5, X),
        call("where.Scalar", MASK3, 1.5, -2.5),
        call("masked_fill.Scalar", X, MASK3, -1e9),
        call("masked_fill.Tensor", X, MASK3, ONE),
    ],
    "comparisons": [
        *(call(f"{op}.Tensor", X, X.roll(1, -1)) for op in ["eq", "ne", "lt", "le", "gt", "ge"]),
        *(call(f"{op}.Scalar", WHOLE, 1) for op in ["eq", "ne", "lt", "le", "gt", "ge"]),
        *(call(f"{op}.Tensor", B, C) for op in ["eq", "ne", "lt", "le", "gt", "ge"]),
        call("lt.Scalar", WHOLE, 1.5),
        call("eq.Tensor", WHOLE, LONG),
        *calls("logical_and logical_or logical_xor", B, C),
        *calls("logical_and logical_or logical_xor", WHOLE - 1, B),
        call("logical_not", B),
        call("logical_not", WHOLE - 1),
        call("bitwise_not", B),
        call("bitwise_not", WHOLE),
        *(
            call(f"{op}.Tensor", p, q)
            for p, q in ((B, C), (WHOLE, J))
            for op in ["bitwise_and", "bitwise_or", "bitwise_xor", "__and__", "__or__", "__xor__"]
        ),
        *(
            call(f"{op}.Scalar", WHOLE, 3)
            for op in ["bitwise_and", "bitwise_or", "bitwise_xor", "__and__", "__or__", "__xor__"]
        ),
        *(call(f"bitwise_{op}.Scalar_Tensor", 3, WHOLE) for op in ("and", "or", "xor")),
    ],
    "activations": [
        call("gelu", X, approximate="tanh"),
        call("softplus", X, 2.0),
        call("elu", X, 0.5, 1.5, 2.0),
        call("celu", X, 0.5),
        call("leaky_relu", X, 0.3),
        call("threshold", X, 0.2, -3.0),
        call("hardtanh", X, -0.2, 0.4),
        call("glu", X, -1),
        call("prelu", X, torch.tensor([0.1, 0.2, 0.3])),
        call("prelu", X, torch.tensor([0.1])),
        call("_prelu_kernel", X, torch.tensor([0.1, 0.2, 0.3]).reshape(1, 3, 1)),
        call("softmax.int", X, -1),
        call("softmax.int", X, 1),
        call("_softmax", X, 2, False),
        call("_safe_softmax", X, -1),
        call("log_softmax.int", X, 0),
        call("_log_softmax", X, -1, False),
        call("softmax.int", WHOLE, -1, dtype=torch.float32),
        *calls("dropout feature_dropout alpha_dropout", X, 0.5, False),
    ],
    "products": [
        call("linear", X, M.t(), torch.randn(5)),
        call("linear", X, M.t()),
        call("linear", X, V),
        call("matmul", X, M),
        call("matmul", M, N),
        call("matmul", V, M),
        call("matmul", X, V),
        call("mm", M, N),
        call("bmm", X, Y.mT.contiguous()),
        call("mv", SQUARE, V),
        *calls("dot vdot outer ger", V, V.flip(0)),
        call("addmm", torch.randn(3), M, N, beta=0.5, alpha=2),
        call("addmm", torch.randn(4, 3), M, N),
        call("addmv", V, SQUARE, V),
        call("baddbmm", torch.randn(2, 3, 3), X, Y.mT.contiguous()),
        call("einsum", "bij,bkj->bik", [X, Y]),
        call("einsum", "ij,jk", [M, N]),
        call("cosine_similarity", X, Y, 1),
    ],
    "norms": [
        call("layer_norm", X, [4], torch.randn(4), torch.randn(4), 1e-5),
        call("layer_norm", X, [3, 4]),
        call("native_layer_norm", X, [4], torch.randn(4), None, 1e-6),
        call("layer_norm", X.double(), [4], torch.randn(4).double(), torch.randn(4).double()),
        call("rms_norm", X, [4], torch.randn(4), 1e-6),
        call("rms_norm", X, [4]),
        call("rms_norm", X.double(), [4], torch.randn(4).double()),
        call("batch_norm", IMAGE, *CHANNELS, False, 0.1, 1e-5, False),
        call("batch_norm", SIGNAL, None, None, *CHANNELS[2:], False, 0.1, 1e-5, False),
        call("_native_batch_norm_legit_no_training", IMAGE, *CHANNELS, 0.1, 1e-5),
        call("native_batch_norm", IMAGE, *CHANNELS, False, 0.1, 1e-5),
        call("group_norm", IMAGE, 2, *CHANNELS[:2], 1e-5),
        call("group_norm", SIGNAL, 4),
        call("native_group_norm", IMAGE, *CHANNELS[:2], 2, 4, 90, 2, 1e-5),
        call("instance_norm", IMAGE, *CHANNELS[:2], None, None, True, 0.1, 1e-5, False),
        call("instance_norm", IMAGE, None, None, *CHANNELS[2:], False, 0.1, 1e-5, False),
        *(call("linalg_vector_norm", X, p, [-1], True) for p in (1, 2, 3, float("inf"))),
        call("norm.ScalarOpt_dim", X, 2, [1]),
        call("norm.Scalar", X, 2),
    ],
    "attention": [
        call("scaled_dot_product_attention", *(torch.randn(2, 4, n, 8) for n in (5, 6, 6))),
        call(
            "scaled_dot_product_attention",
            *(torch.randn(2, 4, 5, 8) for _ in range(3)),
            None,
            0.0,
            True,
            scale=0.2,
        ),
        call(
            "scaled_dot_product_attention",
            *(torch.randn(2, h, 5, 8) for h in (4, 2, 2)),
            torch.randn(1, 1, 5, 5),
            enable_gqa=True,
        ),
        call(
            "scaled_dot_product_attention",
            *(torch.randn(2, 4, 5, 8) for _ in range(3)),
            torch.tril(torch.ones(5, 5)).roll(1, 0) > 0.5,
        ),  # its first row sees all, one nothing
        call(
            "scaled_dot_product_attention",
            *(torch.randn(2, 4, 5, 8) for _ in range(3)),
            torch.zeros(2, 1, 5, 5).index_fill(2, torch.tensor([1]), float("-inf")),
        ),
        call(
            "scaled_dot_product_attention",
            *(torch.randn(2, 4, 5, 8) for _ in range(3)),
            torch.zeros(2, 1, 5, 5, dtype=torch.bool),
        ),
        call("scaled_dot_product_attention", *(torch.randn(4, 5, 8) for _ in range(3))),
        call("scaled_dot_product_attention", *(torch.randn(5, 8) for _ in range(3))),
    ],
    "shapes": [
        *calls(
            "alias detach clone contiguous lift_fresh_copy lift_fresh lift positive "
            "resolve_conj resolve_neg _conj_physical detach_",
            X,
        ),
        *calls("view reshape _unsafe_view view_copy", X, [6, 4]),
        call("view", X, [-1, 2]),
        call("_reshape_alias", X, [6, 4], [4, 1]),
        *calls("view_as reshape_as", X, torch.zeros(4, 6)),
        call("flatten.using_ints", X, 1, 2),
        call("flatten.using_ints", ONE),
        call("ravel", X),
        call("unflatten.int", X, 2, [2, -1]),
        *calls("permute permute_copy", X, [2, 0, 1]),
        *calls("transpose.int transpose_copy.int", X, 0, -1),
        *calls("swapaxes swapdims", X, 0, 1),
        *calls("t t_copy", M),
        *calls("mT adjoint", X),
        *calls("movedim.int moveaxis.int", X, 0, 2),
        *calls("movedim.intlist moveaxis.intlist", X, [0, 1], [2, 0]),
        *calls("unsqueeze unsqueeze_copy", X, -1),
        call("unsqueeze", X, 1),
        call("squeeze", torch.randn(1, 3, 1)),
        *calls("squeeze.dim squeeze_copy.dim", Z, 1),
        call("squeeze.dim", X, 0),
        *calls("squeeze.dims squeeze_copy.dims", torch.randn(1, 3, 1), [0, 2]),
        *calls("expand expand_copy", Z, [2, -1, 4]),
        call("expand_as", Z, X),
        call("broadcast_to", Z, [2, 3, 4]),
        *calls("repeat tile", X, [2, 1, 3]),
        call("repeat", X, [2, 1, 1, 1]),
        call("tile", X, [2]),
        call("repeat_interleave.self_int", X, 2, 1),
        call("repeat_interleave.self_int", X, 2),
        call("flip", X, [0, 2]),
        call("roll", X, [1], [1]),
        call("roll", X, [-1, 2], [0, 2]),
        call("roll", X, [5]),
        call("pixel_shuffle", IMAGE, 2),
        call("unfold", X, 2, 2, 1),
    ],
    "joining": [
        *calls("cat concat concatenate", [X, Y], -1),
        call("cat", [X, torch.zeros(0), WHOLE.reshape(2, 3, 1).expand(2, 3, 2)], 2),
        call("stack", [X, Y], 1),
        call("stack", [X, Y], -1),
        call("split.Tensor", X, 2, 1),
        *calls("split_with_sizes split.sizes split_with_sizes_copy", X, [1, 3], 2),
        call("chunk", X, 2, 2),
        call("chunk", X, 3, 1),
        call("tensor_split.sections", X, 3, 2),
        *calls("unbind.int unbind_copy.int", X, 1),
        call("meshgrid", [V, torch.arange(3.0)]),
        call("meshgrid.indexing", [ROW, torch.arange(3)], indexing="ij"),
        call("broadcast_tensors", [Z, X]),
    ],
    "indexing": [
        call("slice.Tensor", X, 2, 1, 3),
        call("slice.Tensor", X, 1, -2, 9223372036854775807),
        call("slice.Tensor", X, 2, 0, 4, 2),
        call("slice_copy.Tensor", X, 0, 1),
        call("slice.Tensor", X, 1, 0, -1),
        *calls("narrow narrow_copy", X, 2, 1, 2),
        *calls("select.int select_copy.int", X, 1, -1),
        call("index_select", X, 1, ROW),
        call("embedding", TABLE, AT),
        call("gather", TABLE, 0, AT),
        *calls("index.Tensor _unsafe_index.Tensor", X, [ROW.sub(1).abs(), None, ROW]),
        call("index.Tensor", X, [None, ROW]),
        call("index.Tensor", X, [torch.tensor([[1], [0]]), torch.tensor([[0, 2]])]),
        call("index.Tensor", X, [None, torch.tensor([0, -1]), torch.tensor([3, 1])]),
        *calls(
            "index_put _unsafe_index_put",
            X,
            [torch.tensor([0, 1]), torch.tensor([2, 0])],
            torch.randn(2, 4),
        ),
        call("index_put", X, [torch.tensor([1, 1])], torch.randn(2, 3, 4), True),
        call("index_put", X, [MASK3], torch.tensor(7.0)),
        call("index_put", X, [B], torch.tensor([7.0])),
        call("index_put", X, [None, torch.tensor([1])], torch.tensor(3.0)),
        call("scatter.src", TABLE, 0, AT, torch.randn(2, 3)),
        call("scatter.value", TABLE, 0, AT, 2.5),
        call("scatter_add", TABLE, 0, AT, torch.randn(3, 4)),
        *(
            call("scatter_reduce.two", TABLE, 0, AT, torch.randn(2, 3), r)
            for r in ("sum", "prod", "amax", "amin")
        ),
        call("slice_scatter", X, torch.randn(2, 3, 2), 2, 1, 3),
        call("slice_scatter", X, torch.randn(2, 3, 2), 2, 0, 4, 2),
        call("slice_scatter", X, torch.randn(2, 3, 4), 2),
        call("select_scatter", X, torch.randn(2, 4), 1, -1),
        call("index_copy", X, 1, ROW, torch.randn(2, 2, 4)),
        call("index_fill.int_Scalar", X, 1, ROW, 1.5),
        call("one_hot", AT, 7),
        call("diagonal", SQUARE),
        call("diagonal_copy", X, 1, 1, 2),
    ],
    "reductions": [
        *(
            call(op, X)
            for op in [
                "sum",
                "mean",
                "prod",
                "amax",
                "amin",
                "max",
                "min",
                "any",
                "all",
                "var",
                "std",
            ]
        ),
        *(
            call(op, X, [1], True)
            for op in [
                "sum.dim_IntList",
                "mean.dim",
                "amax",
                "amin",
                "logsumexp",
                "any.dims",
                "all.dims",
            ]
        ),
        call("sum.dim_IntList", X, [0, -1]),
        call("mean.dim", X, [-1]),
        call("sum", WHOLE),
        call("sum", B),
        call("mean.dim", X, None),
        call("sum.dim_IntList", X, [1], dtype=torch.float64),
        call("prod.dim_int", X, 1),
        *calls("any.dim all.dim", B, 1),
        call("any", WHOLE),
        call("all.dim", WHOLE - 1, 0),
        *(
            call(f"{op}.correction", X, [1], correction=c)
            for op in ("var", "std", "var_mean")
            for c in (0, 1)
        ),
        call("var.dim", X, [1], False),
        call("std.dim", X, [2], True, True),
        call("var", X, False),
        *calls("argmax argmin", X, 1),
        call("argmax", X),
        call("argmax", X, 2, True),
        *calls("max.dim min.dim", X, 1),
        call("max.dim", X, -1, True),
        call("topk", X, 2),
        call("topk", X, 1, 1, False),
        call("sort", X),
        call("sort", X, 1, True),
        call("argsort", X),
        call("cumsum", X, 1),
        call("cumsum", WHOLE, -1),
        call("cumsum", B, 1),
        call("diff", X),
        call("diff", WHOLE, 1, -1, torch.zeros(2, 1, dtype=torch.int64)),
        call("diff", B),
        call("count_nonzero", B, 1),
    ],
    "creating": [
        call("full", [2, 3], 1.5),
        call("full", [2], True),
        call("full", [], 3),
        call("full", [70, 70], 2.0),
        call("new_full", X, [2, 2], 7.0),
        call("full_like", X, 3),
        call("fill.Scalar", X, 2.0),
        call("fill.Tensor", X, ONE),
        *calls("zeros_like ones_like zero", X),
        call("zeros_like", WHOLE),
        call("ones_like", X, dtype=torch.int64),
        *calls("zeros ones", [2, 3]),
        *calls("new_zeros new_ones", X, [4]),
        call("scalar_tensor", 2.5),
        call("arange", 5),
        call("arange", 5.0),
        call("arange.start", 2, 7),
        call("arange.start_step", 1, 9, 3),
        call("arange.start_step", 0.0, 1.0, 0.25),
        call("arange", 5000),
        call("linspace", 0.0, 1.0, 5),
        call("eye", 3),
        call("eye.m", 3, 4),
        *calls("triu tril", SQUARE),
        call("triu", SQUARE, 1),
        call("tril", WHOLE, -1),
        call("tril", torch.ones(3, 3, dtype=torch.bool)),
        call("_to_copy", X, dtype=torch.float64),
        call("_to_copy", WHOLE, dtype=torch.float32),
        call("to.dtype", X, torch.int32),
        call("to.dtype_layout", X, dtype=torch.float16),
        call("to.device", X, torch.device("cpu"), torch.float64),
        *calls("type_as to.other", WHOLE, X),
        call("to.prim_Device", X, None, torch.float64),
        call("prims.convert_element_type.default", WHOLE, torch.float32),
        call("copy", X, Z),
    ],
    "convolutions": [
        call("conv1d", SIGNAL, torch.randn(6, 4, 3), torch.randn(6), [2], [1]),
        call("conv1d.padding", SIGNAL, torch.randn(4, 1, 4), None, [1], "same", [2], 4),
        call("conv2d", IMAGE, torch.randn(6, 2, 3, 3), None, [1, 1], [0], [1, 1], 2),
        call("conv2d", IMAGE[0], torch.randn(6, 4, 2, 2)),
        call("conv2d.padding", IMAGE, torch.randn(6, 4, 3, 3), None, [1, 1], "valid"),
        call("conv3d", VOLUME, torch.randn(3, 2, 2, 2, 2), None, [1], [1]),
        call("conv3d.padding", VOLUME, torch.randn(3, 2, 3, 3, 3), None, [1, 1, 1], "same"),
        *(
            call(name, IMAGE, KERNEL, torch.randn(6), [2, 1], [1, 0], [1, 2], False, [0, 0], 1, *m)
            for name, m in (("convolution", ()), ("_convolution", (False, False, True, True)))
        ),
        call("convolution", IMAGE, KERNEL[:4], None, [2, 2], [1, 1], [1, 1], True, [1, 1], 1),
        call("conv_transpose1d", SIGNAL, torch.randn(4, 5, 3), None, [2], [1], [1]),
        call(
            *("conv_transpose2d.input", IMAGE, torch.randn(4, 2, 3, 3), torch.randn(4)),
            *([1, 1], [0, 0], [0, 0], 2),
        ),
        call("conv_transpose3d.input", VOLUME, torch.randn(2, 3, 2, 2, 2)),
    ],
    "pooling": [
        call("max_pool1d", SIGNAL, [3], [2], [1]),
        call("max_pool2d", IMAGE, [3, 2], [2, 2], [1]),
        call("max_pool2d", IMAGE, [3], [2], [0], [1], True),
        call("max_pool3d", VOLUME, [2]),
        call("max_pool2d_with_indices", IMAGE, [2, 2]),
        call("max_pool3d_with_indices", VOLUME, [2, 2, 2]),
        call("avg_pool1d", SIGNAL, [3], [2], [1]),
        call("avg_pool2d", IMAGE, [2, 2], [], [1, 1], False, False),
        call("avg_pool3d", VOLUME, [2]),
        call("adaptive_avg_pool1d", SIGNAL, [1]),
        call("adaptive_avg_pool2d", IMAGE, [3, 5]),
        call("_adaptive_avg_pool2d", IMAGE, [1, 1]),
        call("adaptive_avg_pool3d", VOLUME, [1, 1, 1]),
        call("_adaptive_avg_pool3d", VOLUME, [5, 3, 7]),
    ],
    "borders": [
        call("pad", X, [1, 2]),
        call("pad", X, [0, 1, 2, 0], "constant", 3.5),
        call("constant_pad_nd", X, [1, 1], 2.0),
        *(call("pad", SIGNAL, [2, 1], mode) for mode in ("reflect", "replicate", "circular")),
        *calls("reflection_pad1d replication_pad1d", SIGNAL, [2, 1]),
        *calls("reflection_pad2d replication_pad2d", IMAGE, [2, 1, 0, 3]),
        *calls("reflection_pad3d replication_pad3d", VOLUME, [1, 1, 0, 1, 2, 0]),
        call("upsample_nearest1d", SIGNAL, [22]),
        call("upsample_nearest1d.vec", SIGNAL, None, [2.0]),
        call("upsample_nearest2d", IMAGE, [18, 30]),
        call("upsample_nearest2d.vec", IMAGE, None, [2.0, 3.0]),
        call("upsample_nearest3d", VOLUME, [10, 12, 14]),
        call("upsample_nearest3d.vec", VOLUME, [10, 12, 14], None),
        call("upsample_linear1d", SIGNAL, [22], False),
        call("upsample_linear1d.vec", SIGNAL, [17], True, None),
        call("upsample_bilinear2d", IMAGE, [18, 13], True),
        call("upsample_bilinear2d.vec", IMAGE, [18, 13], False, None),
        call("upsample_trilinear3d", VOLUME, [10, 12, 14], False),
        call("upsample_trilinear3d.vec", VOLUME, None, False, [2.0, 2.0, 2.0]),
        call("upsample_bicubic2d", IMAGE, [18, 13], False),
        call("upsample_bicubic2d.vec", IMAGE, [18, 13], False, None),
    ],
}
